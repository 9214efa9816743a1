"""SIGINT, SIGTERM and SIGHUP: they interrupt our work, but while tests run they are passed on to the tests."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import Interrupted

CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Catches the signals. received: their numbers, in order. Except within `collecting`, a signal raises Interrupted
    in the main thread.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self.arrived = threading.Event()
        self.collect = False
        for number in CAUGHT:
            # Keeps nohup's effect. Catches SIGINT even if a shell, which then ignores it, started us in the background.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self.handle)

    def handle(self, number: int, frame: object) -> None:
        """The signal handler. Raises Interrupted unless signals are collected."""
        self.received.append(number)
        self.arrived.set()
        if not self.collect:
            raise Interrupted(number)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """While the block runs, adds signals to `received` and raises nothing."""
        before, self.collect = self.collect, True
        try:
            yield
        finally:
            self.collect = before

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Lets the block run to its end: if a signal arrives in it, raises Interrupted after it."""
        before = len(self.received)
        with self.collecting():
            yield
        if not self.collect and len(self.received) > before:
            raise Interrupted(self.received[before])
