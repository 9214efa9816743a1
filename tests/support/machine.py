"""A copy of the project whose docker, kind and kubectl are fakes that answer like a warm machine and write down what they were asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from support.api_server import ApiServer

from boulder_k8s import bootstrap

FAKES = Path(__file__).parent / "fakes"


@dataclass
class Machine:
    """The project's copy, the fakes, and the API server of the cluster that `kind create` makes.

    `state` holds files that tell the fakes how to behave (fakes/README.md).
    """

    project: Path
    checkout: Path
    state: Path
    api: ApiServer
    port: int = 24811  # of this machine, for Boulder's 4001

    def start_pod(self, pod: dict) -> None:
        """What a pod's supervisor does in its run directory, up to the tests: those are the fake `kubectl exec`'s."""
        mounted = [volume["hostPath"]["path"] for volume in pod["spec"].get("volumes", []) if volume["name"] == "run"]
        if not mounted:
            return
        directory = self.project / ".runs" / mounted[0].removeprefix("/runs/")
        (self.state / "pod.json").write_text(json.dumps(pod))
        if pod["spec"]["containers"][0]["command"][-1] == "standby":
            (directory / "waiting").touch()
            if not self.is_claimed(pod, directory):
                return
        (directory / "started").touch()

    def is_claimed(self, pod: dict, directory: Path) -> bool:
        """Waits until a wrapper claims a pod; False once it is deleted."""
        uid = pod["metadata"]["uid"]
        while not self.api.stopping.wait(0.01):
            found = self.api.find("Pod", pod["metadata"]["name"])
            if not found or found["metadata"]["uid"] != uid:
                return False
            try:
                (directory / "go").unlink()
                return True
            except FileNotFoundError:
                pass  # not yet
        return False

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": f"{self.state}/bin:/usr/bin:/bin",
            "HOME": str(self.state),
            "FAKE_STATE": str(self.state),
            "KUBECTL": "kubectl",
            "BOULDER_DIR": str(self.checkout),
            "BOULDER_PORTS": f"{self.port}:4001",
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


def borrow_environment(link: Path) -> None:
    """A complete .venv that borrows what the running one has installed, whichever that is, and never writes to it."""
    venv = link.with_name(".venvs") / "borrowed"
    (venv / "bin").mkdir(parents=True)
    link.symlink_to(".venvs/borrowed")
    for name in ("pyvenv.cfg", "lib", "lib64", "bin/python", "bin/python3", "bin/kubectl"):
        (venv / name).symlink_to(Path(sys.prefix) / name)
    for name in ("bin/invoke", "bin/inv"):
        (venv / name).write_text(bootstrap.INVOKE.format(start="../../../boulder_k8s/start.py"))
        (venv / name).chmod(0o755)
    (venv / "place").write_text(f"{venv}\n")
    (venv / "complete").write_text(f"{os.path.realpath(venv / 'bin/python')}\n")


def changed_nothing(machine: Machine) -> bool:
    return not any(call[:1] == ["create"] for call in machine.calls("kind")) and not (machine.state / "node").exists()


def told(result: subprocess.CompletedProcess[str]) -> list[str]:
    """Our own lines on stderr, but for the one that only a slow machine gets."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("boulder-k8s: ")]
    return [line for line in lines if "asking the cluster" not in line]


def refused(machine: Machine, result: subprocess.CompletedProcess[str], message: str, fix: str) -> None:
    lines = told(result)
    assert result.returncode == 2, result.stderr
    assert message in lines[-2] and fix in lines[-1], result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert changed_nothing(machine)
