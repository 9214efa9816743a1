"""One container's log, read through `kubectl logs`, taken up again wherever a stream of it ended."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from ..host import process
from .kubectl import Kubectl

STAMPED = re.compile(
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z "
)  # the kubelet's, always of this width: text sorts as time
STAMP, SECOND = 30, 19  # characters: a time, and a time without its fraction
AGAIN = 0.5  # seconds before a stream that ended is opened again; by then the watch knows what became of the container
GONE = 10.0  # seconds without its pod after which a reader ends: a watch that connects anew shows none for a moment


@dataclass(frozen=True)
class Target:
    """A container whose log is wanted. name: what is printed in front of its lines."""

    pod: str
    uid: str
    container: str
    name: str


class Position:
    """How far a log has been read, so that another stream of it brings no line twice and leaves none out.

    A stream can be asked for from a whole second on only, and lines of one moment may stand in any order: so the lines of the
    last seconds are remembered. since: a time; older lines are not wanted. tail: how many lines the first stream is to begin with.
    """

    def __init__(self, since: str = "", tail: int | None = None) -> None:
        self.floor = since or (now() if tail == 0 else "")
        self.tail = tail
        self.edge = ""  # the second from which `recent` has every line that was read
        self.recent: deque[bytes] = deque()
        self.repeated: Counter[bytes] = Counter()

    def arguments(self) -> list[str]:
        """kubectl's words for a stream that starts here."""
        self.repeated = Counter(self.recent)
        start = self.edge or self.floor[:SECOND]
        tail = [f"--tail={self.tail}"] if self.tail is not None and not self.edge else []
        return [*tail, *([f"--since-time={start}Z"] if start else [])]

    def new(self, line: bytes) -> bool:
        """Whether a line (its time in front) has not been read before; from now on it has."""
        if self.repeated[line] > 0:
            self.repeated[line] -= 1
            return False
        stamp = line[:STAMP].decode()
        if stamp < self.floor:
            return False
        if self.tail is not None and not self.edge:
            self.floor = stamp  # lines before the tail's first are not wanted later either
        self.recent.append(line)
        if (edge := shortly_before(stamp[:SECOND])) > self.edge:
            self.edge = edge
            while self.recent[0][:SECOND].decode() < edge:
                self.recent.popleft()
        return True


def stamp(then: datetime) -> str:
    """A time in the kubelet's form."""
    return f"{then.strftime('%Y-%m-%dT%H:%M:%S.%f')}000Z"


def now() -> str:
    return stamp(datetime.now(UTC))


@lru_cache(maxsize=64)
def shortly_before(second: str) -> str:
    return (datetime.fromisoformat(second) - timedelta(seconds=2)).isoformat()


@contextmanager
def stream(kubectl: Kubectl, target: Target, *arguments: str) -> Iterator[subprocess.Popen]:
    """`kubectl logs` of a container, running while the block does."""
    command = kubectl.command("logs", target.pod, f"--container={target.container}", "--timestamps", *arguments)
    with process.started(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        yield child


def lines(child: subprocess.Popen, words: list[str] | None = None) -> Iterator[bytes]:
    """The whole lines of a log, each with its time in front. What has none is the kubelet's own (a log that is not there any more,
    said with exit code 0): it is added to `words`.
    """
    for line in child.stdout:
        if not STAMPED.match(line):
            if words is not None:
                words.append(line.decode(errors="replace").strip())
        elif line.endswith(b"\n"):  # else the connection was cut within it
            yield line


class Reader(threading.Thread):
    """Reads one container's log for as long as its pod is there, from run to run of the container.

    status: the container's status as the watch has it now; None: there is no such pod. emit: takes each new line. ended: is told
    the exit code with which a run of the container ended.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        target: Target,
        position: Position,
        status: Callable[[], dict | None],
        emit: Callable[[bytes], None],
        ended: Callable[[int], None],
    ) -> None:
        super().__init__(daemon=True)
        self.kubectl, self.target, self.position = kubectl, target, position
        self.status, self.emit, self.ended = status, emit, ended

    def run(self) -> None:
        read = finished = None  # the run of the container (its restart count) that was read last, and read to its end
        seen = time.monotonic()
        while time.monotonic() - seen < GONE:
            status = self.status()
            if status is not None:
                seen = time.monotonic()
            if status is None or not started(status) or status.get("restartCount", 0) == finished:
                time.sleep(AGAIN / 2)
                continue
            current = status.get("restartCount", 0)
            over = termination(status)
            if read is not None and current != read:
                self.read("--previous")  # what its stream may not have brought
                if finished != read and (before := status.get("lastState", {}).get("terminated")):
                    self.ended(before.get("exitCode", 0))
            read = current
            # Not followed when it has ended: its successor may have begun, and would be read in its place.
            self.read(*([] if over else ["--follow"]))
            if over:
                finished = current
                self.ended(over.get("exitCode", 0))
            else:
                time.sleep(AGAIN)

    def read(self, *how: str) -> None:
        """One stream, until it ends: because the container has, or because the connection has."""
        with stream(self.kubectl, self.target, *how, *self.position.arguments()) as child:
            for line in lines(child):
                if self.position.new(line):
                    self.emit(line)


def started(status: dict) -> bool:
    """Whether a container has a log: it runs or has run."""
    return bool(
        {"running", "terminated"} & set(status.get("state", {})) or status.get("lastState", {}).get("terminated")
    )


def termination(status: dict) -> dict | None:
    """How the container's newest run ended; None while it runs."""
    state = status.get("state", {})
    if "running" in state:
        return None
    return state.get("terminated") or status.get("lastState", {}).get("terminated")
