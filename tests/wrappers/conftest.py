"""A copy of the project whose docker, kind and kubectl are fakes that answer like a warm machine and write down what they were asked."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from boulder_k8s.settings import ROOT

FAKES = Path(__file__).parent / "fakes"


@dataclass
class Machine:
    """The project's copy and the fakes. `state` holds files that tell the fakes how to behave (fakes/README.md)."""

    project: Path
    checkout: Path
    state: Path

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": f"{self.state}/bin:/usr/bin:/bin",
            "HOME": str(self.state),
            "FAKE_STATE": str(self.state),
            "KUBECTL": "kubectl",
            "BOULDER_DIR": str(self.checkout),
            "BOULDER_PORTS": "24811:4001",
            **more,
        }

    def start(self, *arguments: str, wrapper: str = "tk8s.sh", **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            [self.project / wrapper, *arguments],
            env=self.environment(**environment),
            cwd=self.state,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, wrapper: str = "tk8s.sh", **environment: str) -> subprocess.CompletedProcess[str]:
        child = self.start(*arguments, wrapper=wrapper, **environment)
        try:
            out, err = child.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(child.args, child.returncode, out, err)

    def invoke(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [self.project / ".venv/bin/invoke", *arguments]
        return subprocess.run(
            command,
            env=self.environment(**environment),
            cwd=self.project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def tell(self, name: str, text: str = "") -> None:
        (self.state / name).write_text(text)

    def calls(self, tool: str) -> list[list[str]]:
        """The arguments of every call of a fake."""
        path = self.state / f"{tool}.calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def borrow_environment(venv: Path) -> None:
    """A complete .venv that borrows what the running one has installed, whichever that is, and never writes to it."""
    (venv / "bin").mkdir(parents=True)
    for name in ("pyvenv.cfg", "lib", "lib64", "bin/python", "bin/python3", "bin/kubectl"):
        (venv / name).symlink_to(Path(sys.prefix) / name)
    # Its own: a borrowed one would start the borrowed environment's Python.
    (venv / "bin/invoke").write_text(
        f"#!{venv}/bin/python\nimport sys\nfrom invoke.main import program\nsys.exit(program.run())\n"
    )
    (venv / "bin/invoke").chmod(0o755)
    (venv / "complete").write_text(f"{os.path.realpath(venv / 'bin/python')}\n")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    project = tmp_path / "project"
    tracked = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "-z"], check=True, capture_output=True, text=True
    ).stdout
    for name in tracked.split("\0"):
        if name and not name.startswith("tests/") and (ROOT / name).exists():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, project / name)
    borrow_environment(project / ".venv")
    os.utime(project / "requirements.txt", (0, 0))  # older than the environment: nothing to install
    checkout = tmp_path / "boulder"
    shutil.copytree(ROOT / "tests/fixtures/boulder", checkout)
    for name in (
        "minica.pem",
        "minica-key.pem",
        "redis/cert.pem",
        "redis/key.pem",
        "consul.boulder/cert.pem",
        "consul.boulder/key.pem",
    ):
        (checkout / "test/certs/ipki" / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / "test/certs/ipki" / name).touch()
    state = tmp_path / "state"
    (state / "bin").mkdir(parents=True)
    for tool in ("docker", "kind", "kubectl"):
        fake = state / "bin" / tool
        fake.write_text(f"#!{sys.executable}\n" + (FAKES / f"{tool}.py").read_text())
        fake.chmod(0o755)
    (state / "kubectl-real").symlink_to(Path(sys.prefix) / "bin/kubectl")
    yield Machine(project, checkout, state)
