"""This project on a real kind cluster, as the end-to-end tests use it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# This directory's own: what an ended run of another copy of the project left on the machine is not in its way.
CLUSTER = f"boulder-e2e-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]}"
# Wrappers started by `nohup ./check &` would inherit that these are ignored.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
LIMIT = 240  # seconds; a command that needs more hangs


def free_port() -> int:
    """The first of two neighbouring ports on 127.0.0.1 that nobody has, below those that connections take."""
    # Not in order: another run of these tests looks at this very moment, too.
    for port in random.sample(range(15001, 16001, 2), 500):
        try:
            for number in (port, port + 1):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", number))
            return port
        except OSError:
            continue
    pytest.fail("no two free ports from 15001 to 16000")


@dataclass
class Project:
    """This project, working on a copy of the miniature checkout."""

    checkout: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    cluster: str = CLUSTER
    before: Path | None = None  # the newest run directory before the wrapper that was started last
    children: list[subprocess.Popen] = field(default_factory=list)  # what was started in the background

    def env(self, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            "BOULDER_DIR": str(self.checkout),
            "KIND_CLUSTER": self.cluster,
            "CI": "true",
            "PYTHONFAULTHANDLER": "1",
            "BOULDER_PORTS": f"{self.port}:4001,{self.port + 1}:4003",
            **self.environment,
            **more,
        }

    def start(
        self, *arguments: str, wrapper: str = "tk8s.sh", stdin=subprocess.DEVNULL, **env: str
    ) -> subprocess.Popen:
        """A wrapper in the background, in a process group of its own."""
        self.before = self.latest()
        return self.background([ROOT / wrapper, *arguments], cwd="/", env=self.env(**env), stdin=stdin)

    def run(
        self, *arguments: str, wrapper: str = "tk8s.sh", input: bytes | None = None, **env: str
    ) -> subprocess.CompletedProcess[bytes]:
        child = self.start(
            *arguments, wrapper=wrapper, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL, **env
        )
        return finish(child, input)

    def invoke(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [ROOT / ".venv/bin/invoke", *arguments],
            env=self.env(**env),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT,
        )

    def start_invoke(self, *arguments: str) -> subprocess.Popen:
        """`invoke` in the background, as `start` starts a wrapper."""
        self.before = self.latest()
        return self.background([ROOT / ".venv/bin/invoke", *arguments], cwd=ROOT, env=self.env())

    def background(
        self, command: list[str | Path], cwd: str | Path, env: dict[str, str], stdin=subprocess.DEVNULL
    ) -> subprocess.Popen:
        """A command in the background, in a process group of its own; `end_all` ends it, if the test does not."""
        child = subprocess.Popen(
            [str(word) for word in command],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        self.children.append(child)
        return child

    def end_all(self) -> None:
        """Ends what a failed test has left running: else every test after it fails, too, because the project is at work."""
        while self.children:
            child = self.children.pop()
            for number, patience in ((signal.SIGINT, 30), (signal.SIGINT, 30), (signal.SIGKILL, LIMIT)):
                if child.poll() is not None:
                    break
                os.killpg(child.pid, number)
                try:
                    child.communicate(timeout=patience)
                except subprocess.TimeoutExpired:
                    continue

    def kubectl(self, *arguments: str) -> str:
        command = [
            ROOT / ".venv/bin/kubectl",
            f"--kubeconfig={ROOT}/.state/clusters/{self.cluster}/kubeconfig",
            f"--context=kind-{self.cluster}",
            "--namespace=boulder",
            *arguments,
        ]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT).stdout

    def pods(self) -> list[str]:
        return self.kubectl("get", "pods", "-o", "name").split()

    def as_root(self, *command: str | Path) -> None:
        """Runs a command beside the checkout as root, in a container: what tests make there belongs to root, as under
        Compose.
        """
        beside = self.checkout.parent
        run = ["docker", "run", "--rm", "--network=none", f"--volume={beside}:{beside}", f"--entrypoint={command[0]}"]
        image = f"letsencrypt/boulder-tools:{os.environ['BOULDER_TOOLS_TAG']}"
        done = subprocess.run([*run, image, *command[1:]], capture_output=True, timeout=LIMIT)
        assert done.returncode == 0, (command, done.stdout, done.stderr)

    def clean(self, *flags: str) -> None:
        """Makes the checkout what it was at first: `git clean FLAGS`, whoever made the files, and `git checkout`."""
        status = ["git", "-C", self.checkout, "status", "--porcelain", "--untracked-files=all"]
        shown = subprocess.run(status, capture_output=True)
        if shown.stdout or shown.stderr or "x" in "".join(flags):
            self.as_root("git", "-c", "safe.directory=*", "-C", self.checkout, "clean", *flags)
        subprocess.run(["git", "-C", self.checkout, "checkout", "-q", "."], check=True)

    def node(self, *command: str, check: bool = True) -> str:
        """Runs a command on the cluster's node."""
        return subprocess.run(
            ["docker", "exec", f"{self.cluster}-control-plane", *command],
            env=self.env(),
            check=check,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        ).stdout

    def latest(self) -> Path:
        return (ROOT / ".runs/latest").resolve()

    def record(self) -> dict:
        return json.loads((self.latest() / "run.json").read_text())


def finish(child: subprocess.Popen, input: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Waits for a wrapper; one that hangs is ended and fails the test."""
    try:
        out, err = child.communicate(input, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out, err = child.communicate()
        pytest.fail(f"the wrapper hangs; stderr: {err.decode(errors='replace')[-3000:]}")
    sys.stderr.write(err.decode(errors="replace")[-3000:])  # pytest shows it when the test fails
    return subprocess.CompletedProcess(child.args, child.returncode, out, err)


def eventually(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not after {seconds:.0f} s: {what}"
        time.sleep(0.1)


def seen(child: subprocess.Popen, project: Project, text: bytes) -> None:
    """Waits until the running tests have printed `text`."""

    def printed() -> bool:
        assert child.poll() is None, f"the wrapper ended with {child.returncode}: {child.stderr.read().decode()}"
        stdout = project.latest() / "stdout"
        return project.latest() != project.before and stdout.exists() and text in stdout.read_bytes()

    eventually(printed, f"{text!r} in the tests' output", LIMIT)


def remove_all(project: Project) -> None:
    """Removes the cluster and its volume, also those that a killed run of these very tests left behind."""
    result = project.invoke("down", "--images")
    assert result.returncode == 0, result.stderr


def directory(project: Project) -> dict:
    """What the ACME directory of `up` says. Raises OSError while it does not answer."""
    with urllib.request.urlopen(f"http://localhost:{project.port}/directory", timeout=5) as answer:
        return json.load(answer)


def answers(project: Project) -> bool:
    """Whether the ACME directory of `up` answers."""
    try:
        return bool(directory(project))
    except OSError:
        return False


# Services that k8s/base does not know.
NEW = {
    "boulder": {
        "depends_on": {
            "bnew": {"condition": "service_healthy"},
            "bnew-init": {"condition": "service_completed_successfully"},
        }
    },
    "bnew": {
        "image": "redis:7.0.15",
        "command": "redis-server --port 4321 --protected-mode no",
        "volumes": ["data:/data", "./test:/test:ro"],
        "healthcheck": {"test": ["CMD", "redis-cli", "-p", "4321", "ping"]},
        "networks": {"bouldernet": {"aliases": ["boulder-new"]}},
    },
    "bnew-init": {
        "image": "redis:7.0.15",
        "depends_on": {"bnew": {"condition": "service_healthy"}},
        "entrypoint": ["redis-cli", "-e", "-h", "boulder-new", "-p", "4321", "incr", "ran"],
        "networks": ["bouldernet"],
    },
    "client": {"image": "nobody.invalid/has-this:1", "devices": ["/dev/null:/dev/null"]},
}


def override(project: Project, services: dict) -> None:
    """Gives the checkout services, or changes them, in an override file of Compose."""
    text = yaml.safe_dump({"services": services, "volumes": {"data": {}}})
    (project.checkout / "docker-compose.override.yml").write_text(text)
