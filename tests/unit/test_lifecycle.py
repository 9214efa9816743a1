"""`invoke restart`, `stop`, `start` and `rm`: which workloads change, what stays, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.api_server import ApiServer

from boulder_k8s.commands import lifecycle, workload
from boulder_k8s.commands.arguments import Options
from boulder_k8s.commands.logs import LogOptions
from boulder_k8s.commands.up import as_before, kept
from boulder_k8s.host import state
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.names import NAME, REPLICAS
from boulder_k8s.host.settings import Settings
from boulder_k8s.host.tools import Tools
from boulder_k8s.manifests.overrides import Overrides


@pytest.fixture
def settings(settings: Settings, server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A cluster that runs Consul, MariaDB, Boulder and a Job."""
    settings.state.mkdir(parents=True)
    server.write_kubeconfig(settings.kubeconfig)
    monkeypatch.setattr(lifecycle.tools, "find", lambda _: Tools(Path("/kind"), Path("/kubectl")))
    monkeypatch.setattr(lifecycle.Cluster, "require_running", lambda _: None)
    monkeypatch.setattr(lifecycle.Cluster, "is_running", lambda _: True)
    monkeypatch.setenv("BOULDER_DIR", "/nowhere")
    for kind, name in (("Deployment", "bconsul"), ("StatefulSet", "bmariadb"), ("Deployment", "boulder")):
        add(server, kind, name)
    add(server, "Job", "bminio-init")
    return settings


def add(server: ApiServer, kind: str, name: str) -> None:
    labels = {NAME: name, "app.kubernetes.io/part-of": "boulder"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": name, "image": name, "env": []}]}}
    spec = {"template": template}
    spec |= {"replicas": 1, "selector": {"matchLabels": labels}} if kind != "Job" else {}
    server.add({"kind": kind, "metadata": {"name": name, "labels": labels}, "spec": spec})


@pytest.fixture
def ups(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Options, bool]]:
    """What is asked of `up`, in place of it."""
    asked: list[tuple[Options, bool]] = []
    monkeypatch.setattr(lifecycle, "up", lambda _, __, options, anew=False: asked.append((options, anew)))
    return asked


def pods(server: ApiServer) -> dict[str, str]:
    found = server.store.list("Pod", "boulder")
    return {pod["metadata"]["labels"][NAME]: pod["metadata"]["uid"] for pod in found}


def changed(before: dict[str, str], server: ApiServer) -> set[str]:
    return {name for name, uid in pods(server).items() if before.get(name) != uid}


def test_restart_makes_the_pods_of_these_services_anew_and_boulder_by_up(settings, server, ups) -> None:
    before = pods(server)
    lifecycle.restart(settings, None, ["bmariadb"])
    assert (changed(before, server), ups) == ({"bmariadb"}, [])
    state.write(settings.file("boulder"), kept(Options(True, overrides=Overrides("10.77.0.80", (("a", "::1"),)))))
    lifecycle.restart(settings, None, [])
    assert changed(before, server) == {"bconsul", "bmariadb"}
    ((options, anew),) = ups
    assert (options.config_next, options.overrides.fake_dns, options.overrides.hosts, anew) == (
        *(True, "10.77.0.80", (("a", "::1"),), True),
    )


def test_what_is_stopped_has_no_pod_and_start_gives_it_one(settings, server, ups, capsys) -> None:
    server.controller.linger = 0.3
    lifecycle.stop(settings, ["bconsul", "boulder"])
    assert set(pods(server)) == {"bmariadb"}
    lifecycle.stop(settings, ["bconsul"])  # a second time changes nothing
    lifecycle.start(settings, None, ["bconsul"])
    assert (set(pods(server)), ups) == ({"bconsul", "bmariadb"}, [])
    lifecycle.start(settings, None, [])
    assert len(ups) == 1 and not ups[0][1]
    lifecycle.start(settings, None, ["bmariadb"])
    assert "nothing of that is stopped" in capsys.readouterr().err
    lifecycle.stop(settings, [])
    assert pods(server) == {}
    lifecycle.restart(settings, None, ["bmariadb"])  # as under Compose, it starts what is stopped
    assert set(pods(server)) == {"bmariadb"}


def test_a_boulder_that_a_killed_run_stopped_is_stopped_for_good(settings, server) -> None:
    server.change("Deployment", "boulder", {"metadata": {"annotations": {REPLICAS: "1"}}, "spec": {"replicas": 0}})
    lifecycle.stop(settings, ["boulder"])
    found = server.find("Deployment", "boulder")
    assert workload.annotation(found, REPLICAS) == ""
    assert workload.starting(found)["spec"] == {"replicas": 1}


def test_a_service_that_does_not_end_is_named(settings, server, monkeypatch) -> None:
    server.controller.linger = 5
    monkeypatch.setattr(lifecycle, "ENDING", 0.2)
    with pytest.raises(Problem, match="bmariadb did not end within"):
        lifecycle.stop(settings, ["bmariadb"])


def test_what_is_not_there_is_refused(settings, server) -> None:
    for act in (lambda names: lifecycle.restart(settings, None, names), lambda names: lifecycle.stop(settings, names)):
        with pytest.raises(Problem, match="There is no service bmariad."):
            act(["bmariad"])
        for name in ("bminio-init", "bjaeger"):
            with pytest.raises(Problem, match=f"{name} is not on the cluster, or does not go on running"):
                act([name])
    with pytest.raises(Problem, match="rm needs the name of a service"):
        lifecycle.remove(settings, [])


def test_rm_ends_the_service_and_empties_it(settings, server, monkeypatch, capsys) -> None:
    emptied: list[list[str]] = []
    monkeypatch.setattr(lifecycle.databases, "empty", lambda _, __, names: emptied.append(names))
    lifecycle.remove(settings, ["bmariadb"])
    assert emptied == [["bmariadb"]]
    assert "`invoke up` starts them" in capsys.readouterr().err


def test_options_of_up_come_back_as_they_were(tmp_path: Path) -> None:
    options = Options(True, overrides=Overrides("host-gateway", (("a.example", "10.0.0.1"),), tmp_path))
    found = as_before(kept(options))
    assert (found.config_next, found.overrides) == (True, options.overrides)


def test_without_a_record_of_up_the_deployment_tells_the_configuration(settings, server) -> None:
    environment = [{"name": "BOULDER_CONFIG_DIR", "value": "test/config-next"}]
    container = {"name": "boulder", "image": "boulder", "env": environment}
    server.change("Deployment", "boulder", {"spec": {"template": {"spec": {"containers": [container]}}}})
    assert lifecycle.remembered(settings, server.find("Deployment", "boulder")).config_next


@pytest.mark.parametrize(("services", "what"), [((), "all services"), (("bconsul", "bmariadb"), "bconsul, bmariadb")])
def test_ctrl_c_after_up_stops_what_it_was_to_start(settings: Settings, monkeypatch, capsys, services, what) -> None:
    stopped = []
    monkeypatch.setattr(lifecycle, "logs", lambda *_: 130)
    monkeypatch.setattr(lifecycle, "stop", lambda _, names: stopped.append(names))
    assert lifecycle.attached(settings, LogOptions([*services], follow=True), services) == 130
    assert stopped == [services] and f"Ctrl-C stops {what}\n" in capsys.readouterr().err
