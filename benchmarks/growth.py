"""What a larger test/config costs: the first run after one of its files was edited, which renders, applies and starts a pod.

Not in pairs: a checkout is either as it is or larger. The runs with the larger one come after the others.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import sides
from sides import CHECKOUT, ROOT, SETTLE, invoke, row, wrapper


def growth(count: int) -> list[str]:
    """A clone with ten times the files in test/config, beside the clone as it is."""
    invoke("down")
    clone = Path(tempfile.mkdtemp(dir=ROOT / ".state"))  # the user's own stays as it is
    subprocess.run(["git", "clone", "--quiet", "--shared", CHECKOUT, clone], check=True)
    before = sides.ENVIRONMENT["BOULDER_DIR"]
    sides.ENVIRONMENT["BOULDER_DIR"] = str(clone)
    files = sorted(path for path in (clone / "test/config").iterdir() if path.is_file())
    try:
        theirs = edited(files[0], count)
        for path in files:
            for number in range(1, 10):
                shutil.copyfile(path, path.with_name(f"{path.name}.{number}"))
        ours = edited(files[0], count)
    finally:
        invoke("down")
        sides.ENVIRONMENT["BOULDER_DIR"] = before
        shutil.rmtree(clone, ignore_errors=True)  # what tests wrote is root's
    return [
        row("an edited file among ten times as many in test/config", ours, theirs, "the same, test/config as it is")
    ]


def edited(path: Path, count: int) -> list[float]:
    wrapper("--help")
    found = []
    for _ in range(count):
        path.write_text(path.read_text() + "\n")
        time.sleep(SETTLE)
        found.append(wrapper("--help"))
    return found
