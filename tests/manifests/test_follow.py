"""Services that k8s/base knows and the checkout changes: the miniature with another Compose file, each compared with what that says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support.rendering import followed, pods, references

from boulder_k8s.host.settings import ROOT

pytestmark = pytest.mark.usefixtures("docker_compose")
Change = Callable[[dict], object]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    path = tmp_path / "boulder"
    shutil.copytree(ROOT / "tests/fixtures/boulder", path)
    return path


@pytest.fixture
def render(checkout: Path, tmp_path: Path) -> Callable[[Change], list[dict]]:
    """Renders the checkout with a change of its services; a difference that is not intended fails the test."""

    def made(change: Change) -> list[dict]:
        path = checkout / "docker-compose.yml"
        given = yaml.safe_load(path.read_text())
        change(given["services"])
        path.write_text(json.dumps(given))  # YAML reads it
        found = followed(checkout, tmp_path / "overlay").objects
        there = {(item["kind"], item["metadata"]["name"]) for item in found}
        for item in found:
            for kind, name in references(item):
                assert kind not in ("ConfigMap", "Secret") or (kind, name) in there
        return found

    return made


def container(found: list[dict], name: str) -> dict:
    return next(item for item in pods(found)[name]["containers"] if item["name"] == name)


def mounted(found: list[dict], name: str) -> dict[str, str]:
    """What a workload mounts where: a directory of the node, or the kind of volume."""
    kinds = {
        volume["name"]: next(
            value["path"] if key == "hostPath" else key for key, value in volume.items() if key != "name"
        )
        for volume in pods(found)[name].get("volumes", [])
    }
    return {mount["mountPath"]: kinds.get(mount["name"], "claim") for mount in container(found, name)["volumeMounts"]}


def names(found: list[dict], kind: str) -> set[str]:
    return {item["metadata"]["name"].rpartition("-")[0] for item in found if item["kind"] == kind}


def test_what_does_not_change_gets_no_patch(render, tmp_path: Path) -> None:
    render(lambda services: None)
    assert [path.name for path in tmp_path.glob("overlay/*-changed-patch.yaml")] == []


def test_another_command_reads_whatever_the_service_mounts(render) -> None:
    def change(services: dict) -> None:
        services["bredis_1"] |= {"command": "redis-server /test/other.config --save 60 1", "working_dir": "/test"}
        services["bredis_1"] |= {"user": "999:999", "environment": {"NEW": "$$1"}}

    found = render(change)
    redis = container(found, "bredis-1")
    assert redis["args"] == ["redis-server", "/test/other.config", "--save", "60", "1"]
    assert (redis["workingDir"], redis["env"]) == ("/test", [{"name": "NEW", "value": "$$1"}])
    assert "tcpSocket" not in json.dumps(redis)  # it may listen on another port
    assert redis["securityContext"] == {"runAsUser": 999, "runAsGroup": 999}
    assert mounted(found, "bredis-1") == {"/data": "claim", "/test": "/boulder/test"}
    assert mounted(found, "bredis-2")["/test/redis-ratelimits.config"] == "configMap"  # as it was


def test_an_entrypoint_that_is_gone_and_a_healthcheck_that_is_another(render) -> None:
    def change(services: dict) -> None:
        del services["bminio"]["entrypoint"]
        services["bminio"] |= {"command": "server /data", "healthcheck": {"test": ["CMD", "true"], "timeout": "3s"}}

    minio = container(render(change), "bminio")
    assert "command" not in minio and minio["args"] == ["server", "/data"]
    assert minio["startupProbe"]["exec"] == {"command": ["true"]} and "httpGet" not in minio["startupProbe"]


def test_a_file_that_the_checkout_does_not_have_is_not_mounted(render, checkout: Path) -> None:
    """Boulder before May 2026: no pkimetal-config.yaml, no socket, and pkimetal has an address."""
    (checkout / "test/pkimetal-config.yaml").unlink()

    def change(services: dict) -> None:
        services["bpkimetal"] = {
            "image": services["bpkimetal"]["image"],
            "networks": {"bouldernet": {"ipv4_address": "10.77.77.9"}},
            "expose": ["8080"],
        }
        services["boulder"]["volumes"] = [item for item in services["boulder"]["volumes"] if "pkimetal" not in item]
        services["boulder"]["environment"].pop("USE_VITESS", None)

    found = render(change)
    assert (
        "volumeMounts" not in container(found, "bpkimetal")
        and "initContainers" not in pods(found)["bpkimetal"]
        or [item["name"] for item in pods(found)["bpkimetal"]["initContainers"]] == ["address"]
    )
    assert "bpkimetal-config" not in names(found, "ConfigMap")
    assert "/var/run/pkimetal" not in mounted(found, "boulder")
    assert "USE_VITESS" not in {item["name"] for item in container(found, "boulder")["env"]}
    assert not [item for item in found if item["kind"] == "NetworkPolicy"]


def test_new_mounts_of_every_kind(render) -> None:
    def change(services: dict) -> None:
        services["bjaeger"] |= {"volumes": ["./test:/test:ro", "/cache"], "tmpfs": ["/run/x"]}
        services["boulder"]["volumes"].append("./test/hostname-policy.yaml:/etc/policy.yaml:ro")

    found = render(change)
    assert mounted(found, "bjaeger") == {
        "/test": "/boulder/test",
        "/cache": "/var/local/boulder/volumes/bjaeger-2",
        "/run/x": "emptyDir",
    }
    assert mounted(found, "boulder")["/etc/policy.yaml"] == "/boulder/test/hostname-policy.yaml"


def test_a_new_file_of_a_configuration_directory_arrives(render, checkout: Path) -> None:
    (checkout / "test/consul/more.hcl").write_text("more = true\n")
    found = render(lambda services: None)
    config = next(item for item in found if item["metadata"]["name"].startswith("bconsul-config-"))
    assert {"config.hcl", "more.hcl"} <= set(config["data"])


@pytest.mark.parametrize("what", ["large", "name", "nested"])
def test_what_no_configmap_can_hold_is_mounted_from_the_checkout(render, checkout: Path, what: str) -> None:
    directory = checkout / "test/consul"
    if what == "large":
        (directory / "large.hcl").write_text("#" * (1 << 20))
    elif what == "name":
        (directory / "two words=.hcl").write_text("")
    else:
        (directory / "below").mkdir()
    found = render(lambda services: None)
    assert mounted(found, "bconsul") == {"/test": "/boulder/test"}
    assert "bconsul-config" not in names(found, "ConfigMap")


def test_keys_that_boulder_has_not_used_yet(render) -> None:
    keys = {"privileged": True, "read_only": True, "cap_add": ["NET_ADMIN"], "cap_drop": ["MKNOD"], "tty": True}
    keys |= {"stdin_open": True, "hostname": "other", "stop_grace_period": "1m5s", "logging": {"driver": "none"}}
    found = render(lambda services: services["bjaeger"].update(keys))
    jaeger = container(found, "bjaeger")
    assert jaeger["securityContext"]["capabilities"] == {"add": ["NET_ADMIN"], "drop": ["MKNOD"]}
    assert (jaeger["tty"], jaeger["stdin"]) == (True, True)
    assert pods(found)["bjaeger"]["terminationGracePeriodSeconds"] == 65
    assert pods(found)["bjaeger"]["hostname"] == "other"
