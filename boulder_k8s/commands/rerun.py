"""`invoke rerun`: the tests of an earlier run again, all of them or those that failed."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from ..diagnose import output
from ..diagnose.findings import Findings
from ..host.errors import Problem
from ..host.progress import note
from ..host.settings import Settings
from ..host.signals import Signals
from ..run import record as records
from ..run import retention
from . import arguments
from .arguments import Options
from .test import test

STAGES = {
    "lints": "--lints",
    "unit": "--unit",
    "integration": "--integration",
    "start": "--start-py",
    "generate": "--generate",
}
# test.sh's options by their letters: those that say how tests run, which stay, and those with a value. https://github.com/letsencrypt/boulder/blob/main/test.sh
KEPT = {
    "v": "verbose",
    "w": "unit-without-cache",
    "e": "enable-race-detection",
    "n": "config-next",
    "c": "coverage",
    "d": "coverage-dir",
}
VALUED = {"p": "unit-test-package", "f": "filter", "d": "coverage-dir"}
FILES = "command-line-arguments"  # go's name for a package that is given by its files
MANY = 100  # tests: with more, the packages run whole


@dataclass
class Typed:
    """test.sh's arguments, taken apart. kept: the words that stay, whatever runs. packages, filters: of -p and -f."""

    kept: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, given: list[str]) -> Typed:
        """Takes arguments apart as test.sh's getopts does; what it would refuse is left out."""
        found, words = cls(), list(given)
        while words and (word := words.pop(0)).startswith("-") and word not in ("-", "--"):
            if word.startswith("--"):
                name, _, value = word[2:].partition("=")
                found.take(name, value)
                continue
            letters = word[1:]
            while letters:
                letter, letters = letters[0], letters[1:]
                if letter in VALUED:
                    found.take(VALUED[letter], letters or (words.pop(0) if words else ""))
                    break
                found.take(KEPT.get(letter, ""), "")
        return found

    def take(self, name: str, value: str) -> None:
        """Takes an option, by its long name."""
        if name == VALUED["p"]:
            self.packages.append(value)
        elif name == VALUED["f"]:
            self.filters.append(value)
        elif name in KEPT.values():
            self.kept.append(f"--{name}={value}" if value else f"--{name}")


def rerun(
    settings: Settings,
    signals: Signals,
    failed: bool,
    name: str,
    timeout: str,
    environ: MutableMapping[str, str] = os.environ,
) -> int:
    """Runs the tests of a run again, with its checkout, configuration and variables; returns test.sh's exit code.

    failed: only what failed. name: of the run directory, or "" for the last one. timeout: as typed. Sets the variables in
    environ. Raises Problem if a value is invalid, if there is no such run, if nothing failed in it, or if the tests
    cannot be started, or ApiError.
    """
    seconds = arguments.timeout(timeout)
    run = named(settings, name) if name else last(settings, failed)
    record = records.read(run)
    words = record["arguments"]
    if failed:
        if record.get("exit_code") == 0:
            raise Problem(
                f"Nothing failed in {run.name}.", "`invoke rerun` runs all of it again; --run NAME means another one."
            )
        words = chosen(words, output.read(run), Path(record.get("checkout", ".")))
    variables = record.get("environment")
    environ.pop("USE_VITESS", None)
    environ |= {key: str(value) for key, value in (variables if isinstance(variables, dict) else {}).items()}
    if record.get("checkout"):
        environ["BOULDER_DIR"] = record["checkout"]
    config_next = bool(record.get("config_next"))
    note(f"again, of {run.name}: {'./tnk8s.sh' if config_next else './tk8s.sh'} {shlex.join(words)}".rstrip())
    return test(settings, signals, words, Options(config_next, seconds, environ))


def are_tests(record: dict) -> bool:
    """Returns whether a run is one of test.sh. record: its run.json."""
    return bool(
        "arguments" in record and "began" in record and record["arguments"][:1] not in (["up"], ["run"], ["parity"])
    )


def last(settings: Settings, failed: bool) -> Path:
    """Returns the directory of this cluster's newest run of the tests. failed: one whose tests began. Raises Problem if
    there is none.
    """
    for path in sorted(settings.runs.glob("2*"), reverse=True) if settings.runs.exists() else ():
        record = records.read(path)
        if record.get("cluster") == settings.cluster and are_tests(record):
            if not failed or retention.kind(record) != "refused":
                return path
    raise Problem(
        "There is no run of the tests to repeat.", "Start one: ./tk8s.sh --unit -p ./va (more: `invoke status`)."
    )


def named(settings: Settings, name: str) -> Path:
    """Returns the directory of a run. name: as in .runs/, or its path. Raises Problem if it is no run of the tests."""
    path = settings.runs / Path(name).name
    if name and retention.is_run(path.resolve()) and are_tests(records.read(path)):
        return path.resolve()
    raise Problem(
        f"{name} is no run of the tests.",
        f"`ls {shlex.quote(str(settings.runs))}` shows all; `invoke status` names the last.",
    )


def chosen(given: list[str], found: Findings, checkout: Path) -> list[str]:
    """Returns test.sh's arguments for what failed. If it is not known, those of the run, and it says so.

    given: the run's. found: what its output says.
    """
    if found.stage not in STAGES:
        note("it is not known what failed: all of it runs again")
        return given
    typed = Typed.of(given)
    words = [STAGES[found.stage], *typed.kept]
    filters = [f"--filter={text}" for text in typed.filters]
    if found.stage == "unit":
        packages = [f"./{name}" if (checkout / name).is_dir() else name for name in found.packages]
        if FILES in packages:  # that name cannot be typed
            packages = typed.packages
        words += [f"--unit-test-package={name}" for name in packages or typed.packages]
    if found.stage in ("unit", "integration"):
        names = tests(found)
        words += [f"--filter=^({'|'.join(names)})$"] if names else filters
    return words


def tests(found: Findings) -> list[str]:
    """Returns the names of the tests that failed; none if something else failed too, or a package of which no test
    says why: then the rest of it has not run.
    """
    listed = found.ranked()
    names = {failure.name.partition("/")[0]: failure for failure in listed}
    whole = set(found.packages) <= {failure.package for failure in listed} and not found.more
    if not whole or len(names) > MANY or any(failure.kind not in ("test", "python") for failure in listed):
        return []
    return sorted(names) if all(re.fullmatch(r"\w+", name) for name in names) else []
