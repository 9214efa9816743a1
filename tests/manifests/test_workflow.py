"""The CI workflows: GitHub workflows by their schema, and Boulder's own matrix row by row."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github/workflows/boulder-ci.yml"
# Boulder's .github/workflows/boulder-ci.yml at the pinned revision, jobs.b.strategy.matrix.tests.
BOULDERS = [
    "./t.sh --lints --generate",
    "./t.sh --integration",
    "./tn.sh --integration",
    "./t.sh --unit --enable-race-detection",
    "./tn.sh --unit --enable-race-detection",
    "./t.sh --start-py",
    "USE_VITESS=true ./t.sh --integration",
    "USE_VITESS=true ./tn.sh --integration",
    "USE_VITESS=true ./t.sh --unit --enable-race-detection",
    "USE_VITESS=true ./tn.sh --unit --enable-race-detection",
    "USE_VITESS=true ./t.sh --start-py",
]


@pytest.mark.parametrize("workflow", sorted(WORKFLOW.parent.glob("*.yml")), ids=lambda path: path.stem)
def test_github_would_take_it(workflow: Path) -> None:
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "check_jsonschema",
            "--builtin-schema",
            "vendor.github-workflows",
            str(workflow),
        ],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_push_is_checked_with_no_more_rights_than_reading() -> None:
    document = yaml.safe_load((WORKFLOW.parent / "check.yml").read_text())
    assert {"push", "pull_request"} <= set(document[True])  # YAML 1.1 reads `on` so
    assert document["permissions"] == {"contents": "read"}
    assert any(step.get("run") == "./check" for step in document["jobs"]["check"]["steps"])


def test_its_rows_are_boulders_with_one_word_swapped() -> None:
    document = yaml.safe_load(WORKFLOW.read_text())
    rows = document["jobs"]["b"]["strategy"]["matrix"]["tests"]
    assert [row.replace("tk8s.sh", "t.sh").replace("tnk8s.sh", "tn.sh") for row in rows] == BOULDERS
    assert all((ROOT / row.split("./")[1].split()[0]).stat().st_mode & 0o111 for row in rows)


def test_called_and_dispatched_it_takes_the_same_inputs() -> None:
    triggers = yaml.safe_load(WORKFLOW.read_text())[True]  # YAML 1.1 reads `on` so
    assert triggers["workflow_dispatch"]["inputs"] == triggers["workflow_call"]["inputs"]


def test_its_tasks_and_options_exist() -> None:
    text = WORKFLOW.read_text()
    for name, options in {"parity": ("--next", "--output"), "bundle": ("--output",), "logs": ()}.items():
        help_text = subprocess.run(
            [ROOT / ".venv/bin/invoke", "--help", name], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        assert f"invoke {name}" in text
        for option in options:
            assert option in text
            assert option in help_text


def test_every_night_the_newest_boulder_is_looked_at_with_no_more_rights_than_reading() -> None:
    path = WORKFLOW.parent / "revisions.yml"
    document = yaml.safe_load(path.read_text())
    assert {"schedule", "workflow_dispatch"} == set(document[True])  # YAML 1.1 reads `on` so
    assert document["permissions"] == {"contents": "read"}
    boulder, *_ = steps = document["jobs"]["revisions"]["steps"]
    assert boulder["with"]["fetch-depth"] == 0  # a shallow clone has no revisions
    commands = [step["run"] for step in steps if "invoke revisions" in step.get("run", "")]
    assert len(commands) == 2 and "--limit 1" in commands[0] and '--since "$SINCE"' in commands[1]
    # What `tee` ends with must not hide what `invoke` ends with.
    assert all("pipefail" in step["shell"] for step in steps if step.get("run") in commands)
    arguments = [ROOT / ".venv/bin/invoke", "--help", "revisions"]
    shown = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "--limit" in shown and "--since" in shown


@pytest.mark.parametrize("workflow", sorted(WORKFLOW.parent.glob("*.yml")), ids=lambda path: path.stem)
def test_an_action_is_pinned_to_a_commit(workflow: Path) -> None:
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    used = [step["uses"] for job in jobs for step in job["steps"] if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)] == []
