"""The one door for lines that people read. Nothing in it interprets a text or cuts it off: it may be a user's, such as
`--filter 'Test[a-z]+'`, and rich would take [a-z] for a style.

On stderr it tells what is going on: on a terminal with a spinner and the elapsed time, otherwise in plain lines. While tests run,
stdout belongs to them. rich honours NO_COLOR. If CI is set, to any value, lines are plain even on a terminal.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def interactive() -> bool:
    """Returns whether stderr is a terminal that a person watches."""
    return sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"


def note(text: str) -> None:
    """Prints one line on stderr. Ignores an error in writing it, so that our work continues."""
    with suppress(OSError):
        print(f"boulder-k8s: {visible(text)}", file=sys.stderr, flush=True)


def visible(text: str) -> str:
    """Returns a text as one line that a terminal only shows: what would end the line, move the cursor or change its colour, and what
    is not UTF-8, is written as Python writes it, such as \\n. Nothing else changes.
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def line(*parts: str | tuple[str, str]) -> Text:
    """Returns a line for rich. parts: texts, or pairs of a text and a style such as "green"."""
    from rich.text import Text  # here, not on top: a warm run needs no rich (0.1 s)

    pairs = [(part, "") if isinstance(part, str) else part for part in parts]
    return Text.assemble(*((visible(text), style) for text, style in pairs))


def console(stderr: bool = False) -> Console:
    """Returns where `line` is printed: stdout, or stderr. It breaks no line and marks nothing."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True)


@contextmanager
def in_place() -> Iterator[Callable[[list[Text]], None]]:
    """Takes a terminal's whole screen while the block runs; yields a function that shows lines there, in place of those before: as wide as
    it is, and of more than it holds the first ones, and how many there are.
    """
    from rich.console import Group
    from rich.live import Live

    def fitting(lines: list[Text], width: int, height: int) -> Group:
        more = len(lines) - height
        kept = [*lines[: height - 1], line(f"and {more + 1} more lines")] if more > 0 else lines
        for item in kept:
            item.truncate(width, overflow="ellipsis")
        return Group(*kept)

    with Live(console=console(), auto_refresh=False, screen=True) as live:
        yield lambda lines: live.update(fitting(lines, *live.console.size), refresh=True)


@contextmanager
def refreshed(make: Callable[[], list[Text]]) -> Iterator[None]:
    """Shows lines on stderr while the block runs, made anew twice a second by `make`. They leave nothing behind."""
    from rich.console import Group
    from rich.live import Live

    screen = console(stderr=True)
    with Live(get_renderable=lambda: Group(*make()), console=screen, refresh_per_second=2, transient=True):
        yield


def quote(lines: list[str]) -> None:
    """Prints the output of another program on stderr, indented."""
    with suppress(OSError):
        for line in lines:
            print(f"    {line}", file=sys.stderr)


def shown(path: Path) -> str:
    """Returns a path for people: relative to the current directory, if that still exists."""
    try:
        return os.path.relpath(path)
    except FileNotFoundError:
        return str(path)


@contextmanager
def step(text: str) -> Iterator[Callable[[str], None]]:
    """Shows `text` while the block runs; yields a function that shows a further word next to it.

    On a terminal, a step shorter than half a second leaves no line, so that a warm command stays quiet.
    """
    begun = time.monotonic()
    if interactive():
        screen = console(stderr=True)
        with screen.status(line(f"{text} ...")) as status:
            yield lambda word: status.update(line(f"{text} ... {word}"))
        if time.monotonic() - begun > 0.5:
            screen.print(line((f"boulder-k8s: {text}: {time.monotonic() - begun:.1f} s", "dim")))
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
    """Shows `text` if the block takes longer than `seconds`: for work that is nearly always quick."""
    timer = threading.Timer(seconds, note, [f"{text} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
