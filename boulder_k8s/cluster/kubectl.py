"""kubectl, always with this project's kubeconfig and context: no other cluster can be meant."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from ..host import process
from ..host.settings import NAMESPACE

PATIENCE = 60.0  # seconds that an API server may take to come back, as after its restart
# The last two are of an API server that has just started: it does not know yet that we are the administrator, nor its own schemas.
UNANSWERED = (
    "was refused",
    "connection reset",
    "TLS handshake timeout",
    "unexpected EOF",
    "http2:",
    "the server is currently unable",
    "etcdserver:",
    "ServiceUnavailable",
    "i/o timeout",
    'User "kubernetes-admin" cannot',
    "error validating data: unknown;",
)


def unanswered(error: process.Failed) -> bool:
    """Whether kubectl failed without an answer of the API server, so that asking again may help."""
    killed = error.returncode < 0  # kubectl itself, by a signal
    return killed or any(text in error.output for text in UNANSWERED)


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
            f"--cache-dir={self.kubeconfig.parent / 'cache'}",  # not the user's ~/.kube
            f"--namespace={self.namespace}",
            *arguments,
        ]

    def run(
        self, *arguments: str, input: str | None = None, timeout: float | None = 60, patience: float = PATIENCE
    ) -> str:
        """Runs it and returns its stdout; again while the API server does not answer, for `patience` seconds.

        Raises process.Failed, or subprocess.TimeoutExpired when one call takes longer than `timeout` seconds.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                return process.run(self.command(*arguments), input=input, timeout=timeout)
            except process.Failed as error:
                if not unanswered(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)  # nothing to watch: what would be asked is what does not answer

    def json(self, *arguments: str, timeout: float | None = 60, patience: float = PATIENCE) -> dict:
        """`kubectl ARGUMENTS -o json`, parsed; otherwise as `run`."""
        return json.loads(self.run(*arguments, "-o", "json", timeout=timeout, patience=patience))

    def find(self, *arguments: str, timeout: float | None = 60, patience: float = PATIENCE) -> dict | None:
        """As `json`, but None when there is no such object."""
        try:
            return self.json(*arguments, timeout=timeout, patience=patience)
        except process.Failed as error:
            if "(NotFound)" in error.output:
                return None
            raise

    def apply(self, objects: list[dict]) -> str:
        """Server-side apply of objects, this project owning their fields; returns kubectl's lines (one an object)."""
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        return self.run(
            "apply", "--server-side", "--force-conflicts", "--field-manager=boulder-k8s", "-f", "-", input=document
        )

    def kustomize(self, directory: Path) -> str:
        """`kubectl kustomize DIRECTORY`: rendered YAML. It asks no cluster."""
        return process.run([str(self.binary), "kustomize", str(directory)], timeout=60)
