"""Runs of the pod's supervisor on this machine, as the first process of a process namespace of its own where that is possible."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from boulder_k8s.host.settings import ROOT
from boulder_k8s.run.directory import Run

FIXTURE = ROOT / "tests/fixtures/boulder"


class Pod:
    """One run directory and the supervisor that works in it."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.run = Run(path, {})
        self.run.prepare()
        self.path = path
        self.child: subprocess.Popen | None = None

    def start(self, *commands: list[str], terminal: bool = False, standby: bool = False) -> Pod:
        (self.path / "command.json").write_text(json.dumps({"commands": commands, "terminal": terminal}))
        namespace = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]
        if os.geteuid():
            namespace[1:1] = ["--user", "--map-root-user"]
        self.child = subprocess.Popen(
            [*namespace, sys.executable, "-B", self.path / "pod/supervisor.py", self.path, *["standby"] * standby],
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        return self

    def code(self) -> int:
        """Waits for the record."""
        eventually(lambda: self.run.exit_code() is not None or self.child.poll() is not None, "the record")
        assert self.run.exit_code() is not None, self.child.stderr.read().decode()
        return self.run.exit_code()

    def read(self, stream: str) -> bytes:
        return (self.path / stream).read_bytes()

    def signal(self, number: int, name: str) -> None:
        (self.path / "signals" / str(number)).write_text(name)

    def end(self) -> None:
        if self.child and self.child.poll() is None:
            self.child.kill()
        if self.child:
            self.child.wait()
            self.child.stderr.close()


def eventually(condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not after {seconds:.0f} s: {what}"
        time.sleep(0.01)
