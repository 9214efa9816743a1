"""What the tests say that run now, for `invoke logs boulder`: their pod's own log is empty, their output is in the run directory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from ..cluster.kind import Cluster
from ..cluster.logs import now
from ..host.names import BOULDER, NAME, RUNS_MOUNT, TESTS
from ..run.standby import mounted_run

LOOK = 0.1  # seconds between looks at the files, to which programs in the pod write


def directory(cluster: Cluster, pods: Iterable[dict]) -> Path | None:
    """Returns the directory of the run that goes on, or None. pods: those of the cluster."""
    for pod in pods:
        metadata = pod["metadata"]
        if metadata["name"] == TESTS and metadata.get("labels", {}).get(NAME) == BOULDER:
            try:
                return cluster.settings.runs / PurePosixPath(mounted_run(pod)["path"]).relative_to(RUNS_MOUNT)
            except (StopIteration, KeyError, ValueError):  # a pod that we have not made
                return None
    return None


def lines(run: Path, tail: int | None) -> Iterator[bytes]:
    """Yields the last `tail` lines of what the tests have said, all if it is None, each after the present time: they have none."""
    for name in ("stdout", "stderr"):
        try:
            found = (run / name).read_bytes().splitlines(keepends=True)
        except OSError:
            continue
        for line in found if tail is None else found[len(found) - min(tail, len(found)) :]:
            yield stamped(line)


def stamped(line: bytes) -> bytes:
    """Returns a line as those of a container's log are: after its time, and with an end."""
    return now().encode() + b" " + line.rstrip(b"\r\n") + b"\n"


class Tail(threading.Thread):
    """Hands on what the tests say until they have ended. tail: how many earlier lines come first; None: all. there: whether their pod is
    there. emit: gets each line.
    """

    def __init__(self, run: Path, tail: int | None, there: Callable[[], bool], emit: Callable[[bytes], None]) -> None:
        super().__init__(daemon=True)
        self.path, self.tail, self.there, self.emit = run, tail, there, emit
        self.rest = {"stdout": b"", "stderr": b""}
        self.read = dict.fromkeys(self.rest, 0)

    def run(self) -> None:
        """The thread."""
        first = True
        while True:
            # Looked at first: what was said before is read below.
            over = (self.path / "exitcode").exists() or not self.there()
            found = [line for name in self.rest for line in self.new(name)]
            for line in found[-self.tail :] if first and self.tail else [] if first and self.tail == 0 else found:
                self.emit(stamped(line))
            first = False
            if over:
                return
            time.sleep(LOOK)

    def new(self, name: str) -> list[bytes]:
        """Returns the whole lines that a stream has got since the last look."""
        try:
            with open(self.path / name, "rb") as file:
                file.seek(self.read[name])
                data = file.read()
        except OSError:
            return []
        self.read[name] += len(data)
        *whole, self.rest[name] = (self.rest[name] + data).split(b"\n")
        return whole
