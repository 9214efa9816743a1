"""Nobody waits for long without a word, and nobody is told of what is quick."""

from __future__ import annotations

import time

import pytest

from boulder_k8s.host import progress
from boulder_k8s.host.settings import Settings
from boulder_k8s.run.directory import QUIET, Run


def test_what_takes_long_is_said_once_and_what_is_quick_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.overdue("asking", 0.05):
        time.sleep(0.3)
    assert capsys.readouterr().err == "boulder-k8s: asking ...\n"
    with progress.overdue("asking", 5):
        pass
    with pytest.raises(ZeroDivisionError), progress.overdue("asking", 0.2):
        raise ZeroDivisionError
    time.sleep(0.3)
    assert capsys.readouterr().err == ""


def test_a_quiet_phase_that_takes_long_is_said(settings: Settings, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boulder_k8s.run.directory.overdue", lambda text: progress.overdue(text, 0.05))
    run = Run.create(settings, ["t"], {})
    for name in ("pod", "tests"):
        with run.phase(name):
            time.sleep(0.2)
    assert (
        capsys.readouterr().err == f"boulder-k8s: {QUIET['pod']} ...\n"
    )  # of the tests nobody speaks but they themselves


def test_plain_lines_where_nobody_watches(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with progress.step("working") as show:
        show("half")
        show("")
        show("half")
    assert capsys.readouterr().err == "boulder-k8s: working\nboulder-k8s: working: half\n"
    for variable, value in (("CI", "1"), ("TERM", "dumb")):
        monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
        monkeypatch.delenv("CI", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        assert progress.interactive()
        monkeypatch.setenv(variable, value)
        assert not progress.interactive()
