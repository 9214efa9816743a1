"""Digests in k8s/base/images: those that a registry gave."""

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
from boulder_k8s.manifests.workloads import IMAGES, workloads

BASE = (ROOT / IMAGES).read_text()
DIGEST = f"sha256:{'a' * 64}"


def images(text: str) -> dict[str, dict]:
    return {item.get("newName", item["name"]): item for item in yaml.safe_load(text)["images"]}


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
    found = images((settings.root / IMAGES).read_text())["hashicorp/consul"]
    assert found == {"name": "redis", "newName": "hashicorp/consul", "newTag": "1", "digest": DIGEST}


def test_only_an_image_whose_registry_told_its_digest_is_pinned(project, settings: Settings, capsys) -> None:
    pins.pin(settings)
    text = (settings.root / IMAGES).read_text()
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
    assert text.startswith(BASE[: BASE.index("apiVersion")])  # the words for people
    pins.pin(settings)
    assert "stays as it is" in capsys.readouterr().err


def test_an_older_pin_is_replaced(project, settings: Settings) -> None:
    pins.pin(settings)
    newer = f"sha256:{'b' * 64}"
    inspected(project, "hashicorp/consul:1", f"hashicorp/consul@{newer}")
    pins.pin(settings)
    assert images((settings.root / IMAGES).read_text())["hashicorp/consul"]["digest"] == newer


def test_a_digest_that_containerds_store_made_up_itself_is_not_written(project, settings: Settings) -> None:
    store(project, "io.containerd.snapshotter.v1")
    project.answer("docker", "manifest inspect", "echo no such manifest >&2; exit 1")
    pins.pin(settings)
    path = settings.root / IMAGES
    assert path.read_text() == BASE
    project.answer("docker", f"manifest inspect hashicorp/consul@{DIGEST}", "echo {}")
    pins.pin(settings)
    assert images(path.read_text())["hashicorp/consul"]["digest"] == DIGEST


def test_a_digest_that_the_compose_file_gives_is_written_with_its_tag(project, settings: Settings, monkeypatch) -> None:
    """The engine knows such an image by its digest alone, and its tag may be another image there."""
    given = {"name": "redis", "newName": "redis", "newTag": "1", "digest": DIGEST}
    monkeypatch.setattr(pins.overlay, "image_overrides", lambda _: [given])
    pins.pin(settings)
    assert images((settings.root / IMAGES).read_text())["redis"] == {"name": "redis", "newTag": "1", "digest": DIGEST}
