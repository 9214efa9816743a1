"""Starts other programs: always an argument list, never a shell, never left running behind us."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PIECE, GB = 2**20, 10**9
Said = Callable[[str], None]  # progress.step's further word
PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def silent(_: str) -> None:
    pass


class Failed(Exception):
    """A program ended with a code other than 0; output is what it said on stderr (or stdout when that is empty)."""

    def __init__(self, command: Sequence[str], returncode: int, output: str) -> None:
        super().__init__(f"{command[0]} ended with {returncode}: {output.strip()}")
        self.command = list(command)
        self.returncode = returncode
        self.output = output.strip()


@contextmanager
def started(command: Sequence[str | Path], **options) -> Iterator[subprocess.Popen]:
    """Popen that ends the program when the block is left early (Ctrl-C, an error)."""
    child = subprocess.Popen([str(word) for word in command], preexec_fn=end_with_parent, **options)
    try:
        yield child
    finally:
        stop(child)


def spawn_detached(command: Sequence[str | Path], cwd: Path | None = None) -> None:
    """Starts a program that is to end by itself, whatever becomes of us; nobody looks at how."""
    null = subprocess.DEVNULL
    words = [str(word) for word in command]
    subprocess.Popen(words, stdin=null, stdout=null, stderr=null, start_new_session=True, cwd=cwd)


def end_with_parent() -> None:
    """In the child: asks Linux to end it when we are killed, so that the next command does not meet, say, a kind at work."""
    if PRCTL:
        PRCTL(1, signal.SIGTERM)  # PR_SET_PDEATHSIG in linux/prctl.h


def stop(child: subprocess.Popen) -> None:
    """Ends a child if it still runs: SIGTERM, and SIGKILL after 5 seconds."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream:
            stream.close()


def run(
    command: Sequence[str | Path],
    *,
    input: str | None = None,
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Runs a program and returns its stdout. Its stdin is `input` or empty, never ours.

    Raises Failed for an exit code other than 0, subprocess.TimeoutExpired after `timeout` seconds, OSError when it
    cannot be started.
    """
    with started(
        command,
        stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=env,
        cwd=cwd,
    ) as child:
        out, err = child.communicate(input, timeout)
    if child.returncode:
        raise Failed(child.args, child.returncode, err or out)
    return out


def feed(command: Sequence[str | Path], source: BinaryIO, said: Said = silent) -> str:
    """Runs a program with everything that `source` has as its stdin, however much; returns what it said.

    Raises Failed for an exit code other than 0.
    """
    with (
        tempfile.TemporaryFile() as words,
        started(command, stdin=subprocess.PIPE, stdout=words, stderr=subprocess.STDOUT) as child,
    ):
        sink = Sink(child.stdin.write, said)
        for hand_on in (lambda: shutil.copyfileobj(source, sink, PIECE), child.stdin.close):
            with suppress(BrokenPipeError):  # it ended early: its code says why
                hand_on()
        code = child.wait()
        words.seek(0)
        output = words.read().decode(errors="replace")
    if code:
        raise Failed(child.args, code, output)
    return output


class Sink:
    """Hands on what is written to it, and knows how much it was and its SHA-256. Says each GB."""

    def __init__(self, hand_on: Callable[[bytes], object], said: Said = silent) -> None:
        self.hand_on, self.said = hand_on, said
        self.size, self.digest = 0, hashlib.sha256()

    def write(self, piece: bytes) -> int:
        self.hand_on(piece)
        self.digest.update(piece)
        before, self.size = self.size, self.size + len(piece)
        if self.size // GB != before // GB:
            self.said(f"{self.size // GB} GB")
        return len(piece)
