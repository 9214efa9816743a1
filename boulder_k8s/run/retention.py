"""Which run directories are kept: by what they are, and within a limit in bytes. docs/runs.md has the numbers too."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections import Counter
from pathlib import Path

from ..host import state
from . import record as records

# How many of each kind are kept, the newest ones. The first kinds are the first to go if all of them are too large.
KEEP = {
    "refused": 5,  # the tests, or the command of `invoke run`, never began
    "up": 5,
    "run": 10,  # `invoke run`, and parity
    "passed": 10,
    "failed": 20,  # also if there is no result
}
LIMIT = 4 << 30  # bytes of all of them
PINNED = "pinned"  # a file in the directory of a run that stays


def prune(runs: Path, newest: Path) -> None:
    """Removes run directories: of each kind the oldest beyond KEEP, then whatever is beyond LIMIT, kind by kind and the
    oldest first. `newest` stays, and pinned ones, and those whose run goes on (on another cluster). If another command does the same at
    this moment, it does nothing: a name that the other has freed may be a new run's already. Raises OSError.
    """
    directory = os.open(runs, os.O_RDONLY)
    try:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        except OSError:  # a file system without locks
            pass
        remove_old(runs, newest)
    finally:
        os.close(directory)


def remove_old(runs: Path, newest: Path) -> None:
    """As `prune`, whatever other commands do."""
    found = sorted((path for path in runs.iterdir() if is_run(path)), key=changed, reverse=True)
    sizes = {path: size(path) for path in found}
    free = [path for path in found if path != newest and not (path / PINNED).exists() and not goes_on(path)]
    kinds = {path: kind(records.read(path)) for path in found}
    there, gone = Counter([kinds[newest]] if newest in kinds else []), []
    for path in free:
        there[kinds[path]] += 1
        if there[kinds[path]] > KEEP[kinds[path]]:
            gone.append(path)
    spare = LIMIT - sum(size for path, size in sizes.items() if path not in gone)
    order = {path: (list(KEEP).index(kinds[path]), -number) for number, path in enumerate(free)}
    for path in sorted(free, key=order.get):
        if spare >= 0:
            break
        if path not in gone:
            gone.append(path)
            spare += sizes[path]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)


def kind(record: dict) -> str:
    """Returns what a run is, a key of KEEP. record: run.json."""
    verb = (record.get("arguments") or [""])[0]
    if verb == "up":
        return "up"
    if "exit_code" not in record and record.get("failure") and "tests" not in record.get("phases", {}):
        return "refused"
    if verb in ("run", "parity"):
        return "run"
    return "passed" if record.get("exit_code") == 0 else "failed"


def size(path: Path) -> int:
    """Returns how many bytes of the disk the files below a directory take, as far as they can be read."""
    total = 0
    try:
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                total += size(Path(entry.path))
            else:
                total += entry.stat(follow_symlinks=False).st_blocks * 512
    except OSError:  # another command has removed it meanwhile
        pass
    return total


def changed(path: Path) -> float:
    """Returns when a file was written, or a directory got or lost one, as Unix time; 0 if another command has removed it meanwhile."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def is_run(path: Path) -> bool:
    """Returns whether `Run.create` has made a directory, and not somebody who keeps something beside the runs."""
    named = re.match(r"\d{8}T\d{6}Z-", path.name) and path.is_dir() and not path.is_symlink()
    return bool(named) and ("cluster" in state.read_object(path / "run.json") or (path / "pod/supervisor.py").exists())


def goes_on(path: Path) -> bool:
    """Returns whether that run may still go on: it has not recorded its end, and it began less than a day ago."""
    record = records.read(path)
    began = record.get("began", changed(path))  # one that is being made has no record yet
    return "ended" not in record and time.time() - began < 86400
