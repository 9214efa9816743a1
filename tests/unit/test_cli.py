"""What a command ends with: two lines and an exit code, whatever went wrong; 1 only if tests have failed."""

from __future__ import annotations

import errno
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from boulder_k8s.cluster.errors import Rejected, Unanswered
from boulder_k8s.commands import cli
from boulder_k8s.host import become, process
from boulder_k8s.host.errors import Interrupted, Problem
from boulder_k8s.host.process import Failed
from boulder_k8s.host.settings import ROOT
from boulder_k8s.host.signals import CAUGHT


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in CAUGHT}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def ended(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    def action(*_: object) -> None:
        raise error

    code = cli.guarded(action)
    captured = capsys.readouterr()
    assert captured.out == ""
    return code, captured.err.splitlines()


@pytest.mark.parametrize("how", ["started", "detached", "become"])
@pytest.mark.parametrize("fault", ["gone", "not executable", "a directory", "another machine's"])
def test_a_program_that_cannot_be_started_is_named(capfd, tmp_path: Path, fault: str, how: str) -> None:
    """One that was there when the command began. The advice: put it there."""
    program = tmp_path / "kubectl"
    if fault == "a directory":
        program.mkdir()
    elif fault != "gone":
        program.write_bytes(b"\x7fELF of another machine")
        program.chmod(0o644 if fault == "not executable" else 0o755)

    def action(*_: object) -> None:
        if how == "become":
            become.become([program, "version"])
        (process.spawn_detached if how == "detached" else process.run)([program, "version"])

    assert cli.guarded(action) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2 and f"{program} cannot be started: " in lines[0], lines
    assert "See whether it is there" in lines[1] and "`invoke doctor`" in lines[1]
    program.rmdir() if program.is_dir() else program.unlink(missing_ok=True)
    program.symlink_to("/bin/true")
    if how != "become":
        assert cli.guarded(action) == 0


@pytest.mark.parametrize(
    ("error", "wrong", "advice"),
    [
        (Problem("It is wrong.", "Do this.", "words"), "It is wrong.", "Do this."),
        (Failed(["/usr/bin/docker", "ps"], 125, "no such thing"), "docker ended with 125.", "correct what it names"),
        (subprocess.TimeoutExpired(["docker", "ps"], 60), "docker did not answer within 60 s.", "`invoke doctor`"),
        (Unanswered("the API server does not answer: refused"), "API server", "`invoke doctor`"),
        (PermissionError(errno.EACCES, "denied", str(ROOT / "x")), "cannot be read or written by you", "sudo chown"),
        (PermissionError(errno.EACCES, "denied", "/elsewhere/x"), "cannot be read or written by you", "Make it yours"),
        (Rejected('Service "x" is invalid', 422), 'Service "x" is invalid.', "Correct what it names in the checkout"),
        (OSError(errno.EROFS, "Read-only file system", str(ROOT / ".state")), ".state: Read-only", "can be written"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "/x"), "/x: File name too long.", "shorter name"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/x/y"), "/x/y: Not a directory.", "move it away"),
        (OSError(errno.ENOSPC, "No space left", "/x"), "The disk is full: /x", "Make room"),
    ],
)
def test_two_lines_say_what_is_wrong_and_what_to_do(capsys, error: Exception, wrong: str, advice: str) -> None:
    code, lines = ended(error, capsys)
    assert code == 2
    assert wrong in lines[-2] and advice in lines[-1]
    assert all(line.startswith("boulder-k8s: ") for line in lines[-2:])


@pytest.mark.parametrize("error", [Failed(["kubectl", "kustomize"], 1, "invalid"), Rejected("invalid", 422)])
def test_what_fails_for_certain_is_not_to_be_tried_again(capsys, error: Exception) -> None:
    assert "again" not in ended(error, capsys)[1][-1]


def test_what_is_not_utf_8_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.guarded(lambda *_: print("a\udcffb")) == 0
    assert capsys.readouterr().out == "a\\udcffb\n"


def test_a_problem_may_have_an_exit_code_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(Problem("generate.sh ended with 42.", "Mend it.", exit_code=42), capsys)[0] == 42


def test_a_defect_is_no_failed_test(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (RuntimeError("ours"), OSError(errno.EIO, "Input/output error"), PermissionError()):
        code, lines = ended(error, capsys)
        assert code == 2
        assert "this is a defect of boulder-k8s" in lines[-2] and "report it" in lines[-1]


def test_an_interruption_is_128_and_the_signal(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(Interrupted(15), capsys)[0] == 143


def test_advice_says_where_invoke_is_to_those_who_type_elsewhere(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert f".venv/bin/invoke in {ROOT}" in ended(Problem("No.", "Run `invoke up`."), capsys)[1][-1]
    monkeypatch.chdir(ROOT)
    assert str(ROOT) not in ended(Problem("No.", "Run `invoke up`."), capsys)[1][-1]
