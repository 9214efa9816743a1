"""What the user types or pipes, on its way to the tests."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHUNK = 1 << 16
AHEAD = 1 << 20  # bytes of stdin that we copy before the tests have read them; after that we wait
NO_SPACE_PATIENCE = 10.0  # seconds that a full disk may stay full before stdin is given up; pod/recording.py's


class Feeder(threading.Thread):
    """Copies our stdin to the file `stdin` of the run directory, from which the supervisor gives it to the tests."""

    def __init__(self, directory: Path) -> None:
        super().__init__(daemon=True)
        self.directory = directory
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
                total += len(data)
                while data:
                    data = data[patiently(file.write, data) :]
                while total - self.taken() > AHEAD:
                    time.sleep(0.05)
        patiently((self.directory / "stdin.end").touch)

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
