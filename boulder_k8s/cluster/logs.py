"""Reads one container's log, once or continuously, and continues where the last stream ended.

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
)  # the kubelet's time, always of this width, so that sorting as text sorts by time
STAMP, SECOND = 30, 19  # characters: a time, and a time without its fraction
AGAIN = 0.5  # seconds before a stream that ended is opened again; by then the watch has seen what happened
GONE = 10.0  # seconds without its pod until a reader ends; a watch that reconnects shows no pod for a moment


@dataclass(frozen=True)
class Target:
    """A container whose log to read. uid: its pod's. name: what the user sees before each of its lines."""

    pod: str
    uid: str
    container: str
    name: str


@dataclass
class Position:
    """How far a log has been read. since: skips older lines. tail: with how many lines the first stream begins; None:
    all.

    The API takes a start in whole seconds, so a stream that continues begins with lines that were read already. `new`
    recognises those by their times, which the kubelet writes in nanoseconds.
    """

    since: str = ""
    tail: int | None = None
    last: str = ""  # the time of the newest line that was read

    def options(self) -> dict[str, str]:
        """Returns the API's options for a stream that starts here."""
        start = (self.last or self.since)[:SECOND]
        tail = {"tailLines": str(self.tail)} if self.tail is not None and not self.last else {}
        return {**tail, **({"sinceTime": f"{start}Z"} if start else {})}

    def new(self, line: bytes, before: str) -> bool:
        """Returns whether a line has not been read yet, and counts it as read. line: begins with its time. before:
        `last` when its stream was opened.
        """
        stamp = line[:STAMP].decode()
        if stamp <= before or stamp < self.since:
            return False
        self.last = max(self.last, stamp)
        return True


def stamp(then: datetime) -> str:
    """Returns a time as the kubelet writes it."""
    return f"{then.strftime('%Y-%m-%dT%H:%M:%S.%f')}000Z"


def now() -> str:
    """Returns the present time as the kubelet writes it."""
    return stamp(datetime.now(UTC))


def lines(
    api: Api, target: Target, position: Position, words: list[str] | None = None, **options: str
) -> Iterator[bytes]:
    """Yields a stream's new lines, each beginning with its time. options: follow="true", previous="true". Raises
    ApiError.

    A line without a time is a message of the kubelet, such as that the log is gone, which it sends with status 200: it
    is added to `words`.
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
    ):  # a line of the log that has no end was cut off; the kubelet's message has none
        words.append(rest.decode(errors="replace").strip())


def text(api: Api, pod: str, container: str, tail: int, previous: str = "false") -> str:
    """Returns the last `tail` lines of a container's log, without their times. previous: "true" for the run before.
    Raises ApiError.
    """
    found = lines(api, Target(pod, "", container, ""), Position(tail=tail), previous=previous)
    return b"".join(line[STAMP + 1 :] for line in found).decode(errors="replace")


class Reader(threading.Thread):
    """Reads one container's log as long as its pod exists, also after the container restarts.

    status: returns the container's status as the watch has it, or None if its pod is gone. emit: gets each new line.
    ended: gets the exit code when a run of the container ends.
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
        """The thread: reads stream after stream, until the pod has been gone for GONE seconds."""
        read = finished = None  # restart counts: of the run that it read last, and of the one that it read to its end
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
                self.read(previous="true")  # the rest, if its stream ended early
                if finished != read and (before := status.get("lastState", {}).get("terminated")):
                    self.ended(before.get("exitCode", 0))
            read = current
            # A run that has ended is not followed: that would read the next run, if that has begun.
            whole = self.read(**({} if over else {"follow": "true"}))
            if over and whole:
                finished = current
                self.ended(over.get("exitCode", 0))
            else:
                time.sleep(AGAIN)

    def read(self, **options: str) -> bool:
        """Reads one stream until it ends; returns True if the server ended it, False if the connection broke."""
        try:
            for line in lines(self.api, self.target, self.position, **options):
                self.emit(line)
        except ApiError:
            return False
        return True


def started(status: dict) -> bool:
    """Returns whether a container has a log: it runs or has run."""
    return bool(
        {"running", "terminated"} & set(status.get("state", {})) or status.get("lastState", {}).get("terminated")
    )


def termination(status: dict) -> dict | None:
    """Returns how the container's last run ended (ContainerStateTerminated), or None while it runs or before it has
    run.
    """
    state = status.get("state", {})
    if "running" in state:
        return None
    return state.get("terminated") or status.get("lastState", {}).get("terminated")
