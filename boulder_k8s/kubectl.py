"""kubectl, always with this project's kubeconfig and context: no other cluster can be meant."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from . import process
from .settings import NAMESPACE


@dataclass(frozen=True)
class Kubectl:
    """Command lines for one cluster. `binary` is the kubectl to run."""

    binary: Path
    kubeconfig: Path
    context: str
    namespace: str = NAMESPACE

    def command(self, *arguments: str) -> list[str]:
        """The command line for `kubectl ARGUMENTS` in the project's namespace."""
        return [
            str(self.binary),
            f"--kubeconfig={self.kubeconfig}",
            f"--context={self.context}",
            f"--namespace={self.namespace}",
            *arguments,
        ]

    def run(self, *arguments: str, input: str | None = None, timeout: float | None = 60) -> str:
        """Runs it and returns its stdout. Raises process.Failed, or subprocess.TimeoutExpired after `timeout` seconds."""
        return process.run(self.command(*arguments), input=input, timeout=timeout)

    def json(self, *arguments: str, timeout: float | None = 60) -> dict:
        """`kubectl ARGUMENTS -o json`, parsed."""
        return json.loads(self.run(*arguments, "-o", "json", timeout=timeout))

    def apply(self, objects: list[dict]) -> str:
        """Server-side apply of objects, this project owning their fields; returns kubectl's lines (one an object)."""
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        return self.run(
            "apply", "--server-side", "--force-conflicts", "--field-manager=boulder-k8s", "-f", "-", input=document
        )

    def kustomize(self, directory: Path) -> str:
        """`kubectl kustomize DIRECTORY`: rendered YAML. It asks no cluster."""
        return process.run([str(self.binary), "kustomize", str(directory)], timeout=60)
