"""Docker Compose and Kubernetes seen alike: run a command in a fresh Boulder container, try something from its side."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..cluster.kind import Cluster
from ..host import process
from ..host.names import NAME, TESTS
from ..host.progress import step
from ..host.settings import Settings
from ..manifests import compose
from ..manifests.checkout import Checkout

COMPOSE, KUBERNETES = "Compose", "Kubernetes"
CONTAINER = "boulder_tests"  # t.sh's own name for it, so that neither runs beside the other


@dataclass(frozen=True)
class Compose:
    """The checkout's own stack, as t.sh (or tn.sh) uses it."""

    checkout: Checkout
    config_next: bool
    environ: Mapping[str, str]
    name: str = COMPOSE

    def boulder(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` behind entrypoint.sh in a fresh Boulder container."""
        return compose.command(
            self.config_next, "run", "-T", "-e", "USE_VITESS", "--rm", "--name", CONTAINER, "boulder", *command
        )

    def tests(self, arguments: Sequence[str]) -> list[str]:
        """The command line of the untouched t.sh or tn.sh."""
        return [str(self.checkout.path / ("tn.sh" if self.config_next else "t.sh")), *arguments]

    def prepare(self) -> None:
        """What t.sh does before: generate.sh."""
        self.run(compose.command(self.config_next, "run", "-T", "--rm", "bsetup"))

    def exec(self, service: str, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` beside what runs in a service's container."""
        if service == "boulder":
            return ["docker", "exec", CONTAINER, *command]
        return compose.command(self.config_next, "exec", "-T", service, *command)

    def run(self, command: Sequence[str]) -> str:
        return process.run(command, cwd=self.checkout.path, env=self.environ)

    @contextmanager
    def left_as_found(self) -> Iterator[None]:
        """Removes the stack afterwards if it was not there before, with the volumes that came with it."""
        there = self.run(compose.command(self.config_next, "ps", "--all", "--quiet")).strip()
        try:
            yield
        finally:
            if not there:
                with step("docker compose down --volumes"):
                    self.run(compose.command(self.config_next, "--profile", "*", "down", "--volumes"))


@dataclass(frozen=True)
class Kubernetes:
    """This project's cluster, as tk8s.sh (or tnk8s.sh) uses it; it stays, as after these."""

    settings: Settings
    cluster: Cluster
    checkout: Checkout
    config_next: bool
    environ: Mapping[str, str]
    name: str = KUBERNETES

    def boulder(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` behind entrypoint.sh in a fresh Boulder pod."""
        return [sys.executable, "-m", "boulder_k8s", "run-next" if self.config_next else "run", *command]

    def tests(self, arguments: Sequence[str]) -> list[str]:
        """The command line of tk8s.sh or tnk8s.sh."""
        return [str(self.settings.root / ("tnk8s.sh" if self.config_next else "tk8s.sh")), *arguments]

    def prepare(self) -> None:
        """Nothing: `boulder` runs generate.sh itself."""

    def exec(self, service: str, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` beside what runs in a service's container."""
        name = compose.object_name(service)
        pod = TESTS if service == "boulder" else self.pod(name)
        return self.cluster.kubectl.exec(pod, name, list(command))

    def pod(self, name: str) -> str:
        return self.cluster.api.list("Pod", labels=f"{NAME}={name}")[0]["metadata"]["name"]


Orchestrator = Compose | Kubernetes


def environment(environ: Mapping[str, str], checkout: Checkout, root: Path) -> dict[str, str]:
    """The environment for both: the user's, this checkout named, this package importable."""
    path = f"{root}:{environ['PYTHONPATH']}" if environ.get("PYTHONPATH") else str(root)
    kept = {key: value for key, value in environ.items() if key != "BOULDER_CI_ORCH"}  # tk8s.sh is to be Kubernetes
    return {**kept, "BOULDER_DIR": str(checkout.path), "PYTHONPATH": path}
