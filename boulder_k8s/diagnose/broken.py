"""Text that is broken over lines, as encoders and printers break it: its letters and digits, and where each of them stands."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable

# A line of xxd, hexdump or od: an offset, bytes, and what can be printed of them.
DUMP = re.compile(
    rb"^([0-9a-fA-F]{7,8}:?[ \t]+)((?:[0-9a-fA-F]{2,8}[ \t]{1,2}){0,31}[0-9a-fA-F]{2,8})([ \t]{2,}[^\r\n]*|[ \t]*)(?=\r?$)",
    re.MULTILINE,
)
# What whoever has written a line puts before it: when, and of which service.
BEFORE = (
    rb"^[ \t>#]*(?:\d{4}-\d\d-\d\d[T ][\d:.,]{8,18}(?:Z|[+-]\d\d:?\d\d)?[ \t]+(?:std(?:out|err)[ \t][FP][ \t])?"
    rb"|[\w.-]{1,64}[ \t]+\|[ \t]?|[A-Z][a-z]{2}[ \t]+\d\d?[ \t]\d\d:\d\d:\d\d[ \t]\S{1,64}[ \t]\S{1,64}:[ \t])+"
)
# What is no letter or digit of the text itself. It takes more than one character only if all of them belong to it.
BETWEEN = re.compile(
    BEFORE
    + rb"|\x1b\[[\d;]*[A-Za-z]|%0[aAdD]|\\+[nrt]|\\+x(?=[0-9a-fA-F]{2})|\b0x(?=[0-9a-fA-F]{2})|[^A-Za-z0-9\x80-\xff]+?",
    re.MULTILINE,
)
# Lines that may be the middle of something encoded.
MIDDLE = re.compile(rb"(?:[ \t]*[\w+/=%-]{16,}[ \t\r]*\n|" + DUMP.pattern + rb"\r?\n)*", re.MULTILINE)


def letters(text: bytes) -> bytes:
    """Returns the letters and digits of a text alone."""
    return BETWEEN.sub(b"", undumped(text))


def undumped(text: bytes) -> bytes:
    """Returns a text with blanks in place of what a dump says besides the bytes."""
    return DUMP.sub(lambda line: b" " * len(line[1]) + line[2] + b" " * len(line[3]), text)


def found(text: bytes, plain: bytes, secrets: Iterable[bytes]) -> list[tuple[int, int]]:
    """Returns where secrets stand in a text, wherever they are broken. plain: its letters. secrets: the letters of each."""
    among = [span for secret in secrets for span in spans(plain, secret)]
    there, here = places(undumped(text)) if among else ([], [])
    ranges = []
    for first, last in among:
        start, stop = place(there, here, first), place(there, here, last - 1) + 1
        line = DUMP.match(text, text.rfind(b"\n", 0, stop) + 1)
        ranges.append((start, line.end() if line else stop))  # with what can be printed of the bytes
    return ranges


def without(text: bytes, ranges: Iterable[tuple[int, int]], instead: bytes) -> bytes:
    """Returns a text with `instead` in place of each range; one for those that overlap."""
    shown, end = [], 0
    for start, stop in sorted(ranges):
        if start >= end:
            shown += [text[end:start], instead]
        end = max(end, stop)
    return b"".join([*shown, text[end:]])


def resumed(text: bytes) -> bytes:
    """Returns the end of a text from where a line begins that is not the middle of something encoded; all of it if it is one line."""
    text = text.partition(b"\n")[2] or text
    return text[MIDDLE.match(text).end() :]


def spans(text: bytes, part: bytes) -> Iterable[tuple[int, int]]:
    """Yields where a part stands in a text."""
    at = text.find(part)
    while at >= 0:
        yield at, at + len(part)
        at = text.find(part, at + len(part))


def places(text: bytes) -> tuple[list[int], list[int]]:
    """Returns where the unbroken pieces of a text begin: among its letters, and in the text."""
    there, here, at, end = [], [], 0, 0
    for gap in [*BETWEEN.finditer(text), None]:
        start = gap.start() if gap else len(text)
        if start > end:
            there.append(at)
            here.append(end)
            at += start - end
        end = gap.end() if gap else end
    return there, here


def place(there: list[int], here: list[int], at: int) -> int:
    """Returns where the letter number `at` stands in the text. there, here: as `places` returns them."""
    piece = bisect_right(there, at) - 1
    return here[piece] + at - there[piece]
