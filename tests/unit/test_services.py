"""Which services a user may name: k8s/base's, the cluster's, and those of the checkout's Compose file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.api_server import ApiServer
from support.programs import Programs

from boulder_k8s.cluster.api import Api
from boulder_k8s.commands.services import named
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.names import NAME
from boulder_k8s.host.settings import Settings

COMPOSE = {
    "services": {
        "boulder": {"image": "b", "depends_on": {"bredis_3": {"condition": "service_started"}}},
        "bredis_3": {"image": "redis:6"},
        "my_client": {"image": "mine"},
    }
}


@pytest.fixture
def cluster(settings: Settings, server: ApiServer, api: Api) -> SimpleNamespace:
    """It runs, and has a Job that k8s/base does not know."""
    settings.state.mkdir(parents=True)
    server.write_kubeconfig(settings.kubeconfig)
    labels = {NAME: "bminio-init", "app.kubernetes.io/part-of": "boulder"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "bminio-init"}]}}
    metadata = {"name": "bminio-init", "labels": labels}
    server.add({"kind": "Job", "metadata": metadata, "spec": {"template": template}})
    server.add({"kind": "Job", "metadata": {"name": "not-ours"}, "spec": {"template": template}})
    return SimpleNamespace(settings=settings, api=api, is_running=lambda: True)


@pytest.fixture
def environ(checkout: Path, programs: Programs) -> dict[str, str]:
    programs.answer("docker", "config --format json", f"echo '{json.dumps(COMPOSE)}'")
    return {"PATH": os.environ["PATH"], "BOULDER_DIR": str(checkout)}


def test_a_name_of_the_base_asks_nobody(settings: Settings, cluster, environ, server: ApiServer, programs) -> None:
    assert named(settings, cluster, ["bredis_1", "bredis-2", "bconsul"], environ=environ) == [
        "bredis-1",
        "bredis-2",
        "bconsul",
    ]
    assert (server.requests, programs.calls("docker")) == ([], [])


def test_what_the_cluster_has_and_what_the_compose_file_has_is_known(settings, cluster, environ, programs) -> None:
    assert named(settings, cluster, ["bminio-init"], environ=environ) == ["bminio-init"]
    assert programs.calls("docker") == []
    assert named(settings, cluster, ["bredis_3", "bredis-3"], environ=environ) == ["bredis-3"] * 2
    cluster.is_running = lambda: False
    assert named(settings, cluster, ["bredis_3"], environ=environ) == ["bredis-3"]


@pytest.mark.parametrize(
    ("name", "first"), [("bminio_int", "bminio-init, bminio,"), ("redis_3", "bredis-3,"), ("my_client", "")]
)
def test_a_name_that_nobody_has_is_refused_with_the_nearest_first(settings, cluster, environ, name, first) -> None:
    with pytest.raises(Problem, match=f"^There is no service {name}.$") as caught:
        named(settings, cluster, ["bconsul", name], environ=environ)
    assert caught.value.fix.startswith(f"The services are, the nearest first: {first}")
    assert "not-ours" not in caught.value.fix
    assert "my-client" not in caught.value.fix  # Boulder does not depend on it, so nobody starts it here


def test_files_that_compose_refuses_or_a_checkout_that_is_gone_hide_no_log(
    settings, cluster, environ, programs
) -> None:
    programs.answer("docker", "config --format json", "echo no; exit 1")
    assert named(settings, cluster, ["bminio-init"], environ=environ) == ["bminio-init"]
    for place in (environ, {"BOULDER_DIR": "/nowhere"}):
        with pytest.raises(Problem, match="There is no service bredis_3"):
            named(settings, cluster, ["bredis_3"], environ=place)
