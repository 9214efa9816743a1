"""Docker Compose and Kubernetes with the same methods: run a command in a fresh Boulder container, or in that of a
service.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..cluster.kind import Cluster
from ..host import docker, process, python
from ..host.errors import Problem
from ..host.names import NAME, TESTS
from ..host.progress import step
from ..host.settings import Settings
from ..manifests import compose, harness
from ..manifests.checkout import Checkout
from ..manifests.harness import Harness
from ..run.directory import last_run

COMPOSE, KUBERNETES = "Compose", "Kubernetes"


@dataclass(frozen=True)
class Compose:
    """The Compose stack of a checkout, as t.sh (or tn.sh, if config_next) uses it."""

    checkout: Checkout
    config_next: bool
    environ: Mapping[str, str]
    name: str = COMPOSE

    @property
    def script(self) -> Harness:
        """What t.sh or tn.sh does."""
        return harness.read(self.checkout.path, self.config_next)

    def boulder(self, command: Sequence[str], terminal: bool = False) -> list[str]:
        """Returns the command line that runs `command` through entrypoint.sh in a fresh Boulder container.

        terminal: its streams are a terminal.
        """
        streams = () if terminal else ("-T",)
        passed = self.script.passed(self.checkout.path, self.environ).items()
        words = [word for name, value in passed for word in ("-e", f"{name}={value}")]
        return self.script.compose(
            "run", *streams, *words, "--rm", "--name", self.script.container, "boulder", *command
        )

    def tests(self, arguments: Sequence[str]) -> list[str]:
        """Returns the command line of the unchanged t.sh or tn.sh."""
        return [str(self.checkout.path / ("tn.sh" if self.config_next else "t.sh")), *arguments]

    def prepare(self) -> None:
        """Runs generate.sh, as t.sh does first. Raises process.Failed."""
        for first in self.script.before:
            self.run(self.script.compose("run", "-T", "--rm", first.service, *first.words))

    def restarts(self) -> list[dict]:
        """Returns nothing: what ends stays down, and the tests say so."""
        return []

    def exec(self, service: str, command: Sequence[str]) -> list[str]:
        """Returns the command line that runs `command` in the running container of a service."""
        if service == "boulder":
            return ["docker", "exec", self.script.container, *command]
        return self.script.compose("exec", "-T", service, *command)

    def run(self, command: Sequence[str]) -> str:
        """Runs a command in the checkout; returns its stdout. Raises process.Failed."""
        return process.run(command, cwd=self.checkout.path, env=self.environ)

    @contextmanager
    def left_as_found(self) -> Iterator[None]:
        """Removes the stack and its volumes after the block, unless the stack was there before, and in any case the
        container of the tests. Raises process.Failed.
        """
        there = self.run(self.script.compose("ps", "--all", "--quiet")).strip()
        try:
            yield
        finally:
            # An interrupted `docker compose run` may leave its container; before the block there was none of that name.
            if docker.inspect_container(self.script.container):
                self.run(["docker", "rm", "--force", "--volumes", self.script.container])
            if not there:
                with step("docker compose down --volumes"):
                    self.run(self.script.compose("--profile", "*", "down", "--volumes"))


@dataclass(frozen=True)
class Kubernetes:
    """This project's cluster, as tk8s.sh (or tnk8s.sh, if config_next) uses it. It stays afterwards, as it does after
    these.
    """

    settings: Settings
    cluster: Cluster
    checkout: Checkout
    config_next: bool
    environ: Mapping[str, str]
    name: str = KUBERNETES

    def boulder(self, command: Sequence[str], terminal: bool = False) -> list[str]:
        """Returns the command line that runs `command` through entrypoint.sh in a fresh Boulder pod.

        terminal: its streams are a terminal, which the command sees by itself.
        """
        return python.command("__main__", "run-next" if self.config_next else "run", *command)

    def tests(self, arguments: Sequence[str]) -> list[str]:
        """Returns the command line of tk8s.sh or tnk8s.sh."""
        return [str(self.settings.root / ("tnk8s.sh" if self.config_next else "tk8s.sh")), *arguments]

    def prepare(self) -> None:
        """Does nothing, because `boulder` runs generate.sh."""

    def restarts(self) -> list[dict]:
        """Returns which dependencies ended in the last run of the tests and were started again (run/restarts.py)."""
        return last_run(self.settings).get("restarts", [])

    def exec(self, service: str, command: Sequence[str]) -> list[str]:
        """Returns the command line that runs `command` in the running container of a service. Raises ApiError, or Problem if
        the service has no pod.
        """
        name = compose.object_name(service)
        pod = TESTS if service == "boulder" else self.pod(name)
        return self.cluster.kubectl.exec(pod, name, list(command))

    def pod(self, name: str) -> str:
        """Returns the name of the pod of a workload, one that runs if there is one. Raises ApiError, or Problem if there is
        none.
        """
        pods = self.cluster.api.list("Pod", labels=f"{NAME}={name}")
        pods.sort(key=lambda pod: pod.get("status", {}).get("phase") != "Running")
        if not pods:
            raise Problem(f"The service {name} has no pod.", "Run `invoke up`; `invoke status` shows what there is.")
        return pods[0]["metadata"]["name"]


Orchestrator = Compose | Kubernetes


def environment(environ: Mapping[str, str], checkout: Checkout) -> dict[str, str]:
    """Returns the environment for both: the user's, with the checkout as BOULDER_DIR."""
    kept = {key: value for key, value in environ.items() if key != "BOULDER_CI_ORCH"}  # or tk8s.sh runs Compose
    return {**kept, "BOULDER_DIR": str(checkout.path)}
