"""What happens to a run of the soak test at a random moment."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LIMIT = 120  # seconds for a command of ours


@dataclass
class Target:
    """What a fault is done to. wrapper: its process. node: the node container. runs: .runs."""

    wrapper: subprocess.Popen
    node: str
    runs: Path
    chance: random.Random

    def on_node(self, *command: str) -> None:
        subprocess.run(["docker", "exec", self.node, *command], capture_output=True, timeout=LIMIT)

    def send(self, number: int) -> None:
        if self.wrapper.poll() is None:
            self.wrapper.send_signal(number)


def nothing(target: Target) -> None:
    """A run that is left alone."""


def exec_cut(target: Target) -> None:
    """The near end: `kubectl exec` is killed, some times in a row."""
    for _ in range(target.chance.randrange(1, 4)):
        found = subprocess.run(
            ["pgrep", "-P", str(target.wrapper.pid), "-f", "exec boulder-tests"], capture_output=True
        )
        for pid in found.stdout.split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(target.chance.uniform(0.05, 0.5))


def exec_cut_in_the_pod(target: Target) -> None:
    """The far end: pod/follow.py is killed."""
    target.on_node("pkill", "-9", "-f", "pod/follow.py")


def kubelet_restart(target: Target) -> None:
    target.on_node("systemctl", "restart", "kubelet")


def containerd_restart(target: Target) -> None:
    target.on_node("systemctl", "restart", "containerd")


def api_server_restart(target: Target) -> None:
    target.on_node("pkill", "-9", "kube-apiserver")


def node_paused(target: Target) -> None:
    subprocess.run(["docker", "pause", target.node], check=True, capture_output=True, timeout=LIMIT)
    try:
        time.sleep(target.chance.uniform(1, 40))
    finally:
        subprocess.run(["docker", "unpause", target.node], check=True, capture_output=True, timeout=LIMIT)


def wrapper_stopped(target: Target) -> None:
    target.send(signal.SIGSTOP)
    try:
        time.sleep(target.chance.uniform(0.1, 12))
    finally:
        target.send(signal.SIGCONT)


def disk_full(target: Target) -> None:
    """Takes all the room of the small file system of .runs for a moment."""
    filler = target.runs / ".filler"
    try:
        with open(filler, "wb", buffering=0) as file:
            for length in (1 << 20, 1 << 12, 1):
                fill(file.fileno(), b"\0" * length)
            time.sleep(target.chance.uniform(0.2, 5))
    except OSError as error:
        if error.errno != errno.ENOSPC:  # no room for the file itself
            raise
    finally:
        filler.unlink(missing_ok=True)


def fill(descriptor: int, data: bytes) -> None:
    """Writes until there is no room for `data`."""
    while True:
        try:
            os.write(descriptor, data)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return


def sigint(target: Target) -> None:
    target.send(signal.SIGINT)


def sigterm(target: Target) -> None:
    target.send(signal.SIGTERM)


def sigquit(target: Target) -> None:
    target.send(signal.SIGQUIT)


SIGNALS: dict[Callable[[Target], None], int] = {
    sigint: signal.SIGINT,
    sigterm: signal.SIGTERM,
    sigquit: signal.SIGQUIT,
}
FAULTS = (
    nothing,
    exec_cut,
    exec_cut_in_the_pod,
    kubelet_restart,
    containerd_restart,
    api_server_restart,
    node_paused,
    wrapper_stopped,
    disk_full,
    *SIGNALS,
)


def small_disk(runs: Path) -> str:
    """Mounts a small file system at .runs, so that filling it disturbs nothing else. Returns why it cannot be, or "".

    It must be called before the cluster is made, which mounts .runs.
    """
    if os.geteuid():
        return "only root may mount a file system"
    runs.mkdir(exist_ok=True)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", runs], capture_output=True, text=True)
    return made.stderr.strip()
