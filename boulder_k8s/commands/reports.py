"""What a matrix leaves for people and for programs: summary.md, junit.xml, report.html, and a few lines about what failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..diagnose import ending, output
from ..host.decoration import decoration
from ..host.files import write_whole
from ..host.progress import note, quote
from ..matrix import junit, report, table
from ..matrix.course import Course
from ..matrix.outcome import FailedTest, Outcome
from ..matrix.verdict import FAILED

FEW = 5  # failures of a row on the terminal


def write(name: str, courses: Sequence[Course], directory: Path) -> None:
    """Writes the reports into the matrix's directory, and tells what failed. Whatever fails here is a line, and changes no verdict."""
    tests: dict[str, Outcome] = {}
    for course in courses:
        with decoration(f"what {course.name} says of its tests was not read"):
            tests[course.name] = Outcome.of(course.directory, failures(course))
    for path, make in (
        ("summary.md", lambda: table.markdown(courses)),
        ("junit.xml", lambda: junit.xml(courses, tests)),
        ("report.html", lambda: report.html(name, courses, tests)),
    ):
        with decoration(f"{path} was not written"):
            write_whole(directory / path, make())
    tell(courses, tests)


def failures(course: Course) -> list[FailedTest]:
    """Returns what the output of a row that failed says of its failures; for any other row nothing. Raises OSError."""
    if not course.verdict or course.verdict.kind != FAILED:
        return []
    return [
        FailedTest(failure.name or failure.package or failure.kind, failure.place, tuple(failure.words))
        for failure in output.read(course.directory).ranked()
    ]


def tell(courses: Sequence[Course], tests: dict[str, Outcome]) -> None:
    """Prints, on stderr, the first of what failed in each row, and the end of the log of what failed beside the tests."""
    for course in courses:
        found = tests.get(course.name, Outcome()).failures
        if found:
            note(f"{course.name}: {ending.counted(len(found), 'failure')}:")
            lines = [" ".join(filter(None, (one.place, one.name, *one.words[:1]))) for one in found[:FEW]]
            quote([*lines, *[f"and {len(found) - FEW} more"] * (len(found) > FEW)])
        if course.log:
            note(f"{course.name}: {course.verdict.container} said last:")
            quote(course.log.splitlines())
