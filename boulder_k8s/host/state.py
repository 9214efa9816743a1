"""Answers kept in JSON files, so that the next command need not ask again. A file that is not there or not written whole is no answer."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def read(path: Path) -> dict:
    """The object in a JSON file, empty when there is none that can be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def write(path: Path, value: dict) -> None:
    """Puts an object into a JSON file: all of it or, where that fails, nothing. Another command may write the same one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(json.dumps(value))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remembered(path: Path, key: str, ask: Callable[[], Any]) -> Any:
    """What `ask` answered when the key was the same; else what it answers now, kept in `path`. Answers are JSON values."""
    known = read(path)
    if known.get("key") == key and "answer" in known:
        return known["answer"]
    answer = ask()
    write(path, {"key": key, "answer": answer})
    return answer
