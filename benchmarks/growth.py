"""What a larger test/config costs: the first run after one of its files was edited, which renders, applies and starts a pod."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import sides
from sides import CHECKOUT, ROOT, invoke, row, wrapper

CLONE = ROOT / ".state" / "bench-checkout"  # the user's own stays as it is


def growth(count: int) -> list[str]:
    """A clone with ten times the files in test/config, beside the clone as it is."""
    invoke("down")
    shutil.rmtree(CLONE, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", "--shared", CHECKOUT, CLONE], check=True)
    before = sides.ENVIRONMENT["BOULDER_DIR"]
    sides.ENVIRONMENT["BOULDER_DIR"] = str(CLONE)
    files = sorted(path for path in (CLONE / "test/config").iterdir() if path.is_file())
    try:
        theirs = edited(files[0], count)
        for path in files:
            for number in range(1, 10):
                shutil.copyfile(path, path.with_name(f"{path.name}.{number}"))
        ours = edited(files[0], count)
        invoke("down")
    finally:
        sides.ENVIRONMENT["BOULDER_DIR"] = before
        shutil.rmtree(CLONE)
    return [
        row("an edited file among ten times as many in test/config", ours, theirs, "the same, test/config as it is")
    ]


def edited(path: Path, count: int) -> list[float]:
    wrapper("--help")
    found = []
    for _ in range(count):
        path.write_text(path.read_text() + "\n")
        found.append(wrapper("--help"))
    return found
