"""A .runs that is taken away from a cluster that is up."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.e2e import ROOT, Project, finish, seen

RUNS = ROOT / ".runs"


@pytest.fixture
def taken_away(stack: Project, tmp_path: Path) -> Iterator[Path]:
    """Gives back at the end what .runs was, because it has the developer's own runs."""
    assert stack.run("--exit=0").returncode == 0
    kept = RUNS.with_name(".runs.kept")
    RUNS.rename(kept)
    yield kept
    if RUNS.is_symlink() or RUNS.is_file():
        RUNS.unlink()
    shutil.rmtree(RUNS, ignore_errors=True)
    kept.rename(RUNS)


def node_id(project: Project) -> str:
    node = f"{project.cluster}-control-plane"
    found = subprocess.run(["docker", "container", "inspect", node], check=True, capture_output=True)
    return json.loads(found.stdout)[0]["Id"]


def test_the_next_run_works_and_the_databases_stay(stack: Project, taken_away: Path) -> None:
    before = node_id(stack)
    stack.node("touch", "/var/kept")
    result = stack.run("--ticks=5", "--exit=42")
    assert (result.returncode, result.stdout.count(b"tick")) == (42, 5)
    assert b".runs was replaced" in result.stderr
    assert node_id(stack) == before  # what is in it, as the databases are, is there as before
    assert stack.node("ls", "/var/kept").strip() == "/var/kept"
    again = stack.run("--exit=3")
    assert (again.returncode, b"replaced" in again.stderr) == (3, False)


def test_a_link_to_another_disk_works(stack: Project, taken_away: Path, tmp_path: Path) -> None:
    RUNS.symlink_to(tmp_path)
    assert stack.run("--exit=42").returncode == 42
    assert os.path.lexists(tmp_path / "latest")


def test_a_run_whose_directory_is_removed_has_no_result_and_says_so(stack: Project) -> None:
    child = stack.start("--ticks=100000")
    seen(child, stack, b"tick 20\n")
    shutil.rmtree(stack.latest())
    result = finish(child)
    assert (result.returncode, b"was removed. There is no result" in result.stderr) == (2, True), result.stderr
    assert stack.run("--exit=0").returncode == 0


def test_tests_that_send_signals_to_the_first_process_decide(stack: Project) -> None:
    (stack.checkout / "test.sh").write_text(
        "#!/bin/bash\nfor i in $(seq 64); do kill -$i 1 2>/dev/null; done; sleep 0.5; echo done; exit 42\n"
    )
    result = stack.run()
    assert (result.returncode, result.stdout) == (42, b"done\n"), result.stderr
