"""Starts other programs: always with a list of arguments, never through a shell, and never left running by mistake."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from . import signals
from .errors import starting

PIECE, GB = 2**20, 10**9
Said = Callable[[str], None]  # what progress.step yields: shows a word about the progress
PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def silent(_: str) -> None:
    """Shows no progress."""


class Failed(Exception):
    """A program ended with a code other than 0. output: its stderr, or its stdout if stderr is empty."""

    def __init__(self, command: Sequence[str], returncode: int, output: str) -> None:
        super().__init__(f"{command[0]} ended with {returncode}: {output.strip()}")
        self.command = list(command)
        self.returncode = returncode
        self.output = output.strip()


@contextmanager
def started(command: Sequence[str | Path], **options) -> Iterator[subprocess.Popen]:
    """Starts a program while the block runs; yields its Popen. Ends the program if the block is left before it has
    ended.

    options: those of Popen. Raises OSError if it cannot be started.
    """
    if cwd := options.get("cwd"):
        environ = options.get("env") or os.environ
        options["env"] = {**environ, "PWD": working_directory(cwd, environ)}
    child = None
    # The child has them blocked until `prepare` has told Linux to end it with us. We ourselves wait by `undisturbed`.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signals.CAUGHT)
    try:
        try:
            with signals.undisturbed(), starting(command[0]):
                child = subprocess.Popen([str(word) for word in command], preexec_fn=partial(prepare, mask), **options)
                signals.CHILDREN.add(child)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        yield child
    finally:
        if child:
            stop(child)
            signals.CHILDREN.discard(child)


def working_directory(directory: Path, environ: Mapping[str, str]) -> str:
    """Returns what PWD is in a directory, as after `cd`: programs such as Compose read it. The user's own stays if it is that directory,
    which it may name by a link.
    """
    with suppress(OSError, ValueError):
        if os.path.isabs(environ.get("PWD", "")) and os.path.samefile(environ["PWD"], directory):
            return environ["PWD"]
    return str(directory)


def spawn_detached(command: Sequence[str | Path], cwd: Path | None = None) -> None:
    """Starts a program that continues after we have ended; nobody reads its output or its exit code. Raises OSError."""
    null = subprocess.DEVNULL
    words = [str(word) for word in command]
    with signals.undisturbed(), starting(command[0]):
        subprocess.Popen(words, stdin=null, stdout=null, stderr=null, start_new_session=True, cwd=cwd)


def prepare(mask: set[int]) -> None:
    """Runs in the child before the program: as `end_with_parent`, and gives it the signals that are not in `mask`."""
    end_with_parent()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def end_with_parent() -> None:
    """Runs in the child before the program: asks Linux to send it SIGTERM when we are killed.

    Otherwise the next command might meet, for example, a kind that still works.
    """
    if PRCTL:
        PRCTL(1, signal.SIGTERM)  # PR_SET_PDEATHSIG in linux/prctl.h


def stop(child: subprocess.Popen) -> None:
    """Ends a child that still runs, with SIGTERM and after 5 seconds with SIGKILL, and closes its pipes."""
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

    Raises Failed if its exit code is not 0, subprocess.TimeoutExpired after `timeout` seconds, OSError if it cannot be
    started.
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


def follow(command: Sequence[str | Path], said: Said, input: str = "") -> None:
    """Runs a program and hands on each line of what it says, stdout and stderr, at once. input: its stdin.

    Raises Failed, with all that it said, if its exit code is not 0, OSError if it cannot be started.
    """
    with (
        tempfile.TemporaryFile() as source,
        started(
            command,
            stdin=given(source, input),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as child,
    ):
        lines = []
        for line in child.stdout:
            lines.append(line)
            said(line)
        if child.wait():
            raise Failed(child.args, child.returncode, "".join(lines))


def given(file: BinaryIO, text: str) -> BinaryIO:
    """Returns a file that holds `text` and is read from its beginning."""
    file.write(text.encode())
    file.seek(0)
    return file


def feed(
    command: Sequence[str | Path], source: BinaryIO, said: Said = silent, env: Mapping[str, str] | None = None
) -> str:
    """Runs a program with everything in `source` as its stdin, however large; returns its output. said: gets the
    progress.

    Raises Failed if its exit code is not 0, OSError if it cannot be started.
    """
    with (
        tempfile.TemporaryFile() as words,
        started(command, stdin=subprocess.PIPE, stdout=words, stderr=subprocess.STDOUT, env=env) as child,
    ):
        sink = Sink(child.stdin.write, said)
        for hand_on in (lambda: shutil.copyfileobj(source, sink, PIECE), child.stdin.close):
            with suppress(BrokenPipeError):  # the program ended early: its exit code tells why
                hand_on()
        code = child.wait()
        words.seek(0)
        output = words.read().decode(errors="replace")
    if code:
        raise Failed(child.args, code, output)
    return output


class Sink:
    """A file that passes on what is written to it. size: bytes so far. digest: their SHA-256. said: gets
    each full GB.
    """

    def __init__(self, hand_on: Callable[[bytes], object], said: Said = silent) -> None:
        self.hand_on, self.said = hand_on, said
        self.size, self.digest = 0, hashlib.sha256()

    def write(self, piece: bytes) -> int:
        """Passes on a piece; returns its length."""
        self.hand_on(piece)
        self.digest.update(piece)
        before, self.size = self.size, self.size + len(piece)
        if self.size // GB != before // GB:
            self.said(f"{self.size // GB} GB")
        return len(piece)
