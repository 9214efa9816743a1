"""Twenty runs of tests/soak, whose docstring says what is wrong. `tests/soak/soak.py --runs 1000` does more."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from support.e2e import ROOT, Project

sys.path.append(str(ROOT / "tests/soak"))
from soak import Soak  # noqa: E402

RUNS = 20
FULL = "the file system of .runs is not a small one of its own: tests/soak/soak.py makes it, before the cluster"


def test_runs_around_which_things_go_wrong_have_right_verdicts_and_all_bytes(stack: Project, tmp_path: Path) -> None:
    seed = os.environ.get("SOAK_SEED", "ci")
    soak = Soak(stack, seed, {"disk_full": FULL}, tmp_path)
    soak.prepare()
    for number in range(1, RUNS + 1):
        print(soak.one(number))
    assert not soak.wrong(), soak.report()
