"""What a run says at its end besides its result."""

from __future__ import annotations

import json

import pytest

from boulder_k8s.host.settings import Settings
from boulder_k8s.run import aftermath
from boulder_k8s.run.directory import Run

NOTHING = {"written": [], "kept": {}, "failed": {}}


@pytest.fixture
def run(settings: Settings) -> Run:
    made = Run.create(settings, ["t"], {"config_next": False})
    (made.path / "exitcode").write_text("0\n")
    return made


def test_what_arrived_is_in_the_record_and_nothing_is_said(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    found = {**NOTHING, "written": ["wfe2.json"]}
    (run.path / "config.json").write_text(json.dumps(found))
    aftermath.configuration(run)
    assert (run.record["config"], capsys.readouterr().err) == (found, "")


def test_what_did_not_arrive_is_one_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.record["config_next"] = True
    found = {**NOTHING, "kept": {"wfe2.json": "changed by both"}, "failed": {"a.json": "No space left on device"}}
    (run.path / "config.json").write_text(json.dumps(found))
    aftermath.configuration(run)
    kept, failed = capsys.readouterr().err.splitlines()
    assert "not overwritten" in kept and "test/config-next/wfe2.json (changed by both)" in kept
    assert "not written" in failed and "test/config-next/a.json (No space left on device)" in failed
    assert run.record["config"] == found


def test_a_killed_run_says_what_is_lost(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (run.path / "exitcode").unlink()
    run.record["failure"] = "killed: OOMKilled, the pod ran out of memory"
    aftermath.configuration(run)
    assert "test/config is lost" in capsys.readouterr().err
    assert "config" not in run.record


def test_a_run_that_the_user_ended_at_once_says_nothing(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (run.path / "exitcode").unlink()
    aftermath.configuration(run)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "content", ['{"written": [], "kept": {}, "fai', "{}", '{"written": [], "kept": null, "failed": {}}']
)
def test_half_a_file_is_no_write_back_and_that_is_said(run: Run, capsys, content: str) -> None:
    """Unlike a bundle, what the tests wrote to the configuration matters to the checkout."""
    (run.path / "config.json").write_text(content)
    aftermath.configuration(run)
    assert "it is not known whether" in capsys.readouterr().err
    assert "config" not in run.record
