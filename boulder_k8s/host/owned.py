"""Directories that we have made. We remove what bears our mark, never what only bears one of our names."""

from __future__ import annotations

import fcntl
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
