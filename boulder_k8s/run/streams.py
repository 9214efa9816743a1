"""The tests' streams on the user's side: what the tests print, and what the user types."""

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
AHEAD = 1 << 20  # bytes of stdin that we copy before the tests have read them; after that we wait


class Outlet:
    """Copies one stream of a run to our own stdout or stderr, and counts how many bytes it delivered."""

    def __init__(self, descriptor: int, recorded: Path) -> None:
        self.descriptor = descriptor
        self.recorded = recorded
        self.offset = 0  # bytes delivered
        self.moved = time.monotonic()  # when it last delivered something, or last had nothing to deliver
        self.writing = False
        self.closed = False  # the reader of our output has gone (EPIPE)
        self.failure = ""  # why it cannot be written (full disk): the rest is dropped, only the record has it

    def deliver(self, data: bytes) -> None:
        """Writes the bytes that follow those already delivered. If writing fails, sets `closed` or `failure` and drops
        them.
        """
        self.writing = True
        view = memoryview(data)
        while view:
            try:
                count = len(view) if self.closed or self.failure else os.write(self.descriptor, view)
            except BlockingIOError:  # another program made our stdout non-blocking
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
        """Returns how many recorded bytes are not delivered yet."""
        return self.recorded.stat().st_size - self.offset

    def stalled(self, seconds: float) -> bool:
        """Returns whether there has been something to deliver for `seconds` without any progress, although our reader
        reads.

        The caller must ask repeatedly: each time nothing is left to deliver, the seconds are counted anew.
        """
        if self.writing:
            return False
        now = time.monotonic()
        if not self.behind():
            self.moved = now
        return now - self.moved > seconds

    def catch_up(self) -> None:
        """Delivers the rest from the recorded file. Raises OSError if that cannot be read."""
        with open(self.recorded, "rb") as file:
            file.seek(self.offset)
            while data := file.read(CHUNK):
                self.deliver(data)


class Attachment:
    """One `kubectl exec` of pod/follow.py. It continues each outlet at the byte that the outlet has reached."""

    def __init__(self, command: list[str], outlets: list[Outlet]) -> None:
        # In a new session: a Ctrl-C in the terminal is for the tests, not for kubectl.
        self.child = subprocess.Popen(
            [*command, *(str(outlet.offset) for outlet in outlets)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # kubectl's messages; Follower.dead finds out why a stream ended
            start_new_session=True,
        )
        self.began = time.monotonic()
        self.outlets = dict(enumerate(outlets, 1))
        for outlet in outlets:
            outlet.moved = self.began
        self.thread = threading.Thread(target=self.pump, daemon=True)
        self.thread.start()

    def pump(self) -> None:
        """Splits the stream into its frames and delivers each; an incomplete frame is delivered as far as it came."""
        pipe = self.child.stdout
        while len(header := pipe.read(FRAME.size)) == FRAME.size:
            stream, left = FRAME.unpack(header)
            while left and (data := pipe.read1(min(left, CHUNK))):
                self.outlets[stream].deliver(data)
                left -= len(data)

    def ended(self) -> bool:
        """Returns whether the stream has ended and all that it brought is delivered."""
        return not self.thread.is_alive()

    def end(self) -> None:
        """Ends the stream; returns after all that it brought is delivered."""
        if self.child.poll() is None:
            self.child.kill()
        self.thread.join()
        self.child.wait()
        self.child.stdout.close()


class Feeder(threading.Thread):
    """Copies our stdin to the file `stdin` of the run directory, from which the supervisor gives it to the tests."""

    def __init__(self, directory: Path) -> None:
        super().__init__(daemon=True)
        self.directory = directory

    def run(self) -> None:
        """The thread: copies until our stdin ends, then makes stdin.end. Waits while the tests have more than AHEAD
        bytes still to read.
        """
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
        """Returns how many bytes of stdin the supervisor has given to the tests."""
        try:
            return int((self.directory / "stdin.taken").read_text() or 0)
        except (FileNotFoundError, ValueError):
            return 0


def may_read_stdin() -> bool:
    """Returns False for a background job whose stdin is the terminal, since reading would stop it; else True."""
    try:
        return not os.isatty(0) or os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def record_window(directory: Path) -> None:
    """Writes the size of the user's terminal to the run directory for the supervisor. Ignores OSError (a full disk, no
    terminal).

    It is a signal handler, which another signal may interrupt anywhere: each call writes another file, and the last one
    to rename its file wrote the newest size.
    """
    told = None
    with suppress(OSError):  # the disk is full, or the terminal is gone: no reason to end the tests
        while told != (size := os.get_terminal_size(0)):
            partial = directory / f".window.{next(NUMBERS)}"
            partial.write_text(f"{size.lines} {size.columns}")
            partial.replace(directory / "window")
            told = size


@contextmanager
def terminal(directory: Path, wanted: bool) -> Iterator[None]:
    """Sets the user's terminal to raw mode while the block runs (the tests have a terminal that does the work), and
    passes on its size.

    wanted: if False, does nothing.
    """
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
