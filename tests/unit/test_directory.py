"""Run directories: named, found as `latest`, kept within limits, and telling what happened."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import ROOT, Settings
from boulder_k8s.run import retention
from boulder_k8s.run.directory import Run
from boulder_k8s.run.retention import KEEP as ALL

KEEP = ALL["failed"]
PASSED, FAILED = {"exit_code": 0, "arguments": []}, {"exit_code": 1, "arguments": []}


def saved(run: Run) -> dict:
    return json.loads((run.path / "run.json").read_text())


@pytest.mark.parametrize(
    ("words", "end"),
    [
        (["t", "--unit", "-p", "./va"], "Z-t-unit-p-va"),
        (["t"], "Z-t"),
        (["t", "../../etc", "a b", "ü", ""], "Z-t-etc-a-b"),
        (["..", "/"], "Z-run"),
        (["t", "x" * 500], "Z-t-" + "x" * 58),
    ],
)
def test_a_run_is_named_after_its_time_and_arguments(settings: Settings, words: list[str], end: str) -> None:
    run = Run.create(settings, words, {})
    assert run.path.parent == settings.runs
    assert run.path.name[8] == "T"
    assert run.path.name[15:] == end


def test_latest_is_the_newest_and_runs_of_the_same_second_stay_apart(settings: Settings) -> None:
    runs = [Run.create(settings, ["t"], {}) for _ in range(3)]
    assert len({run.path for run in runs}) == 3
    assert (settings.runs / "latest").resolve() == runs[-1].path
    assert not list(settings.runs.glob(".latest.*"))


def test_the_oldest_runs_are_removed_and_the_new_one_never(settings: Settings) -> None:
    for number in range(KEEP + 3):
        path = Run.create(settings, [f"old {number}"], {"ended": 1}).path
        os.utime(path, (number, number))
    new = Run.create(settings, ["new"], {})
    assert kept(settings) == {"new", *(f"old-{number}" for number in range(4, KEEP + 3))}
    assert new.path.exists()


def made(settings: Settings, number: int, name: str, record: dict) -> Path:
    """The directory of a run that was over long ago. number: its place in time."""
    path = Run.create(settings, [name], {"ended": 1, **record}).path
    os.utime(path, (number, number))
    return path


def kept(settings: Settings) -> set[str]:
    """The names of the runs that are there."""
    return {path.name.split("Z-")[1] for path in settings.runs.iterdir() if path.is_dir() and not path.is_symlink()}


def test_a_failed_run_outlasts_all_that_comes_after_it(settings: Settings) -> None:
    made(settings, 0, "eight minutes", FAILED)
    refused = {"failure": "Problem: no", "arguments": ["-u"], "phases": {}}
    others = [
        ("t", PASSED),
        ("up", {"arguments": ["up"]}),
        ("run", {**FAILED, "arguments": ["run", "ls"]}),
        ("r", refused),
    ]
    for number in range(1, 26):
        for name, record in others:
            made(settings, number, f"{name} {number}", record)
    Run.create(settings, ["new"], {})
    left = kept(settings)
    assert {"eight-minutes", "t-25", "up-25", "run-25", "r-25"} <= left and len(left) == 1 + 10 + 5 + 10 + 5 + 1


def test_beyond_the_limit_what_failed_goes_last_and_what_is_pinned_never(settings: Settings, monkeypatch) -> None:
    runs = [made(settings, number, f"f {number}", FAILED) for number in range(3)]
    runs += [made(settings, 9, "passed", PASSED), made(settings, 9, "up", {"arguments": ["up"]})]
    (runs[0] / "pinned").touch()
    for path in runs:
        (path / "stdout").write_bytes(b"x" * (1 << 20))
    os.utime(runs[0], (0, 0))
    monkeypatch.setattr(retention, "LIMIT", 7 << 19)  # three and a half
    Run.create(settings, ["new"], {"ended": 1})
    assert kept(settings) == {"f-0", "f-1", "f-2", "new"}
    monkeypatch.setattr(retention, "LIMIT", 5 << 19)
    Run.create(settings, ["newer"], {"ended": 1})
    assert kept(settings) == {"f-0", "f-2", "new", "newer"}
    monkeypatch.setattr(retention, "LIMIT", 0)
    Run.create(settings, ["newest"], {})
    assert kept(settings) == {"f-0", "newest"}


@pytest.mark.parametrize("name", ["latest", "kept", "20260101T000000Z-notes", "bundle.d", "x.partial", "2026-01-01"])
def test_what_somebody_keeps_beside_the_runs_stays(settings: Settings, name: str) -> None:
    mine = settings.runs / name
    mine.mkdir(parents=True)
    (mine / "run.json").write_text('{"of": "another program"}')
    os.utime(mine, (1, 1))
    for number in range(KEEP + 2):
        Run.create(settings, [f"{number}"], {"ended": 1})
    assert (mine / "run.json").exists()
    assert len([path for path in settings.runs.iterdir() if path.is_dir() and not path.is_symlink()]) == KEEP + 1


def test_a_run_of_another_cluster_that_goes_on_is_kept(settings: Settings) -> None:
    """Run directories are shared by all clusters of the project: a long run must not lose its directory to twenty short ones."""
    long = Run.create(settings, ["long"], {})
    os.utime(long.path, (time.time() - 600,) * 2)  # that long ago it last got a new file
    for number in range(KEEP + 1):
        with Run.create(Settings(settings.root, "other", "", ()), [f"short {number}"], {}).recorded():
            pass
    assert long.path.exists()


def test_what_was_known_is_saved_however_the_run_ends(settings: Settings) -> None:
    run = Run.create(settings, ["t"], {"arguments": ["--unit"]})
    with pytest.raises(KeyboardInterrupt), run.recorded():
        run.record["revision"] = "abc"
        with run.phase("pod"):
            raise KeyboardInterrupt("now")
    record = saved(run)
    assert (record["arguments"], record["revision"], record["cluster"]) == (["--unit"], "abc", "unit")
    assert record["failure"] == "KeyboardInterrupt: now"
    assert record["began"] <= record["ended"]
    for name in "began", "ended":
        assert datetime.fromisoformat(record[f"{name}_at"]).timestamp() == int(record[name])
    assert set(record["phases"]) == {"pod"}


def test_there_is_no_exit_code_before_it_is_recorded(settings: Settings) -> None:
    run = Run.create(settings, ["t"], {})
    assert run.exit_code() is None
    (run.path / "exitcode").write_text("")
    assert run.exit_code() is None
    (run.path / "exitcode").write_text("0\n")
    assert run.exit_code() == 0


def test_a_run_within_another_is_one_of_its_own(settings: Settings) -> None:
    run = Run.create(settings, ["t"], {})
    setup = run.within("bsetup")
    with setup.recorded():
        setup.record["exit_code"] = 3
    assert setup.path == run.path / "bsetup"
    assert saved(setup)["exit_code"] == 3
    assert "exit_code" not in saved(run)


def test_the_pods_programs_are_in_every_run_directory(settings: Settings) -> None:
    run = Run.create(settings, ["t"], {})
    source = Path(__file__).resolve().parents[2] / "boulder_k8s/run/pod"
    programs = {path.name for path in source.glob("*.py")} | {"writeback.py"}
    assert {path.name for path in (run.path / "pod").iterdir()} == programs


def test_many_commands_that_prune_at_the_same_time_make_their_runs(settings: Settings) -> None:
    """As two clusters of one project do."""
    script = """
import sys
from pathlib import Path
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import ROOT, Settings
from boulder_k8s.run.directory import Run
settings = Settings(Path(sys.argv[1]), "unit", "", ())
for number in range(25):
    with Run.create(settings, ["t", str(number)], {}).recorded():
        pass
"""
    command = [sys.executable, "-c", script, str(settings.root)]
    children = [subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT) for _ in range(4)]
    said = [child.communicate(timeout=60)[1] for child in children]
    assert [child.returncode for child in children] == [0] * 4, said
    assert said == [b""] * 4
    assert not list(settings.runs.glob(".latest.*"))


def test_a_directory_that_another_command_makes_at_this_moment_stays(settings: Settings) -> None:
    """Its name may have belonged to an old one in the same second."""
    for number in range(KEEP):
        with Run.create(settings, [f"old {number}"], {}).recorded():
            pass
    made = settings.runs / "20260101T000000Z-t"
    (made / "pod").mkdir(parents=True)
    (made / "pod/supervisor.py").touch()
    now = time.time() - 5
    os.utime(made, (now, now))
    Run.create(settings, ["new"], {})
    assert made.exists()


def test_one_command_prunes_at_a_time(settings: Settings, monkeypatch) -> None:
    """Else the second one removes a run that has meanwhile got the name of one that the first has removed."""
    for number in range(KEEP):
        with Run.create(settings, [f"old {number}"], {}).recorded():
            pass
    oldest = next(settings.runs.glob("*-old-0"))
    os.utime(oldest, (0, 0))
    size, others = retention.size, []

    def meanwhile(path: Path) -> int:
        if not others:
            others.append("the other command has begun")
            retention.prune(settings.runs, next(settings.runs.glob("*-one-more")))
            if not oldest.exists():
                oldest.mkdir()
                others.append("and its next run has the name")
        return size(path)

    monkeypatch.setattr(retention, "size", meanwhile)
    with Run.create(settings, ["one more"], {}).recorded():
        pass
    assert others == ["the other command has begun"] and not oldest.exists()


def test_a_directory_that_vanishes_while_we_prune_is_no_error(settings: Settings, monkeypatch, capsys) -> None:
    for number in range(KEEP + 2):
        with Run.create(settings, [f"old {number}"], {}).recorded():
            pass
    stat = Path.stat

    def vanishing(path: Path, **options: bool) -> os.stat_result:
        found = stat(path, **options)
        if path.name.endswith("old-3") and options.get("follow_symlinks", True):
            shutil.rmtree(path, ignore_errors=True)
        return found

    monkeypatch.setattr(Path, "stat", vanishing)
    assert Run.create(settings, ["new"], {}).path.exists()
    assert capsys.readouterr().err == ""


def test_a_link_that_cannot_be_made_is_one_line(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    settings.runs.mkdir()
    (settings.runs / "latest").mkdir()
    (settings.runs / f".latest.{os.getpid()}").symlink_to("of a command that was killed")
    assert Run.create(settings, ["t"], {}).path.exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("boulder-k8s: .runs/latest does not lead to this run: ")


def test_a_record_that_cannot_be_written_changes_nothing(settings: Settings, capsys) -> None:
    run = Run.create(settings, ["t"], {})
    with run.recorded():
        run.record["odd"] = {(1, 2): "no key of JSON"}
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("boulder-k8s: run.json was not written: TypeError")


def dangling(runs: Path) -> None:
    runs.symlink_to("nowhere")


def a_file(runs: Path) -> None:
    runs.touch()


def endless(runs: Path) -> None:
    runs.symlink_to(runs)


@pytest.mark.parametrize("fault", [dangling, a_file, endless])
def test_a_runs_that_is_no_directory_is_two_lines(settings: Settings, fault) -> None:
    fault(settings.runs)
    with pytest.raises(Problem, match="does not take the run's directory") as caught:
        Run.create(settings, ["t"], {})
    settings.runs.unlink()  # the advice
    assert "if you remove it, it is made anew" in caught.value.fix
    assert Run.create(settings, ["t"], {}).path.exists()


def test_a_runs_that_is_read_only_is_two_lines(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.runs.mkdir()
    (settings.runs / ".gitignore").touch()
    mkdir = Path.mkdir

    def refused(path: Path, *arguments: object, **options: bool) -> None:
        if path.parent == settings.runs:
            raise OSError(30, "Read-only file system", str(path))
        mkdir(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(Problem, match="Read-only file system"):
        Run.create(settings, ["t"], {})


def test_a_runs_that_is_a_link_works(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "big disk").mkdir()
    settings.runs.symlink_to(tmp_path / "big disk")
    path = Run.create(settings, ["t"], {}).path
    assert (tmp_path / "big disk" / path.name / "run.json").exists()
    assert (settings.runs / "latest").resolve() == path.resolve()
