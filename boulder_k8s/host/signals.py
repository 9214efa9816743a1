"""SIGINT, SIGTERM and SIGHUP: an interruption while we work, a message for the tests while they run."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import Interrupted

CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """What has arrived. Outside of `collecting` a signal raises Interrupted in the main thread."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.arrived = threading.Event()
        self.collect = False
        for number in CAUGHT:
            # nohup stays in force; SIGINT is caught even if a shell started us in the background, which ignores it.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self.handle)

    def handle(self, number: int, frame: object) -> None:
        self.received.append(number)
        self.arrived.set()
        if not self.collect:
            raise Interrupted(number)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """While the block runs signals are collected in `received`, and nothing is raised."""
        before, self.collect = self.collect, True
        try:
            yield
        finally:
            self.collect = before

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """For what must happen: a signal that arrives while the block runs raises Interrupted at its end."""
        before = len(self.received)
        with self.collecting():
            yield
        if not self.collect and len(self.received) > before:
            raise Interrupted(self.received[before])
