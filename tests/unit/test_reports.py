"""What a matrix leaves for people and for programs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from boulder_k8s.cluster.times import unix
from boulder_k8s.commands import reports
from boulder_k8s.matrix import junit, report
from boulder_k8s.matrix.course import Course
from boulder_k8s.matrix.outcome import FailedTest, Outcome
from boulder_k8s.matrix.verdict import ERROR, FAILED, PASSED, Look, Record, Verdict

OUTPUT = b"""Running Unit Tests
--- PASS: TestOne (0.00s)
    --- PASS: TestOne/sub (0.00s)
=== RUN   TestPlanted
    va_test.go:12: <script>alert(1)</script> & got 3, want 4
--- FAIL: TestPlanted (0.00s)
FAIL
FAIL\tgithub.com/letsencrypt/boulder/va\t0.01s
FAILURE while running unit
"""


@pytest.fixture
def courses(tmp_path: Path) -> list[Course]:
    """A row that passed, one whose test failed, and one without a verdict."""
    record = Record(0, {"stdout": 1, "stderr": 0}, 10.0, 12.0)
    found = [
        Course("one", "./t.sh --unit", tmp_path / "one", verdict=Verdict(PASSED, 0, record=record), ended=13.0),
        Course("two", "./t.sh --unit -p ./va", tmp_path / "two", verdict=Verdict(FAILED, 1, record=record), ended=14.0),
        Course("three", "./tn.sh -i", tmp_path / "three", verdict=Verdict(ERROR, why="</script>", container="bsetup")),
    ]
    found[2].log = "told to <fail>\x1b[31m"
    for course in found[:2]:
        course.look = Look("ending", "node-1")
        course.directory.mkdir()
        (course.directory / "stdout").write_bytes(OUTPUT if course.name == "two" else b"--- PASS: TestOne (0s)\n")
    return found


def test_a_failed_tests_name_is_in_every_report(
    courses: list[Course], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports.write("m1", courses, tmp_path)
    said = capsys.readouterr().err
    assert (
        "two: 1 failure:" in said and "TestPlanted" in said and "three: bsetup said last:\n    told to <fail>" in said
    )
    for name in ("junit.xml", "report.html"):
        assert "TestPlanted" in (tmp_path / name).read_text(), name
    assert "| `./t.sh --unit -p ./va` | failed | node-1 |" in (tmp_path / "summary.md").read_text()


def test_junit_counts_rows_and_what_failed(courses: list[Course], tmp_path: Path) -> None:
    reports.write("m1", courses, tmp_path)
    suites = ElementTree.fromstring((tmp_path / "junit.xml").read_text())
    found = {suite.get("name"): (suite.get("tests"), suite.get("failures"), suite.get("errors")) for suite in suites}
    assert found == {
        "./t.sh --unit": ("1", "0", "0"),
        "./t.sh --unit -p ./va": ("2", "2", "0"),
        "./tn.sh -i": ("1", "0", "1"),
    }
    assert suites.find(".//testcase[@name='TestPlanted']/failure").get("message")
    assert suites.find(".//error").get("message") == "</script>"


def test_the_page_needs_no_network_and_no_data_can_leave_its_place(courses: list[Course], tmp_path: Path) -> None:
    reports.write("m1", courses, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert not re.search(r"(?:src|href)=|https?:", page)
    assert "default-src 'none'" in page and page.count("</script>") == 2
    data = json.loads(re.search(r'type="application/json">(.*)</script>', page)[1])
    assert [row["verdict"] for row in data["rows"]] == ["passed", "failed", "error"]
    assert data["rows"][1]["tests"] == "2 passed, 1 failed"
    assert any("<script>" in word for word in data["rows"][1]["failures"][0]["words"])
    assert data["rows"][2]["failures"][0]["name"] == "bsetup"


def test_a_report_that_cannot_be_made_is_a_line(
    courses: list[Course], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "junit.xml").mkdir()
    reports.write("m1", courses, tmp_path)
    assert "junit.xml was not written" in capsys.readouterr().err
    assert (tmp_path / "report.html").exists()


def test_rows_without_output_have_no_tests(tmp_path: Path) -> None:
    assert Outcome.of(tmp_path / "nowhere") == Outcome() and Outcome().counted == ""
    course = Course("one", "./t.sh", tmp_path)
    assert "it has no verdict" in junit.xml([course], {}) and report.html("m", [course], {})
    many = Outcome(0, 0, tuple(FailedTest(f"Test{number}") for number in range(9)))
    reports.tell([course], {"one": many})


def test_times_are_unix_times() -> None:
    assert unix("1970-01-01T00:01:00Z") == 60 and unix("") is None and unix("soon") is None
