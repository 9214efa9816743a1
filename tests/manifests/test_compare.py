"""The static part of parity, and drift, on the miniature checkout: nothing unlisted there, and everything planted is found."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.rendering import KUBECTL, SETTINGS

from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import ROOT, Port, Settings
from boulder_k8s.manifests import compare, compose, differences, drift, overlay
from boulder_k8s.manifests.checkout import Checkout
from boulder_k8s.manifests.overlay import RenderOptions

Side = tuple[dict, list[dict]]


@pytest.fixture(scope="module", params=["config", "config-next"])
def side(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, docker_compose: None) -> Side:
    """The miniature's Compose file as Compose resolves it, and the run overlay made from it."""
    path = tmp_path_factory.mktemp("static") / "boulder"
    shutil.copytree(ROOT / "tests/fixtures/boulder", path)
    config_next = request.param == "config-next"
    document = compose.document(path, config_next)
    settings = Settings(ROOT, "unit", "node:test", (Port(14001, 4001), Port(14003, 4003)))
    rendered = overlay.render(
        settings,
        RenderOptions.of(
            Checkout(path),
            document,
            KUBECTL,
            ROOT / ".state" / "static-test" / request.param,
            config_next=config_next,
            secrets=False,
        ),
    )
    return document, rendered.objects


def unlisted(document: dict, objects: list[dict]) -> list[tuple[str, str]]:
    found, _ = differences.partition(compare.compare(document, objects), differences.read_intended())
    return [(item.subject, item.aspect) for item in found]


def test_the_manifests_have_what_the_compose_file_says(side: Side) -> None:
    assert unlisted(*side) == []


def services(document: dict, name: str) -> dict:
    return document["services"][name]


def container(objects: list[dict], name: str) -> dict:
    found = next(
        item for item in objects if item["metadata"]["name"] == name and item["kind"] in ("Deployment", "StatefulSet")
    )
    return found["spec"]["template"]["spec"]["containers"][0]


def unmount(container: dict, path: str) -> None:
    container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["mountPath"] != path]


def drop(objects: list[dict], kind: str, name: str) -> None:
    objects[:] = [item for item in objects if (item["kind"], item["metadata"]["name"]) != (kind, name)]


PLANTED_IN_COMPOSE: list[tuple[Callable[[dict], object], str, str]] = [
    (lambda d: services(d, "bredis_1").update(image="redis:8"), "bredis_1", "image"),
    (lambda d: services(d, "boulder")["environment"].update(FAKE_DNS="1.2.3.4"), "boulder", "environment FAKE_DNS"),
    (lambda d: services(d, "boulder")["environment"].update(NEW="1"), "boulder", "environment NEW"),
    (lambda d: services(d, "boulder").update(entrypoint=["other.sh"]), "boulder", "entrypoint"),
    (lambda d: services(d, "bredis_2").update(command=["redis-server"]), "bredis_2", "command"),
    (lambda d: services(d, "boulder").update(working_dir="/src"), "boulder", "working_dir"),
    (lambda d: services(d, "bminio").update(user="1000"), "bminio", "user"),
    (lambda d: services(d, "boulder").update(dns=["10.77.77.11"]), "boulder", "dns"),
    (lambda d: services(d, "boulder")["ports"].append({"target": 8055, "published": "8055"}), "boulder", "port 8055"),
    (
        lambda d: services(d, "boulder")["volumes"].append({"type": "bind", "source": "/etc", "target": "/host-etc"}),
        "boulder",
        "mount /host-etc",
    ),
    (
        lambda d: services(d, "boulder")["volumes"][1].update(source="/elsewhere"),
        "boulder",
        "mount /root/.cache/go-build",
    ),
    (
        lambda d: services(d, "bmariadb")["networks"]["bouldernet"]["aliases"].append("boulder-db"),
        "bmariadb",
        "alias boulder-db",
    ),
    (
        lambda d: services(d, "bredis_1")["networks"]["bouldernet"].update(ipv4_address="10.77.77.6"),
        "bredis_1",
        "address in bouldernet",
    ),
    (
        lambda d: services(d, "boulder")["networks"]["publicnet"].update(ipv4_address="64.112.117.123"),
        "boulder",
        "address in publicnet",
    ),
    (lambda d: services(d, "boulder")["extra_hosts"].append("new.test=1.2.3.4"), "boulder", "extra_hosts new.test"),
    (lambda d: services(d, "bvitess")["healthcheck"].update(test=["CMD", "true"]), "bvitess", "healthcheck"),
    (
        lambda d: services(d, "boulder")["depends_on"].update(bnew={"condition": "service_started"}),
        "boulder",
        "depends_on bnew",
    ),
    (lambda d: services(d, "boulder").update(cap_add=["SYS_ADMIN"]), "boulder", "key cap_add"),
    (lambda d: d["services"].update(bnew={"image": "new"}), "bnew", "service"),
    (lambda d: d["services"].pop("bjaeger"), "bjaeger", "service"),
    (lambda d: services(d, "bjaeger").update(network_mode="none"), "bjaeger", "network_mode"),
]
PLANTED_IN_MANIFESTS: list[tuple[Callable[[list[dict]], object], str, str]] = [
    (lambda o: container(o, "bredis-1").update(image="redis:latest"), "bredis_1", "image"),
    (lambda o: container(o, "boulder")["env"].append({"name": "EXTRA", "value": "1"}), "boulder", "environment EXTRA"),
    (lambda o: drop(o, "Service", "boulder-mariadb"), "bmariadb", "alias boulder-mariadb"),
    (lambda o: container(o, "boulder")["ports"].pop(), "boulder", "port 4003"),
    (lambda o: unmount(container(o, "boulder"), "/boulder"), "boulder", "mount /boulder"),
    (lambda o: container(o, "bvitess").pop("startupProbe"), "bvitess", "healthcheck"),
    (lambda o: drop(o, "NetworkPolicy", "bpkimetal"), "bpkimetal", "network_mode"),
    (lambda o: drop(o, "Deployment", "bproxysql"), "bproxysql", "service"),
]


@pytest.mark.parametrize(("plant", "subject", "aspect"), PLANTED_IN_COMPOSE)
def test_what_is_planted_in_the_compose_file_is_found(
    side: Side, plant: Callable[[dict], object], subject: str, aspect: str
) -> None:
    document = copy.deepcopy(side[0])
    plant(document)
    assert (subject, aspect) in unlisted(document, side[1])


@pytest.mark.parametrize(("plant", "subject", "aspect"), PLANTED_IN_MANIFESTS)
def test_what_is_planted_in_the_manifests_is_found(
    side: Side, plant: Callable[[list[dict]], object], subject: str, aspect: str
) -> None:
    objects = copy.deepcopy(side[1])
    plant(objects)
    assert (subject, aspect) in unlisted(side[0], objects)


def test_drift_is_silent_where_there_is_none(side: Side, capfd: pytest.CaptureFixture[str]) -> None:
    drift.check(*side, {})
    assert capfd.readouterr().err == ""


def test_drift_refuses_what_the_tests_depend_on_and_names_it_all(side: Side, capfd: pytest.CaptureFixture[str]) -> None:
    document = copy.deepcopy(side[0])
    services(document, "bredis_1")["command"] = ["redis-server", "/test/other.config"]
    services(document, "bvitess")["volumes"].append({"type": "bind", "source": "/etc", "target": "/new"})
    with pytest.raises(Problem) as problem:
        drift.check(document, side[1], {})
    assert "bredis_1 (command), bvitess (mount /new)" in problem.value.message
    assert "other.config" in problem.value.detail
    assert problem.value.exit_code == 2
    drift.check(document, side[1], {drift.VARIABLE: "note"})
    assert "other.config" in capfd.readouterr().err


def test_drift_says_the_rest(side: Side, capfd: pytest.CaptureFixture[str]) -> None:
    document = copy.deepcopy(side[0])
    services(document, "bvitess")["devices"] = ["/dev/null:/dev/null"]
    drift.check(document, side[1], {})
    assert "bvitess, key devices" in capfd.readouterr().err


def test_extra_hosts_tags_and_environment_are_followed(side: Side, tmp_path: Path) -> None:
    path = tmp_path / "boulder"
    shutil.copytree(ROOT / "tests/fixtures/boulder", path)
    (path / "docker-compose.override.yml").write_text(
        json.dumps(
            {
                "services": {
                    "boulder": {
                        "extra_hosts": ["new.test:1.2.3.4"],
                        "environment": {"FAKE_DNS": "10.0.0.9", "NEW": "1"},
                    },
                    "bjaeger": {"image": "jaegertracing/all-in-one:9"},
                }
            }
        )
    )
    document = compose.document(path, False)
    rendered = overlay.render(
        SETTINGS,
        RenderOptions.of(Checkout(path), document, KUBECTL, ROOT / ".state/static-test/o", secrets=False),
    )
    found = [item for item in unlisted(document, rendered.objects) if not item[1].startswith("port ")]
    assert found == []
    aliases = rendered.workload("boulder")["spec"]["template"]["spec"]["hostAliases"]
    assert {"ip": "1.2.3.4", "hostnames": ["new.test"]} in aliases
