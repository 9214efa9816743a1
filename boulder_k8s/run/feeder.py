"""What the user types or pipes, on its way to the tests."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHUNK = 1 << 16
AHEAD = 1 << 20  # bytes of stdin that we copy before the tests have read them; after that we wait
KEYS = {0x03: signal.SIGINT, 0x1C: signal.SIGQUIT}  # Ctrl-C and Ctrl-\\
UNHEARD = 0.6  # seconds in which the supervisor takes what is typed, if it works
NO_SPACE_PATIENCE = 10.0  # seconds that a full disk may stay full before stdin is given up; pod/recording.py's


class Feeder(threading.Thread):
    """Copies our stdin to the file `stdin` of the run directory, from which the supervisor gives it to the tests."""

    def __init__(self, directory: Path, insist: Callable[[int], None] | None = None) -> None:
        """insist: called with the signal that a key means on a terminal, if it is pressed again and the first was not heard."""
        super().__init__(daemon=True)
        self.directory = directory
        self.insist = insist
        self.pressed = 0  # where such a key ends in stdin
        self.failure = ""  # why the tests do not get all of it; then they must not decide anything

    def run(self) -> None:
        """The thread: copies until our stdin ends, then makes stdin.end. Waits while the tests have more than AHEAD
        bytes still to read, and while the disk is full.
        """
        try:
            self.copy()
        except OSError as error:
            self.failure = f"they were not given all of stdin: {error.strerror}"

    def copy(self) -> None:
        """Copies stdin. Raises OSError if it cannot be read, or if the run directory does not take it."""
        total = 0
        with open(self.directory / "stdin", "ab", buffering=0) as file:
            while True:
                try:
                    data = os.read(0, CHUNK)
                except OSError as error:
                    if error.errno not in (errno.EBADF, errno.EISDIR) and not os.isatty(0):
                        raise
                    data = b""  # there is no stdin, or the terminal is gone
                if not data:
                    break
                left = data
                while left:
                    left = left[patiently(file.write, left) :]
                if self.insist and os.isatty(0):
                    self.look_for_keys(data, total)
                total += len(data)
                while total - self.taken() > AHEAD:
                    time.sleep(0.05)
        patiently((self.directory / "stdin.end").touch)

    def look_for_keys(self, data: bytes, before: int) -> None:
        """Calls `insist` if the user has pressed a key of KEYS again and the tests have not been given the one before:
        the terminal is raw, so only their pod could make a signal of it, and that does not work. before: bytes of stdin
        before `data`.
        """
        for place, byte in enumerate(data, before + 1):
            if byte not in KEYS:
                continue
            deadline = time.monotonic() + UNHEARD
            while self.pressed > self.taken():
                if time.monotonic() > deadline:
                    self.insist(KEYS[byte])
                    return
                time.sleep(0.02)
            self.pressed = place

    def taken(self) -> int:
        """Returns how many bytes of stdin the supervisor has given to the tests."""
        try:
            return int((self.directory / "stdin.taken").read_text() or 0)
        except (OSError, ValueError):
            return 0


def patiently(action: Callable, *arguments: object) -> Any:
    """Calls `action` until the disk has room, for at most NO_SPACE_PATIENCE seconds; returns its result. Raises
    OSError, at once for an error that is not a full disk.
    """
    deadline = time.monotonic() + NO_SPACE_PATIENCE
    while True:
        try:
            return action(*arguments)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def may_read_stdin() -> bool:
    """Returns False for a background job whose stdin is the terminal, since reading would stop it; else True."""
    try:
        return not os.isatty(0) or os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
