"""What the user types after a flag or sets in the environment, as values. Raises Problem if a value is invalid."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..host.errors import Problem
from ..manifests.overrides import Overrides

TIMEOUT = 600.0  # seconds for the dependencies to get ready; Boulder's first start compiles it
VARIABLE = "BOULDER_K8S_TIMEOUT"


@dataclass(frozen=True)
class Options:
    """What every command that brings services up takes.

    config_next: use test/config-next, as tn.sh does. timeout: seconds for the services to get ready. environ: the
    variables with which Docker Compose resolves the checkout's files. overrides: what the author of an ACME client
    changes of Boulder.
    """

    config_next: bool = False
    timeout: float = TIMEOUT
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    overrides: Overrides = Overrides()


def timeout(typed: str = "", environ: Mapping[str, str] = os.environ) -> float:
    """Returns a number of seconds: `typed` (--timeout) if it is not empty, else BOULDER_K8S_TIMEOUT, else 600.

    Raises Problem if that is not a number above 0.
    """
    text = typed or environ.get(VARIABLE, "") or str(TIMEOUT)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:  # this refuses nan too
        name = "--timeout " if typed else f"{VARIABLE}="
        raise Problem(f"{name}{text} is not a number of seconds.", f"Write a number above 0, as in {name}900.")
    return seconds


def number(flag: str, text: str) -> int:
    """Returns `text`, which the user gave for `flag`, as an integer. Raises Problem if it is not a whole number of 0 or
    more.
    """
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise Problem(f"{flag} {text} is not a whole number.", f"Write one, as in {flag} 20.")
    return int(text)


def words(flag: str, text: str) -> list[str]:
    """Splits a string into words as a shell does. flag: how the user gave it. Raises Problem if a quotation mark is
    missing.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise Problem(
            f"{flag} cannot be taken apart: {error}.", f"Write it as for a shell: {flag} '--unit -p ./va'."
        ) from error
