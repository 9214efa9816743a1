"""Run directories: named, found as `latest`, kept within limits, and telling what happened."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from boulder_k8s.host.settings import Settings
from boulder_k8s.run.directory import KEEP, Run


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
    left = {path.name.split("Z-")[1] for path in settings.runs.iterdir() if path.is_dir() and not path.is_symlink()}
    assert left == {"new", *(f"old-{number}" for number in range(4, KEEP + 3))}
    assert new.path.exists()


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
