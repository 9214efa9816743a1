"""Digests in k8s/base/kustomization.yaml: those that a registry gave, at their place in a file that people write."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from support.programs import Programs

from boulder_k8s.airgap import pins
from boulder_k8s.host.settings import ROOT, Settings
from boulder_k8s.manifests.compose import Service
from boulder_k8s.manifests.workloads import workloads

BASE = (ROOT / "k8s/base/kustomization.yaml").read_text()
DIGEST = f"sha256:{'a' * 64}"


def images(text: str) -> dict[str, dict]:
    return {item.get("newName", item["name"]): item for item in yaml.safe_load(text)["images"]}


def test_tag_and_digest_are_written_and_nothing_else_changes() -> None:
    known = {
        "redis": {"newTag": "1.10", "digest": DIGEST},
        "hashicorp/consul": {"newTag": "2.0.0", "digest": DIGEST},
        "minio/minio": {"newTag": None, "digest": DIGEST},
        "mariadb": {"newName": "elsewhere/mariadb", "newTag": "11", "digest": DIGEST},
    }
    text = pins.pinned(BASE, known)
    expected = images(BASE)
    expected["redis"] |= {"newTag": "1.10", "digest": DIGEST}
    expected["hashicorp/consul"] |= {"newTag": "2.0.0", "digest": DIGEST}
    expected["minio/minio"] |= {"digest": DIGEST}
    expected["elsewhere/mariadb"] = {"name": "mariadb", **known["mariadb"]}
    del expected["mariadb"]
    assert images(text) == expected
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        line for line in BASE.splitlines() if line.startswith("#")
    ]
    assert len(text.splitlines()) == len(BASE.splitlines()) + 5
    assert pins.pinned(text, known) == text


def test_an_older_digest_is_replaced_and_the_comment_behind_it_stays() -> None:
    text = "images:\n- name: redis\n  digest: sha256:old # why\n  newTag: '7'\n\n# the end\n"
    new = pins.pinned(text, {"redis": {"newTag": "8", "digest": DIGEST}})
    assert new == f"images:\n- name: redis\n  digest: {DIGEST} # why\n  newTag: '8'\n\n# the end\n"


@pytest.fixture
def project(settings: Settings, checkout: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """A checkout whose Consul is newer than the base's; the engine has Consul from its registry and Redis from a file."""
    shutil.copytree(ROOT / "k8s/base", settings.root / "k8s/base")
    monkeypatch.setenv("BOULDER_DIR", str(checkout))
    services = {
        workload.name: Service(workload.name, f"{workload.image}:1", {}, False, {}) for workload in workloads().values()
    }
    monkeypatch.setattr(pins.compose, "document", lambda *_, **__: {})
    monkeypatch.setattr(pins.compose, "services", lambda _: services)
    programs.answer("docker", "image inspect", 'echo "Error: No such image: $5" >&2; exit 1')
    inspected(programs, "redis:1")
    inspected(programs, "hashicorp/consul:1", "elsewhere/consul@sha256:b", f"hashicorp/consul@{DIGEST}")
    store(programs, "extfs")
    return programs


def inspected(programs: Programs, reference: str, *digests: str) -> None:
    answer = json.dumps({"Id": "sha256:1", "RepoDigests": list(digests)})
    programs.answer("docker", f"{{{{json .}}}} {reference}", f"echo '{answer}'")


def store(programs: Programs, driver: str) -> None:
    info = {"ServerVersion": "29.0.0", "DriverStatus": [["driver-type", driver]]}
    programs.answer("docker", "info", f"echo '{json.dumps(info)}'")


def test_an_image_that_moved_is_followed(project: Programs, settings: Settings, monkeypatch) -> None:
    monkeypatch.setattr(
        pins.overlay,
        "image_overrides",
        lambda _: [{"name": "redis", "newName": "hashicorp/consul", "newTag": "1"}],
    )
    pins.pin(settings)
    found = images((settings.root / "k8s/base/kustomization.yaml").read_text())["hashicorp/consul"]
    assert found == {"name": "redis", "newName": "hashicorp/consul", "newTag": "1", "digest": DIGEST}


def test_only_an_image_whose_registry_told_its_digest_is_pinned(project, settings: Settings, capsys) -> None:
    pins.pin(settings)
    text = (settings.root / "k8s/base/kustomization.yaml").read_text()
    before, after = images(BASE), images(text)
    assert after.pop("hashicorp/consul") == {
        "name": "consul",
        "newName": "hashicorp/consul",
        "newTag": "1",
        "digest": DIGEST,
    }
    del before["hashicorp/consul"]
    assert after == before
    said = capsys.readouterr().err
    assert "redis:1: no registry's digest is known; left as it is" in said
    assert "minio/minio:1: no registry's digest is known; left as it is" in said  # not in the engine at all
    pins.pin(settings)
    assert "stays as it is" in capsys.readouterr().err


def test_a_digest_that_containerds_store_made_up_itself_is_not_written(project, settings: Settings) -> None:
    store(project, "io.containerd.snapshotter.v1")
    project.answer("docker", "manifest inspect", "echo no such manifest >&2; exit 1")
    pins.pin(settings)
    path = settings.root / "k8s/base/kustomization.yaml"
    assert path.read_text() == BASE
    project.answer("docker", f"manifest inspect hashicorp/consul@{DIGEST}", "echo {}")
    pins.pin(settings)
    assert images(path.read_text())["hashicorp/consul"]["digest"] == DIGEST
