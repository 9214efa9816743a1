"""Files: read one as YAML, list those below a directory, write one whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from .errors import Problem

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


def write_whole(path: Path, data: str | bytes, mode: int | None = None) -> None:
    """Writes a file next to `path`, then renames it, so that a reader sees the old content or the new, never a part.

    mode: permissions, such as 0o600. Raises OSError; then `path` is unchanged.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.touch(mode if mode is not None else 0o666)
        partial.write_bytes(data.encode() if isinstance(data, str) else data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def own_directory(path: Path) -> Path:
    """Makes a directory that git ignores, in whatever repository it is; returns it. Raises OSError."""
    path.mkdir(parents=True, exist_ok=True)
    ignore = path / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return path


def identity(path: str | Path) -> list[str | int]:
    """Returns what is another if somebody changes or replaces a file, also by one of the same size and date. Raises OSError."""
    facts = os.stat(path)
    return [os.path.realpath(path), facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]
