"""Says on stderr what is going on: a spinner with the elapsed time on a terminal, plain lines elsewhere.

stdout belongs to the tests. rich honours NO_COLOR; CI (any value) means plain lines even on a terminal.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def interactive() -> bool:
    """Whether stderr is a terminal that somebody watches."""
    return sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"


def note(text: str) -> None:
    """One line on stderr. Where that cannot be written, what we do goes on without."""
    with suppress(OSError):
        print(f"boulder-k8s: {text}", file=sys.stderr, flush=True)


def quote(lines: list[str]) -> None:
    """What another program has said, on stderr."""
    with suppress(OSError):
        for line in lines:
            print(f"    {line}", file=sys.stderr)


def shown(path: Path) -> str:
    """A path for people: from the current directory on, if there still is one."""
    try:
        return os.path.relpath(path)
    except FileNotFoundError:
        return str(path)


@contextmanager
def step(text: str) -> Iterator[Callable[[str], None]]:
    """Shows `text` while the block runs; the yielded function shows a further word beside it.

    A step shorter than half a second leaves no line behind on a terminal, so that a warm command stays quiet.
    """
    begun = time.monotonic()
    if interactive():
        from rich.console import Console  # here, not on top: a warm run needs no rich (0.1 s)

        console = Console(stderr=True)
        with console.status(f"{text} ...") as status:
            yield lambda word: status.update(f"{text} ... {word}")
        if time.monotonic() - begun > 0.5:
            console.print(f"boulder-k8s: {text}: {time.monotonic() - begun:.1f} s", highlight=False, style="dim")
    else:
        last = [""]

        def plain(word: str) -> None:
            if word and word != last[0]:
                last[0] = word
                note(f"{text}: {word}")

        note(text)
        yield plain
        if time.monotonic() - begun > 2:
            note(f"{text}: done after {time.monotonic() - begun:.1f} s")


@contextmanager
def overdue(text: str, seconds: float = 2.0) -> Iterator[None]:
    """Says `text` once the block has taken that long: for what is nearly always quick, so that nobody waits without a word."""
    timer = threading.Timer(seconds, note, [f"{text} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
