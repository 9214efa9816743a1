"""Reads what a run left behind. A record may end anywhere, since its writer can be killed, and another version may have written it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..host import state


def is_number(value: Any) -> bool:
    """Returns whether a value is a number that can be a time."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e11


def is_text(value: Any) -> bool:
    """Returns whether a value is a text."""
    return isinstance(value, str)


def are_words(value: Any) -> bool:
    """Returns whether a value is a list of texts."""
    return isinstance(value, list) and all(map(is_text, value))


def are_restarts(value: Any) -> bool:
    """Returns whether a value is what restarts.py writes."""
    keys = {"service", "ended", "exit_code", "reason"}
    return isinstance(value, list) and all(isinstance(item, dict) and keys <= set(item) for item in value)


def is_object(value: Any) -> bool:
    """Returns whether a value is an object."""
    return isinstance(value, dict)


# The keys of run.json that are read again, and what each has to be; docs/runs.md has all of them.
KEYS: dict[str, Callable[[Any], bool]] = {
    "arguments": are_words,
    "began": is_number,
    "checkout": is_text,
    "cluster": is_text,
    "ended": is_number,
    "exit_code": lambda value: isinstance(value, int),
    "failure": is_text,
    "phases": is_object,
    "restarts": are_restarts,
    "revision": is_text,
    "versions": is_object,
}


def read(run: Path) -> dict:
    """Returns what run.json of a run directory says, without what it cannot mean; {} if it cannot be read."""
    found = state.read_object(run / "run.json")
    return {key: value for key, value in found.items() if KEYS.get(key, lambda _: True)(value)}
