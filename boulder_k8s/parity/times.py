"""How long things take on both sides: the rule for a difference, and what the lines of test.sh's output tell."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .orchestrators import COMPOSE, KUBERNETES

FACTOR, SECONDS = 2, 2.0
WHOLE = "whole run"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
START, ENTRYPOINT = "phase generate.sh and start of the container", "phase entrypoint.sh"
# The first line of a phase; the phase ends where the next one begins. bash, make and the tools print these lines at once.
# What Boulder's Python prints is no mark: it arrives late, because Python keeps lines back in a buffer.
PHASES = (
    (re.compile(r"^Connected to "), ENTRYPOINT),  # test/entrypoint.sh waits for the database first
    (re.compile(r"^Boulder Test Suite CLI$"), "phase settings"),
    (re.compile(r"^Running (Lints|Unit Tests|Integration Tests|Start Test|Generate)$"), "phase {}"),
    (re.compile(r"^(?:SUCCESS|FAILURE while running .*)$"), "phase end of the container"),
)
# The first lines of a phase's steps, which end with the next step or the phase.
STEPS = {
    "phase Integration Tests": (
        (re.compile(r"^GOBIN=\S+ go install"), "build"),
        (re.compile(r"^chall-test-srv - .* Creating "), "start of the services, Python's tests"),
        (re.compile(r"^=== RUN "), "Go's tests"),
    ),
    "phase Start Test": (
        (re.compile(r"^GOBIN=\S+ go install"), "build"),
        (re.compile(r"^chall-test-srv - .* Creating "), "start of the services"),
    ),
}
TEST = re.compile(r"^\s*--- (?:PASS|FAIL|SKIP): (\S+) \((\d+\.\d+)s\)")
TEMPORARY = re.compile(r"(/tmp/Test[^/]*?)\d{6,}(?=/)")  # of Go's testing.T.TempDir: its number is another in each run
PACKAGE = re.compile(r"^(?:ok  |FAIL)\t(\S+)\t(\d+\.\d+)s")

Line = tuple[float, str]  # seconds from the wrapper's start until the line arrived, and its text


def steady(name: str) -> str:
    """Returns a Go test's name without the number of a temporary directory in it."""
    return TEMPORARY.sub(r"\1*", name)


def slower(compose: float, kubernetes: float) -> str | None:
    """Returns the side that takes more than FACTOR times and more than SECONDS longer, or None. Takes seconds."""
    less, more = sorted((compose, kubernetes))
    if more <= FACTOR * less or more - less <= SECONDS:
        return None
    return COMPOSE if compose > kubernetes else KUBERNETES


def taken(lines: Iterable[Line], whole: float) -> dict[str, float]:
    """Returns how many seconds every phase, step, package and test of one run of test.sh took.

    lines: what test.sh printed on stdout. whole: seconds of the whole run. A package and a test say their seconds
    themselves, as `go test` prints them; one that ran more than once has the sum.
    """
    found: dict[str, float] = {WHOLE: whole}
    pending: dict[str, float] = {}  # the lines of a package's tests come before its own
    begun_steps: set[str] = set()
    open_: dict[int, tuple[str, float]] = {0: (START, 0.0)}  # the phase, and below it the step, and when they began

    def close(level: int, now: float) -> None:
        for number in [number for number in open_ if number >= level]:
            name, since = open_.pop(number)
            add(found, name, now - since)

    for now, raw in lines:
        text = COLOURS.sub("", raw).rstrip("\r\n")
        if match := TEST.match(text):
            add(pending, steady(match[1]), float(match[2]))
        elif match := PACKAGE.match(text):
            add(found, f"package {match[1]}", float(match[2]))
            for name, seconds in pending.items():
                add(found, f"test {match[1]} {name}", seconds)
            pending.clear()
        phase = open_[0][0]
        name = begun(text, PHASES)
        if name == ENTRYPOINT and phase != START:  # the tests' own "Connected to"
            name = None
        if name and name != phase:
            close(0, now)
            open_[0] = (name, now)
        elif (step := begun(text, STEPS.get(phase, ()))) and (whole_name := f"{phase}: {step}") not in begun_steps:
            close(1, now)
            begun_steps.add(whole_name)  # a step begins once: its mark may come again
            open_[1] = (whole_name, now)
    close(0, whole)
    for name, seconds in pending.items():  # of a package that did not finish
        add(found, f"test {name}", seconds)
    return {name: round(seconds, 3) for name, seconds in found.items()}


def begun(text: str, marks: Iterable[tuple[re.Pattern, str]]) -> str | None:
    """Returns the name of what begins with a line, or None."""
    for pattern, name in marks:
        if match := pattern.match(text):
            return name.format(*match.groups())
    return None


def add(found: dict[str, float], name: str, seconds: float) -> None:
    """Adds seconds to those that a name has."""
    found[name] = found.get(name, 0.0) + seconds


def shown(seconds: float) -> str:
    """Returns seconds as a report shows them."""
    return f"{seconds:.1f} s"
