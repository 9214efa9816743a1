"""`invoke doctor`: prints one line for every precondition, and what to do if it does not hold. Changes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

from ..host.errors import Problem
from ..host.progress import console, line, visible
from ..host.settings import Settings
from . import engine
from . import machine as checks
from . import project as ours
from .machine import FAIL, OK, WARNING, Machine

CHECKS = (*engine.CHECKS, *checks.CHECKS, *ours.CHECKS)


@dataclass(frozen=True)
class Check:
    """The outcome of one check. level: ok, warning or fail. fix: what to type or change, empty if the level is ok."""

    name: str
    level: str
    found: str
    fix: str = ""


def doctor(settings: Settings, as_json: bool = False, environ: Mapping[str, str] = os.environ) -> int:
    """Prints the outcome of every check, as lines or as JSON; returns 1 if one fails, else 0."""
    found = examine(Machine(settings, environ))
    if as_json:
        found = list(found)
        print(json.dumps([asdict(check) for check in found], indent=2))
    else:
        found = show(found)
    return int(any(check.level == FAIL for check in found))


def examine(machine: Machine) -> Iterator[Check]:
    """Makes every check and yields its outcome. A check that raises Problem fails; any other exception is a warning."""
    for check in CHECKS:
        name = check.__name__.replace("_", "-")
        try:
            level, found, *fix = check(machine)
        except Problem as problem:
            level, found, fix = FAIL, problem.message, [problem.fix]
        except Exception as error:  # one check must not prevent the others
            level, found, fix = WARNING, f"could not be looked at: {error}", ["Check it by hand."]
        yield Check(name, level, found, fix[0] if fix and level != OK else "")


def show(made: Iterable[Check]) -> list[Check]:
    """Prints each outcome as soon as it is there; returns them all."""
    screen = console()
    colours = {OK: "green", WARNING: "yellow", FAIL: "red"}
    shown = []
    for check in made:
        shown.append(check)
        screen.print(line((f"{check.level:<8}", colours[check.level]), f"{check.name:<17} ", check.found))
        if check.fix:
            screen.print(line(f"{'':26}{check.fix}"))
    return shown


def lines(settings: Settings, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Returns the outcome of every check as a line of plain text."""
    return [
        visible(f"{check.level:<8}{check.name:<17} {check.found}{f' -> {check.fix}' if check.fix else ''}")
        for check in examine(Machine(settings, environ))
    ]
