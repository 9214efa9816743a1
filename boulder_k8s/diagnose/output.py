"""Reads what a run wrote to stdout and stderr, however much it is, and says what failed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from .findings import LONG, Findings
from .gotests import GoTests
from .stages import Linters, Services, Stages
from .traces import Panics, Races, Tracebacks

MOST = 48 << 20  # bytes read of a stream, some seconds; of a larger one the first quarter and the end
LINES = 1 << 20  # lines read of a stream: very short ones take as long
PIECE = 1 << 20
WIDE = 16 * LONG  # bytes of a line that are read: Boulder logs whole stacks in a line
# Colours and what else moves a terminal's cursor, and a link's text.
COLOUR = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
CONTROL = re.compile("[^\t -~\xa0-\U0010ffff]|[\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def read(run: Path) -> Findings:
    """Returns what the streams in a run directory say. Raises OSError if one is there and cannot be read."""
    found = Findings()
    for name in ("stdout", "stderr"):
        path = run / name
        if path.exists():
            most = limit(path)
            found.skipped += max(0, path.stat().st_size - most)
            parse(lines(path, most), found)
    return found.finish()


def parse(lines: Iterable[str], found: Findings) -> Findings:
    """Adds what the lines of one stream say to `found`; returns it."""
    tests = GoTests(found)
    readers = (
        Stages(found),
        Services(found),  # they write their logs in the middle of what others say
        Races(tests.pend),
        Panics(tests.pend, tests.take),
        Tracebacks(found),
        Linters(found),
        tests,
    )
    takes: list[Callable[[str], bool]] = [reader.take for reader in readers]
    for line in lines:
        for take in takes:
            if take(line):
                break
    for reader in readers:
        reader.end()
    return found


def limit(path: Path) -> int:
    """Returns how many bytes of a stream are read: fewer if its lines are very short. Raises OSError."""
    with open(path, "rb") as file:
        count = sum(data.count(b"\n") for data in iter(lambda: file.read(PIECE), b""))
    return MOST if count <= LINES else min(MOST, path.stat().st_size * LINES // count)


def lines(path: Path, most: int) -> Iterator[str]:
    """Yields the lines of a file, without colours and as a terminal would leave them. A line's end is left out if it is
    very long, and the middle of a file that is larger than `most`. Raises OSError.
    """
    with open(path, "rb") as file:
        size = path.stat().st_size
        yield from whole_lines(file.read, size if size <= most else most // 4)
        if size > most:
            file.seek(size - most * 3 // 4)
            yield from list_without_first(whole_lines(file.read, most))


def whole_lines(read: Callable[[int], bytes], most: int) -> Iterator[str]:
    """Yields the lines of at most `most` bytes that `read` gives."""
    rest = b""
    while most > 0 and (data := read(min(PIECE, most))):
        most -= len(data)
        first, *others = data.split(b"\n")
        rest = (rest + first)[:WIDE]
        for part in others:
            yield clean(rest)
            rest = part[:WIDE]
    if rest:
        yield clean(rest)


def list_without_first(found: Iterator[str]) -> Iterator[str]:
    """Yields all but the first, which is half a line."""
    next(found, None)
    yield from found


def clean(line: bytes) -> str:
    """Returns a line as text, without colours, and without what was overwritten by means of a carriage return."""
    text = line.decode(errors="replace")
    if "\x1b" in text:
        text = COLOUR.sub("", text)
    if "\r" in text:
        text = text.rstrip("\r").rpartition("\r")[2]
    if text.isprintable():
        return text
    return "".join(char for char in CONTROL.sub("", text) if char.isprintable() or char == "\t")
