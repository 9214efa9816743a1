"""Fixtures of the unit tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pods import FIXTURE, Pod


@pytest.fixture
def make_pod(tmp_path: Path) -> Iterator[Callable[..., Pod]]:
    pods: list[Pod] = []

    def make(name: str = "run") -> Pod:
        pods.append(Pod(tmp_path / name))
        return pods[-1]

    yield make
    for pod in pods:
        pod.end()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the miniature checkout, with certificates that only have to be there."""
    path = tmp_path / "boulder"
    shutil.copytree(FIXTURE, path, symlinks=True)
    for name in (
        "minica.pem",
        "minica-key.pem",
        "redis/cert.pem",
        "redis/key.pem",
        "consul.boulder/cert.pem",
        "consul.boulder/key.pem",
    ):
        file = path / "test/certs/ipki" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"invented {name}\n")
    return path
