"""One file for a machine without a network. An image under a tag of the test's own is taken from the engine, and brought back by the
file: the engine keeps its other images, which the other tests need.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from support.e2e import Project

REDIS, TAG = "redis:7.0.15", "redis:boulder-k8s-airgap"


def docker(*arguments: str) -> str:
    result = subprocess.run(["docker", *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture
def tagged() -> Iterator[str]:
    """The image's id; its tag is gone afterwards, whatever the test did."""
    docker("image", "tag", REDIS, TAG)
    yield docker("image", "inspect", "--format", "{{.Id}}", TAG)
    subprocess.run(["docker", "image", "rm", TAG], capture_output=True)


@pytest.fixture
def small(project: Project, tmp_path: Path) -> Project:
    """The miniature checkout with one small image for everything, the node included: what is saved is not 4 GB."""
    checkout = tmp_path / "boulder"
    shutil.copytree(project.checkout, checkout, symlinks=True)
    compose = checkout / "docker-compose.yml"
    document = yaml.safe_load(compose.read_text())
    for service in document["services"].values():
        service["image"] = TAG
    compose.write_text(yaml.safe_dump(document))
    return replace(project, checkout=checkout, environment={**project.environment, "KIND_NODE_IMAGE": TAG})


def test_what_is_missing_is_named_and_the_file_brings_it(
    stack: Project, small: Project, tagged: str, tmp_path: Path
) -> None:
    file = tmp_path / "boulder.tar"
    result = small.invoke("images", "save", str(file))
    assert result.returncode == 0, result.stderr.decode()
    docker("image", "rm", TAG)
    override = {"services": {name: {"image": TAG} for name in ("bredis_1", "bredis_2")}}
    (stack.checkout / "docker-compose.override.yml").write_text(yaml.safe_dump(override))

    result = stack.run("--help", BOULDER_K8S_OFFLINE="true")
    assert result.returncode == 2
    assert f"Image {TAG} is not here, and nothing is fetched offline".encode() in result.stderr

    cut = tmp_path / "cut.tar"
    shutil.copy(file, cut)
    os.truncate(cut, file.stat().st_size // 2)
    result = stack.invoke("images", "load", str(cut))
    assert result.returncode == 2
    assert b"cut.tar is not a whole file of `invoke images save`" in result.stderr
    assert subprocess.run(["docker", "image", "inspect", TAG], capture_output=True).returncode != 0

    result = stack.invoke("images", "load", str(file))
    assert result.returncode == 0, result.stderr.decode()
    assert docker("image", "inspect", "--format", "{{.Id}}", TAG) == tagged

    result = stack.run("--help", BOULDER_K8S_OFFLINE="true")
    assert result.returncode == 0, result.stderr.decode()
    assert stack.record()["images"][TAG] == tagged
    # Not the status: the node calls an image by any of its tags there.
    running = stack.kubectl("get", "pods", "-o", "jsonpath={.items[*].spec.containers[*].image}").split()
    assert running.count(TAG) == 2
