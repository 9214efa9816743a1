"""What only helps a reader: bundles, summaries, links, times. It may fail; the result of the tests stays as it is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import Problem
from .progress import note


@contextmanager
def decoration(what: str) -> Iterator[None]:
    """Lets the block fail: says so in one line on stderr and goes on. what: what then did not happen, such as
    "bundle.tar.gz was not written".

    Every such thing after a verdict is done in a block of this kind. Interrupted passes, because it is no failure.
    """
    try:
        yield
    except Exception as error:
        note(f"{what}: {described(error)}")


def described(error: Exception) -> str:
    """Returns an exception in one line for people."""
    if isinstance(error, Problem):
        return error.message
    if isinstance(error, subprocess.TimeoutExpired):
        return f"{error.cmd[0]} did not answer within {error.timeout:.0f} s"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    words = " ".join(str(error).split())
    return (
        words[:300]
        if words and type(error).__module__.startswith("boulder_k8s")
        else f"{type(error).__name__} {words[:200]}".strip()
    )
