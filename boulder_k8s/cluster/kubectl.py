"""kubectl for what only kubectl does, `exec`, `port-forward` and `describe`, always with this project's kubeconfig and context.

Everything else that we ask the API server goes through api.py. `kubectl kustomize` asks no cluster
(manifests/overlay.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..host import process
from ..host.names import NAMESPACE


@dataclass(frozen=True)
class Kubectl:
    """Makes command lines for one cluster, and never for another one. binary: the kubectl to run."""

    binary: Path
    kubeconfig: Path
    context: str

    def exec(self, pod: str, container: str, command: list[str], *options: str) -> list[str]:
        """Returns the command line that runs a command in a container. options: such as --stdin, --tty."""
        return self.command("exec", pod, f"--container={container}", *options, "--", *command)

    def describe(self, kind: str) -> str:
        """Returns what `kubectl describe KIND` prints. Raises process.Failed, or subprocess.TimeoutExpired
        after 20 s.
        """
        return process.run(self.command("describe", kind), timeout=20)

    def command(self, *arguments: str) -> list[str]:
        """Returns the command line for `kubectl ARGUMENTS` in the project's namespace."""
        return [
            str(self.binary),
            f"--kubeconfig={self.kubeconfig}",
            f"--context={self.context}",
            f"--cache-dir={self.kubeconfig.parent / 'cache'}",  # not the user's ~/.kube
            f"--namespace={NAMESPACE}",
            *arguments,
        ]
