"""Fixtures of the unit tests."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.api_server import ApiServer
from support.docker import docker_compose
from support.pods import FIXTURE, Pod
from support.programs import Programs, on_path

from boulder_k8s.cluster.api import Api
from boulder_k8s.host.settings import Port, Settings
from boulder_k8s.host.signals import CAUGHT, Signals

__all__ = ["docker_compose"]

# The runs of `nohup ./check &` would inherit that these are ignored.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Removes what the machine's own environment says to the tool or to Compose: the lab and CI export tags and a node image."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker-config"))
    for name in [*os.environ]:
        if name.startswith(("BOULDER_", "KIND", "DOCKER_HOST", "DOCKER_CONTEXT")) or name in {
            "CI",
            "FAKE_DNS",
            "KUBECTL",
            "NO_COLOR",
            "USE_VITESS",
        }:
            monkeypatch.delenv(name)


@pytest.fixture
def signals() -> Iterator[Signals]:
    """What a command takes signals with; afterwards they are handled as before."""
    before = {number: signal.getsignal(number) for number in CAUGHT}
    yield Signals()
    for number, handler in before.items():
        signal.signal(number, handler)


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


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    return on_path(tmp_path / "programs", monkeypatch)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a project of the test's own; its host ports are none that anybody uses."""
    (tmp_path / "project").mkdir()
    return Settings(tmp_path / "project", "unit", "node:test", (Port(24911, 4001), Port(24913, 4003)))


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """A small API server, as of a new cluster."""
    with ApiServer() as found:
        yield found


@pytest.fixture
def api(server: ApiServer, tmp_path: Path) -> Api:
    """Our door to it."""
    return Api(server.write_kubeconfig(tmp_path / "kubeconfig"), "kind-unit", tmp_path / "discovery.json")
