"""Directories that we have made. We remove what bears our mark, never what only bears one of our names."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MARK = ".made-by-boulder-k8s"  # a file in every directory that we may remove
PARTIAL = ".partial"


@contextmanager
def work_directory(target: Path) -> Iterator[Path]:
    """Yields a new directory beside `target`, in which it is made before it is renamed; removes it after the block.

    Removes what killed commands have left of theirs: the mark of a living one is locked. Raises OSError.
    """
    for path in target.parent.glob(f".{target.name.lstrip('.')}.*{PARTIAL}"):
        with suppress(OSError), open(path / MARK) as mark:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=f".{target.name.lstrip('.')}.", suffix=PARTIAL, dir=target.parent))
    with open(path / MARK, "w") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def is_ours(path: Path) -> bool:
    """Returns whether we have made a directory; a link to one is not it."""
    return not path.is_symlink() and (path / MARK).is_file()


def make(path: Path) -> Path:
    """Makes a directory of ours, for our eyes alone; marks it, and returns it. Raises OSError if something is there."""
    path.mkdir(mode=0o700)
    (path / MARK).touch(0o600)
    return path


def remove(path: Path) -> None:
    """Removes a directory of ours. Leaves any other as it is, and raises FileExistsError."""
    if is_ours(path):
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        raise FileExistsError(17, "it was not made by boulder-k8s", str(path))
