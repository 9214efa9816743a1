"""What GitHub shows of a failed run: what is public of it, as commands and Markdown that nothing in it can break."""

from __future__ import annotations

from pathlib import Path

import pytest

from boulder_k8s.diagnose import failure, github
from boulder_k8s.diagnose.findings import Failure, Findings
from boulder_k8s.host.settings import Settings
from boulder_k8s.run.directory import Run

SECRET = "hunter2hunter2x9"
STDOUT = f"""--- FAIL: TestOne (0.00s)
    va_test.go:14: 100% of widgets, ::error:: ```` with {SECRET}
FAIL\tgithub.com/letsencrypt/boulder/va\t0.1s
"""


@pytest.fixture
def run(settings: Settings) -> Run:
    made = Run.create(settings, ["t"], {"arguments": ["--unit", f"TOKEN={SECRET}"], "environment": {"TOKEN": SECRET}})
    (made.path / "stdout").write_text(STDOUT)
    return made


def test_a_job_has_marks_and_a_section_without_what_is_not_public(
    settings: Settings, run: Run, tmp_path: Path, monkeypatch, capsys
) -> None:
    page = tmp_path / "summary.md"
    page.write_text("# of an earlier step\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    failure.tell(settings, run)
    said, text = capsys.readouterr().err, page.read_text()
    assert "boulder-k8s:   va/va_test.go:14 TestOne: 100% of widgets" in said
    (mark,) = [line for line in said.splitlines() if line.startswith("::")]
    assert mark.startswith("::error file=va/va_test.go,line=14::va/va_test.go:14 TestOne: 100%25 of widgets")
    assert text.startswith("# of an earlier step\n### failed: --unit ") and "1 package failed: va" in text
    assert text.count("`````") == 2  # longer than any in the text
    assert SECRET not in mark + text


def test_elsewhere_there_are_none(settings: Settings, run: Run, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    failure.tell(settings, run)
    assert "::error" not in capsys.readouterr().err.replace("::error::", "")
    assert not (tmp_path / "summary.md").exists()


def test_a_page_that_cannot_be_written_is_one_line(settings: Settings, run: Run, monkeypatch, capsys) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "/nowhere/summary.md")
    failure.tell(settings, run)
    assert "the job's summary page does not say what failed: /nowhere" in capsys.readouterr().err


def test_there_are_ten_marks_at_most_and_names_are_escaped() -> None:
    failures = [Failure("lint", words=["x\ny"], file=f"a,b:{number}%.go", line=number) for number in range(12)]
    marks = github.marks(Findings(failures=failures))
    assert len(marks) == 10
    assert marks[1] == "::error file=a%2Cb%3A1%25.go,line=1::a,b:1%25.go:1: x%0Ay"


@pytest.mark.parametrize(
    ("checkout", "file", "mark"),
    [
        ("/w/boulder", "va/va.go", "::error file=va/va.go,line=3::"),
        ("/w/boulder/.src/boulder", "va/va.go", "::error file=.src/boulder/va/va.go,line=3::"),
        ("/elsewhere/boulder", "va/va.go", "::error::va/va.go:3: no"),
        ("/w/boulder", "/usr/local/go/src/testing/testing.go", "::error::/usr/local/go"),
        ("/w/boulder", "../other/x.go", "::error::../other/x.go:3: no"),
    ],
)
def test_a_mark_is_at_a_file_of_the_jobs_directory_or_at_none(
    settings: Settings, monkeypatch, capsys, checkout: str, file: str, mark: str
) -> None:
    run = Run.create(settings, ["t"], {"arguments": [], "checkout": checkout})
    found = Findings(failures=[Failure("build", words=["no"], file=file, line=3)])
    github.publish(settings, run, found, {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": "/w/boulder"})
    assert capsys.readouterr().err.startswith(mark)


def test_a_mark_names_no_file_that_is_not_there(settings: Settings, tmp_path: Path, capsys) -> None:
    checkout = tmp_path / "work/boulder"
    (checkout / "va").mkdir(parents=True)
    (checkout / "va/va_test.go").touch()
    run = Run.create(settings, ["t"], {"arguments": [], "checkout": str(checkout)})
    found = Findings(failures=[Failure("test", "T", ["no"], f"va/{name}", 3) for name in ("va_test.go", "helpers.go")])
    github.publish(settings, run, found, {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(checkout.parent)})
    assert capsys.readouterr().err.splitlines() == [
        "::error file=boulder/va/va_test.go,line=3::va/va_test.go:3 T: no",
        "::error::va/helpers.go:3 T: no",
    ]


def test_a_package_has_a_mark_before_another_has_eleven() -> None:
    failures = [Failure("build", words=[f"x{number}"], file=f"a/{number}.go", line=1) for number in range(12)]
    marks = github.marks(Findings(failures=[*failures, Failure("test", "T", ["no"], package="b")]))
    assert len(marks) == 10 and "::error::b T: no" in marks


def test_no_text_breaks_out_of_a_mark() -> None:
    words = "100%\r\n::error file=/etc/passwd::x, %0A"
    (mark,) = github.marks(Findings(failures=[Failure("test", "a\nb", [words], "a\nb.go", 1)]))
    assert mark == "::error file=a%0Ab.go,line=1::a%0Ab.go:1 a%0Ab: 100%25%0D%0A::error file=/etc/passwd::x, %250A"
