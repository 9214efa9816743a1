"""The tests' streams on the user's side: what they print, what the user types."""

from __future__ import annotations

import errno
import os
import select
import signal
import struct
import subprocess
import termios
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count as numbers
from pathlib import Path

CHUNK = 1 << 16
FRAME = struct.Struct(">BI")  # pod/follow.py's
NUMBERS = numbers()
AHEAD = 1 << 20  # bytes of stdin kept for the tests beyond what they have read


class Outlet:
    """One of our own output streams: copies a run's stream to it and knows how far it came."""

    def __init__(self, descriptor: int, recorded: Path) -> None:
        self.descriptor = descriptor
        self.recorded = recorded
        self.offset = 0  # bytes delivered
        self.moved = time.monotonic()  # when something was delivered last, or nothing was to be delivered
        self.writing = False
        self.closed = False  # the reader is gone (EPIPE)
        self.failure = ""  # why it cannot be written: a full disk. The rest is dropped; the record has it

    def deliver(self, data: bytes) -> None:
        """Writes bytes that follow those delivered before."""
        self.writing = True
        view = memoryview(data)
        while view:
            try:
                count = len(view) if self.closed or self.failure else os.write(self.descriptor, view)
            except BlockingIOError:  # somebody made our stdout non-blocking
                select.select([], [self.descriptor], [], 1)
                continue
            except OSError as error:
                if error.errno in (errno.EPIPE, errno.EIO):
                    self.closed = True
                else:
                    self.failure = error.strerror
                continue
            self.offset += count
            view = view[count:]
        self.moved = time.monotonic()
        self.writing = False

    def behind(self) -> int:
        """Bytes that the record has and that were not delivered."""
        return self.recorded.stat().st_size - self.offset

    def stalled(self, seconds: float) -> bool:
        """Whether there is something to deliver and for that long nothing moved, though our reader takes what we write.

        The caller asks again and again: the time before the last look at which nothing was to be delivered does not count.
        """
        if self.writing:
            return False
        now = time.monotonic()
        if not self.behind():
            self.moved = now
        return now - self.moved > seconds

    def catch_up(self) -> None:
        """Delivers the rest straight from the record."""
        with open(self.recorded, "rb") as file:
            file.seek(self.offset)
            while data := file.read(CHUNK):
                self.deliver(data)


class Attachment:
    """One `kubectl exec` of pod/follow.py, feeding the outlets from where they are."""

    def __init__(self, command: list[str], outlets: list[Outlet]) -> None:
        # A session of its own: a Ctrl-C of the terminal is for the tests, not for kubectl.
        self.child = subprocess.Popen(
            [*command, *(str(outlet.offset) for outlet in outlets)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # kubectl's own words; why a stream ended is found out elsewhere
            start_new_session=True,
        )
        self.began = time.monotonic()
        self.outlets = dict(enumerate(outlets, 1))
        for outlet in outlets:
            outlet.moved = self.began
        self.thread = threading.Thread(target=self.pump, daemon=True)
        self.thread.start()

    def pump(self) -> None:
        """Takes the frames apart and delivers them; part of a frame is as good as all of it."""
        pipe = self.child.stdout
        while len(header := pipe.read(FRAME.size)) == FRAME.size:
            stream, left = FRAME.unpack(header)
            while left and (data := pipe.read1(min(left, CHUNK))):
                self.outlets[stream].deliver(data)
                left -= len(data)

    def ended(self) -> bool:
        """Whether the stream is over, all it brought delivered."""
        return not self.thread.is_alive()

    def end(self) -> None:
        """Ends it; returns when what it had brought is delivered."""
        if self.child.poll() is None:
            self.child.kill()
        self.thread.join()
        self.child.wait()
        self.child.stdout.close()


class Feeder(threading.Thread):
    """Copies our stdin to the run directory's, from where the supervisor gives it to the tests."""

    def __init__(self, directory: Path) -> None:
        super().__init__(daemon=True)
        self.directory = directory

    def run(self) -> None:
        total = 0
        with open(self.directory / "stdin", "ab", buffering=0) as file:
            while True:
                try:
                    data = os.read(0, CHUNK)
                except OSError:
                    data = b""
                if not data:
                    break
                file.write(data)
                total += len(data)
                while total - self.taken() > AHEAD:
                    time.sleep(0.05)
        (self.directory / "stdin.end").touch()

    def taken(self) -> int:
        try:
            return int((self.directory / "stdin.taken").read_text() or 0)
        except (FileNotFoundError, ValueError):
            return 0


def may_read_stdin() -> bool:
    """False for a background job whose stdin is the terminal: reading would stop it."""
    try:
        return not os.isatty(0) or os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def record_window(directory: Path) -> None:
    """Tells the supervisor the size of the user's terminal. A signal handler, which another signal may interrupt anywhere: each call has
    a file of its own, and the last one to write has the last size.
    """
    told = None
    with suppress(OSError):  # no room, or no terminal any more: no reason to end the tests
        while told != (size := os.get_terminal_size(0)):
            partial = directory / f".window.{next(NUMBERS)}"
            partial.write_text(f"{size.lines} {size.columns}")
            partial.replace(directory / "window")
            told = size


@contextmanager
def terminal(directory: Path, wanted: bool) -> Iterator[None]:
    """While the block runs the user's terminal is raw (the tests' own terminal does the work) and changes of its size are passed on."""
    if not wanted:
        yield
        return
    before = termios.tcgetattr(0)
    previous = signal.signal(signal.SIGWINCH, lambda *_: record_window(directory))
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, previous)
