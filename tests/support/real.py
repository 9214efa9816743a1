"""The real Boulder, brought up by `invoke up` from the checkout that BOULDER_DIR names, on a cluster of the tests' own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = "boulder-real"
LIMIT = 1800  # seconds; the first `up` of a checkout compiles Boulder
PUBLISHED = (4001, 4003, 4431, 8055)  # Boulder's ports that a client may want, as docs/acme-clients.md lists them


def is_boulder(checkout: Path) -> bool:
    """Whether it is Boulder itself: the miniature checkout has no Go in it."""
    module = checkout / "go.mod"
    return module.is_file() and "module github.com/letsencrypt/boulder" in module.read_text().splitlines()


@dataclass
class Boulder:
    """A Boulder on a cluster. ports: of this host, by those of Boulder that they lead to."""

    checkout: Path
    ports: dict[int, int]

    def invoke(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """A task; one that fails fails the test."""
        environment = {
            **{key: value for key, value in os.environ.items() if key != "FAKE_DNS"},
            "BOULDER_DIR": str(self.checkout),
            "KIND_CLUSTER": CLUSTER,
            "BOULDER_PORTS": ",".join(f"{host}:{container}" for container, host in self.ports.items()),
            "CI": "true",
        }
        result = subprocess.run(
            [ROOT / ".venv/bin/invoke", *arguments],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        sys.stderr.write(result.stderr[-3000:])  # pytest shows it when the test fails
        assert result.returncode == 0, arguments
        return result

    def url(self, port: int, path: str = "", scheme: str = "http") -> str:
        return f"{scheme}://localhost:{self.ports[port]}/{path}"


def free_ports(number: int) -> list[int]:
    probes = [socket.socket() for _ in range(number)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
