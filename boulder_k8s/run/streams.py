"""The tests' output on the user's side, and the user's terminal."""

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

from ..host.decoration import decoration
from ..host.process import end_with_parent

CHUNK = 1 << 16
FRAME = struct.Struct(">BI")  # pod/follow.py's
NUMBERS = numbers()
COPYING = 1.0  # seconds in which the recorded files are copied before kubectl is tried again
PAUSE = 0.05  # seconds between looks at them
READ_PATIENCE = 3.0  # seconds in which what a recorded file has not, or does not give, may still arrive


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
        self.length: int | None = None  # bytes that the tests wrote, from the record; None before it is known
        self.missing = ""  # what of these was not delivered, and why

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
        """Returns how many recorded bytes are not delivered yet; 0 if the file does not tell."""
        if self.length is not None:
            return self.length - self.offset
        try:
            return self.recorded.stat().st_size - self.offset
        except OSError:
            return 0

    def stalled(self, seconds: float) -> bool:
        """Returns whether there has been something to deliver for `seconds` without any progress, although our reader
        reads.

        The caller must ask repeatedly: each time nothing is left to deliver, the seconds are counted anew.
        """
        if self.writing:
            return False
        now = time.monotonic()
        if self.behind() <= 0:
            self.moved = now
        return now - self.moved > seconds

    def catch_up(self) -> bool:
        """Delivers the rest from the recorded file. Returns whether all was delivered that the tests wrote; if not,
        `missing` says what and why.
        """
        deadline = time.monotonic() + READ_PATIENCE
        while True:
            why = "its file is shorter"
            try:
                self.deliver_recorded()
                if self.length is None:
                    self.missing = ""
                    return True
            except OSError as error:
                why = f"its file cannot be read: {error.strerror}"
            if not (behind := self.behind()):
                self.missing = ""
                return True
            if behind < 0 or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        name = self.recorded.name
        if self.length is None:
            self.missing = f"{name} after {self.offset} bytes ({why})"
        elif behind < 0:
            self.missing = f"{-behind} bytes of {name} are not the tests': they wrote {self.length}"
        else:
            self.missing = f"{behind} of {self.length} bytes of {name} ({why})"
        return False

    def deliver_recorded(self) -> None:
        """Delivers what the recorded file has beyond what is delivered, up to the recorded length. Raises OSError."""
        if self.length is not None and self.behind() <= 0:
            return
        with open(self.recorded, "rb", buffering=0) as file:
            file.seek(self.offset)
            while data := file.read(CHUNK if self.length is None else min(CHUNK, self.behind())):
                self.deliver(data)


class Attachment:
    """One `kubectl exec` of pod/follow.py. It continues each outlet at the byte that the outlet has reached. If it has no
    kubectl, it copies the recorded files in its place for COPYING seconds.
    """

    def __init__(self, command: list[str], outlets: list[Outlet]) -> None:
        """command: [] for no kubectl. failure: why kubectl cannot be started, or ""."""
        # In a new session: a Ctrl-C in the terminal is for the tests, not for kubectl.
        self.began = time.monotonic()
        self.child = None
        self.failure, self.over = "", False
        try:
            self.child = command and subprocess.Popen(
                [*command, *(str(outlet.offset) for outlet in outlets)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # kubectl's messages; Follower.dead finds out why a stream ended
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        except OSError as error:  # a second command makes .venv anew, or too many processes
            self.failure = error.strerror
        self.outlets = dict(enumerate(outlets, 1))
        for outlet in outlets:
            outlet.moved = self.began
        self.thread = threading.Thread(target=self.pump if self.child else self.copy, daemon=True)
        self.thread.start()

    def copy(self) -> None:
        """Delivers what the recorded files have. File sharing between host and node may bring it late, but it brings it."""
        while not self.over and time.monotonic() - self.began < COPYING:
            for outlet in self.outlets.values():
                with suppress(OSError):
                    outlet.deliver_recorded()
            time.sleep(PAUSE)

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
        self.kill()
        self.thread.join()
        if self.child:
            self.child.wait()
            self.child.stdout.close()

    def kill(self) -> None:
        """Ends kubectl, and waits for nothing."""
        self.over = True
        if self.child and self.child.poll() is None:
            self.child.kill()


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
        signal.signal(signal.SIGWINCH, previous)
        with decoration("the terminal may be left in raw mode (`stty sane`)"):  # it may be gone
            termios.tcsetattr(0, termios.TCSADRAIN, before)
