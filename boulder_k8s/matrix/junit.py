"""The rows as JUnit XML: a suite a row, whose cases are what failed, and the row itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from ..host.progress import visible
from .course import Course
from .outcome import Outcome
from .verdict import ERROR, PASSED


def xml(courses: Sequence[Course], tests: Mapping[str, Outcome]) -> str:
    """Returns the report. tests: of each row that has output, by its name."""
    suites = ElementTree.Element("testsuites", name="matrix")
    for course in courses:
        found, failures = course.verdict, tests.get(course.name, Outcome()).failures
        seconds = found.record.ended - found.record.began if found and found.record else 0.0
        is_error = not found or found.kind == ERROR
        counts = {
            "tests": len(failures) + 1,
            "failures": len(failures) + (not is_error and found.kind != PASSED),
            "errors": int(is_error),
        }
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            {
                "name": visible(course.text),
                "time": f"{seconds:.3f}",
                **{key: str(value) for key, value in counts.items()},
            },
        )
        for failure in failures:
            case = ElementTree.SubElement(
                suite, "testcase", classname=course.name, name=visible(failure.name or failure.place)
            )
            said = ElementTree.SubElement(case, "failure", message=visible(next(iter(failure.words), "failed")))
            said.text = "\n".join(visible(line) for line in (failure.place, *failure.words) if line)
        case = ElementTree.SubElement(suite, "testcase", classname=course.name, name="the row", time=f"{seconds:.3f}")
        if is_error:
            said = ElementTree.SubElement(case, "error", message=visible(found.why if found else "it has no verdict"))
            said.text = "\n".join(visible(line) for line in course.log.splitlines())
        elif found.kind != PASSED:
            ElementTree.SubElement(case, "failure", message=f"exit code {found.code}")
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"
