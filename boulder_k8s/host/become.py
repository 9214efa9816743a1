"""How this process becomes another program, and what of ours that program must not get."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from . import signals
from .errors import starting

OURS: dict[str, str | None] = {}  # variables that we have set, and the user's own values


def set_for_children(name: str, value: str) -> None:
    """Sets a variable for every program that we start, but not for one that this process becomes."""
    OURS.setdefault(name, os.environ.get(name))
    os.environ[name] = value


def users(name: str) -> str | None:
    """Returns a variable as the user has set it, or None."""
    return OURS[name] if name in OURS else os.environ.get(name)


def become(command: Sequence[str | Path], environ: Mapping[str, str] = os.environ) -> NoReturn:
    """Replaces this process by a program, which gets the environment and the signals that the user gave us: nothing of
    ours, and what nohup has ignored stays ignored. The only way to do that.

    environ: the environment; ours by default. Raises OSError if it cannot be started.
    """
    given = {name: value for name, value in {**environ, **OURS}.items() if value is not None}
    if is_coerced():
        given.pop("LC_CTYPE", None)
    for stream in (sys.stdout, sys.stderr):
        if stream:
            stream.flush()
    words = [str(word) for word in command]
    with signals.given_back(), starting(words[0]):
        os.execve(words[0], words, given)


def is_coerced() -> bool:
    """Returns whether Python itself has set LC_CTYPE, as it does in the locale C (PEP 538). Only Linux tells."""
    try:
        ours = Path("/proc/self/environ").read_bytes()  # as this process was started
    except OSError:
        return False
    return not any(item.startswith(b"LC_CTYPE=") for item in ours.split(b"\0"))
