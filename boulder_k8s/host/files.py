"""Files: read one as YAML, list those below a directory, write one whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from .errors import Problem

# For their user's eyes: what we remember has the test PKI's keys, and what the user's override file says.
PRIVATE = 0o600
# libyaml reads the rendered overlay in 20 ms, PyYAML's Python code in 300.
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # writes the overlay's files in 20 ms, in place of 80


def load_yaml(path: Path) -> Any:
    """Returns the one YAML document in a file. Raises OSError, yaml.YAMLError."""
    return yaml.load(path.read_text(), Loader)


def in_utf_8(path: Path) -> Path:
    """Returns a path. Raises Problem if it is not UTF-8: neither Compose nor Kubernetes can carry it."""
    if str(path) != os.fsencode(path).decode(errors="replace"):
        raise Problem(f"The path {path} is not UTF-8.", "Rename the directory, or use one with another path.")
    return path


def below(directory: Path) -> dict[str, Path]:
    """Returns every file below a directory, by its path relative to that directory."""
    return {path.relative_to(directory).as_posix(): path for path in sorted(directory.rglob("*")) if path.is_file()}


@contextmanager
def whole(path: Path, mode: int = PRIVATE) -> Iterator[BinaryIO]:
    """Yields a file next to `path`, which takes its place after the block, so that a reader sees the old content or the new,
    never a part. mode: permissions, whatever the umask. Raises OSError; then `path` is unchanged.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".partial", delete=False) as file:
        try:
            os.fchmod(file.fileno(), mode)
            yield file
            file.close()
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def write_whole(path: Path, data: str | bytes, mode: int = PRIVATE) -> None:
    """Writes a file whole or not at all, as `whole` does. mode: permissions, whatever the umask. Raises OSError."""
    with whole(path, mode) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def write_private(path: Path, text: str) -> None:
    """Writes a file that nobody else may read, whatever the umask. Raises OSError."""
    path.touch(PRIVATE)
    path.chmod(PRIVATE)
    path.write_text(text)


def private_file(path: str, flags: int) -> int:
    """Opens a file, as open()'s `opener`, which nobody else may read if it is new."""
    return os.open(path, flags, PRIVATE)


def private_directory(path: Path) -> Path:
    """Makes a directory, and those above it, that nobody else may look into, whatever the umask and whichever command comes
    first; returns it. Raises OSError.

    What runs in the node is root, and reads it. A directory that many share, as /tmp is, stays as it is: root may own it.
    """
    if not path.parent.exists():
        private_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.stat()
    if found.st_mode & 0o077 and not found.st_mode & stat.S_ISVTX and found.st_uid == os.geteuid():
        path.chmod(0o700)
    return path


def own_directory(path: Path) -> Path:
    """Makes a private directory that git ignores, in whatever repository it is; returns it. Raises OSError."""
    private_directory(path)
    ignore = path / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return path


def identity(path: str | Path) -> list[str | int]:
    """Returns what is another if somebody changes or replaces a file, also by one of the same size and date. Raises OSError."""
    facts = os.stat(path)
    return [os.path.realpath(path), facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]
