"""report.html: one file that needs no network. report.html beside this file is the page; this puts the data in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from . import table
from .course import Course
from .outcome import Outcome

PAGE = Path(__file__).with_name("report.html")
PLACE = '<script id="data" type="application/json">null</script>'


def html(name: str, courses: Sequence[Course], tests: Mapping[str, Outcome]) -> str:
    """Returns the page. name: of the matrix. tests: of each row that has output, by its name."""
    rows = []
    for course in courses:
        found = tests.get(course.name, Outcome())
        failures = [asdict(failure) for failure in found.failures]
        if course.log:
            said = {"name": course.verdict.container if course.verdict else "", "place": "the end of its log"}
            failures.append({**said, "words": course.log.splitlines()})
        rows.append(
            {
                **course.summary(),
                "verdict": course.state,
                "text": course.text,
                "tests": found.counted,
                "failures": failures,
                "details": table.details(course) if course.verdict else "",
            }
        )
    # In a script element only "</" and "<!--" mean something: JSON may write "<" as \u003c.
    data = json.dumps({"name": name, "rows": rows}).replace("<", "\\u003c")
    return PAGE.read_text().replace(PLACE, PLACE.replace("null", data))
