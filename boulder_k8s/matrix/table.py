"""The rows for people: a line when something changes, a table at the end, and the same as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from .course import Course
from .verdict import ERROR, STARTING


def line(course: Course) -> str:
    """Returns what a row does, in a line."""
    look = course.look
    words = [f"{course.name}: {course.state}"]
    if course.verdict:
        words.append(details(course))
    else:
        if look.node:
            words.append(f"on {look.node}")
        if look.detail:
            words.append(f"(waits for {look.detail})" if look.state == STARTING else f"({look.detail})")
    return " ".join(word for word in words if word)


def details(course: Course) -> str:
    """Returns what a verdict says besides its kind: the exit code, why there is none, and how often the cluster has ended the row."""
    found = course.verdict
    words = []
    if found.code is not None and found.kind != ERROR:
        words.append(f"exit code {found.code}")
    if found.why:
        words.append(found.why)
    if found.record:
        words.append(f"{found.record.ended - found.record.began:.0f} s")
    if course.disrupted:
        words.append(f"run {len(course.disrupted) + 1} times, because the cluster ended it")
    if course.missing and found.kind != ERROR:
        words.append(f"not here: {course.missing}")
    return ", ".join(words)


def text(courses: Sequence[Course]) -> str:
    """Returns a table of verdicts, a line a row."""
    width = max(len(course.text) for course in courses)
    return "\n".join(
        f"{course.state:<7} {course.text:<{width}}  {details(course)}" for course in courses if course.verdict
    )


def markdown(courses: Sequence[Course]) -> str:
    """Returns the table as Markdown."""
    lines = ["| row | verdict | node | |", "| --- | --- | --- | --- |"]
    for course in courses:
        cells = (f"`{course.text}`", course.state, course.look.node, details(course) if course.verdict else "")
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"
