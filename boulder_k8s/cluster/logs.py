"""One container's log: read once, or followed, and taken up again wherever a stream of it ended.

https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.37/#read-log-pod-v1-core
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from .api import Api
from .errors import ApiError

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


@dataclass
class Position:
    """How far a log has been read. since: older lines are not wanted. tail: how many lines the first stream begins with.

    The API takes whole seconds, so a stream that is opened again begins with lines that were read: they are known by their times,
    which the kubelet writes in nanoseconds.
    """

    since: str = ""
    tail: int | None = None
    last: str = ""  # the time of the newest line that was read

    def options(self) -> dict[str, str]:
        """The API's options for a stream that starts here."""
        start = (self.last or self.since)[:SECOND]
        tail = {"tailLines": str(self.tail)} if self.tail is not None and not self.last else {}
        return {**tail, **({"sinceTime": f"{start}Z"} if start else {})}

    def new(self, line: bytes, before: str) -> bool:
        """Whether a line (its time in front) has not been read; before: `last` when its stream was opened."""
        stamp = line[:STAMP].decode()
        if stamp <= before or stamp < self.since:
            return False
        self.last = max(self.last, stamp)
        return True


def stamp(then: datetime) -> str:
    """Returns a time in the kubelet's form."""
    return f"{then.strftime('%Y-%m-%dT%H:%M:%S.%f')}000Z"


def now() -> str:
    """Returns the present time in the kubelet's form."""
    return stamp(datetime.now(UTC))


def lines(
    api: Api, target: Target, position: Position, words: list[str] | None = None, **options: str
) -> Iterator[bytes]:
    """A stream's new lines, each with its time in front. options: follow="true", previous="true". Raises ApiError.

    What has no time is the kubelet's own word (a log that is not there any more, said with status 200): it is added to `words`.
    """
    before, rest = position.last, b""
    with api.log_stream(target.pod, target.container, timestamps="true", **position.options(), **options) as stream:
        for piece in stream:
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                if not STAMPED.match(line):
                    if words is not None:
                        words.append(line.decode(errors="replace").strip())
                elif position.new(line, before):
                    yield line + b"\n"
    if (
        rest and words is not None and not STAMPED.match(rest)
    ):  # a log's own line without its end was cut; the kubelet's has none
        words.append(rest.decode(errors="replace").strip())


def text(api: Api, pod: str, container: str, tail: int, previous: str = "false") -> str:
    """Returns the last lines of a container's log, without their times. Raises ApiError."""
    found = lines(api, Target(pod, "", container, ""), Position(tail=tail), previous=previous)
    return b"".join(line[STAMP + 1 :] for line in found).decode(errors="replace")


class Reader(threading.Thread):
    """Reads one container's log for as long as its pod is there, from run to run of the container.

    status: returns the container's status as the watch has it now; None: there is no such pod. emit: takes each new line. ended: is
    told the exit code with which a run of the container ended.
    """

    def __init__(
        self,
        api: Api,
        target: Target,
        position: Position,
        status: Callable[[], dict | None],
        emit: Callable[[bytes], None],
        ended: Callable[[int], None],
    ) -> None:
        super().__init__(daemon=True)
        self.api, self.target, self.position = api, target, position
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
                self.read(previous="true")  # what its stream may not have brought
                if finished != read and (before := status.get("lastState", {}).get("terminated")):
                    self.ended(before.get("exitCode", 0))
            read = current
            # Not followed when it has ended: its successor may have begun, and would be read in its place.
            whole = self.read(**({} if over else {"follow": "true"}))
            if over and whole:
                finished = current
                self.ended(over.get("exitCode", 0))
            else:
                time.sleep(AGAIN)

    def read(self, **options: str) -> bool:
        """One stream, until it ends; returns whether the server ended it, and not a broken connection."""
        try:
            for line in lines(self.api, self.target, self.position, **options):
                self.emit(line)
        except ApiError:
            return False
        return True


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
