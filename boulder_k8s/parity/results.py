"""Runs test.sh with the same arguments under Compose and Kubernetes, and compares exit code, tests, log markers and
durations.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..host import process
from ..host.progress import step
from ..manifests.differences import Difference
from . import times
from .orchestrators import Orchestrator

PART = "results"
ABSENT = "not run"
# `go test`, with -v or without: https://pkg.go.dev/cmd/go#hdr-Test_packages
TEST = re.compile(r"^\s*--- (PASS|FAIL|SKIP): (\S+) \(")
PACKAGE = re.compile(r"^(ok  |FAIL|\?   |---)\t(\S+)(?:\t| |$)(.*)")
STATUS = {"PASS": "passed", "FAIL": "failed", "SKIP": "skipped", "ok  ": "passed", "?   ": "no tests"}
# The output names one of Boulder's Python integration tests only if it fails, in the traceback.
TRACEBACK = re.compile(r'^  File ".*", line \d+, in (test_\w+)')
MARKERS = (
    re.compile(r"Running (Lints|Unit Tests|Integration Tests|Start Test|Generate)"),
    re.compile(r"^(Starting service \S+)"),
    re.compile(r"^(All servers running)"),
    re.compile(r"(SUCCESS|FAILURE)"),
    re.compile(r'Finished processing certificates JSON=.*("bad-certs":\d+)'),
    re.compile(r"^(Boulder) took \d+ seconds to come up"),
)


@dataclass
class Outcome:
    """One run of test.sh. seconds: from the wrapper's start to its end."""

    exit_code: int
    seconds: float
    tests: dict[str, str] = field(
        default_factory=dict
    )  # "PACKAGE" or "PACKAGE TestName" -> passed, failed, skipped, no tests
    markers: set[str] = field(default_factory=set)
    times: dict[str, float] = field(default_factory=dict)  # of phases, packages and tests, in seconds
    restarts: dict[str, str] = field(default_factory=dict)  # dependencies that ended and were started again, and how
    cached: int = 0  # packages that did not run, because Go took the result from its cache

    def count(self, status: str) -> int:
        """Returns how many tests have a status, such as "failed"."""
        return sum(value == status for value in self.tests.values())


def parse(output: str, outcome: Outcome) -> Outcome:
    """Adds to `outcome` what test.sh printed on stdout; returns it."""
    pending: dict[str, str] = {}  # the lines of a package's tests come before its own
    for raw in output.splitlines():
        line = re.sub(r"\x1b\[[0-9;]*m", "", raw)
        if match := TEST.match(line):
            name = times.steady(match[2])
            pending[name] = worse(pending.get(name), STATUS[match[1]])
        elif (match := PACKAGE.match(line)) and "/" in match[2]:
            package = match[2]
            status = STATUS[match[1]] if match[1] in STATUS else "failed"
            outcome.tests[package] = "failed to build" if "[build failed]" in match[3] else status
            outcome.cached += "(cached)" in match[3]
            outcome.tests |= {f"{package} {name}": value for name, value in pending.items()}
            pending.clear()
        elif match := TRACEBACK.match(line):
            outcome.tests[f"python {match[1]}"] = "failed"
        for marker in MARKERS:
            if match := marker.search(line):
                outcome.markers.add(match[1])
    outcome.tests |= pending  # of a package that did not finish
    return outcome


def worse(one: str | None, other: str) -> str:
    """Returns the worse of two results, for a test that runs more than once (-count)."""
    return "failed" if "failed" in (one, other) else other


def take(orchestrator: Orchestrator, arguments: Sequence[str], directory: Path) -> Outcome:
    """Runs the tests and returns the outcome. Raises OSError.

    directory: gets their stdout and stderr, and NAME.times: the lines of stdout, each with the second in which it came.
    """
    name = orchestrator.name.lower()
    lines: list[times.Line] = []
    begun = time.monotonic()
    with (
        step(f"{Path(orchestrator.tests([])[0]).name} {' '.join(arguments)}"),
        (directory / f"{name}.stdout").open("wb") as stdout,
        (directory / f"{name}.stderr").open("wb") as stderr,
        process.started(
            orchestrator.tests(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=orchestrator.environ,
            cwd=orchestrator.checkout.path,
        ) as child,
    ):
        for line in child.stdout:
            lines.append((round(time.monotonic() - begun, 3), line.decode(errors="replace")))
            stdout.write(line)
        code = child.wait()
    seconds = round(time.monotonic() - begun, 3)
    timed = directory / f"{name}.times"
    timed.write_text("".join(f"{at:9.3f} {line.rstrip()}\n" for at, line in lines))
    outcome = parse("".join(line for _, line in lines), Outcome(code, seconds))
    outcome.times = times.taken(lines, seconds)
    outcome.restarts = {item["service"]: f"exit code {item['exit_code']}" for item in orchestrator.restarts()}
    return outcome


def compare(under_compose: Outcome, under_kubernetes: Outcome) -> list[Difference]:
    """Returns one Difference for the exit code, for each test, marker and restarted dependency that is not the same, and
    for each time that is a difference by the rule of `times.slower`.

    The subject of a time names the slower side: if another run is slow on the other side, it is not the same difference.
    """
    found = []

    def add(subject: str, aspect: str, one: object, other: object) -> None:
        if one != other:
            found.append(Difference(PART, subject, aspect, str(one), str(other)))

    add("test.sh", "exit code", under_compose.exit_code, under_kubernetes.exit_code)
    for test in sorted({*under_compose.tests, *under_kubernetes.tests}):
        add("test", test, under_compose.tests.get(test, ABSENT), under_kubernetes.tests.get(test, ABSENT))
    for marker in sorted(under_compose.markers ^ under_kubernetes.markers):
        add(
            "marker",
            marker,
            *("seen" if marker in outcome.markers else ABSENT for outcome in (under_compose, under_kubernetes)),
        )
    for name in sorted({*under_compose.times} & {*under_kubernetes.times}):
        one, other = under_compose.times[name], under_kubernetes.times[name]
        if side := times.slower(one, other):
            add(f"slower under {side}", name, times.shown(one), times.shown(other))
    for service in sorted({*under_compose.restarts, *under_kubernetes.restarts}):
        sides = (under_compose.restarts, under_kubernetes.restarts)
        add("restarted", service, *(side.get(service, "not restarted") for side in sides))
    return found


def flaky(first: list[Difference], again: list[list[Difference]]) -> list[Difference]:
    """Returns those differences of the first run that are missing in at least one of the later runs."""
    return [
        found
        for found in first
        if any(all((found.subject, found.aspect) != (other.subject, other.aspect) for other in run) for run in again)
    ]
