"""Which rows there are: those of the checkout's own CI workflow, or those that the user types."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from ..host.errors import Problem
from ..host.files import load_yaml

WORKFLOW = ".github/workflows/boulder-ci.yml"
# What a row may start, and whether that tests config-next.
SCRIPTS = {"t.sh": False, "tn.sh": True, "tk8s.sh": False, "tnk8s.sh": True, "t": False, "tn": True}
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
LONGEST = 40  # characters of a row's name, which becomes part of a Job's and of a pod's


@dataclass(frozen=True)
class Row:
    """One row of the matrix. name: its Job's. config_next: it runs tn.sh. environment: variables set for it. arguments: test.sh's."""

    name: str
    config_next: bool
    environment: tuple[tuple[str, str], ...]
    arguments: tuple[str, ...]

    @property
    def text(self) -> str:
        """The row as a workflow writes it."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.environment]
        return " ".join([*variables, f"./{'tn' if self.config_next else 't'}.sh", shlex.join(self.arguments)]).strip()


def of_workflow(checkout: Path) -> list[Row]:
    """Returns the rows of the checkout's workflow: every entry of a job's matrix that runs t.sh or tn.sh. Raises Problem if there is
    none.
    """
    path = checkout / WORKFLOW
    try:
        document = load_yaml(path)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Problem(
            f"The rows of {WORKFLOW} cannot be read: {' '.join(str(error).split())}.",
            "Name the rows yourself: invoke matrix --row '--unit -p ./va' --row 'tn --integration'.",
        ) from error
    found = numbered([row for text in entries(document) if (row := parsed(text))])
    if not found:
        raise Problem(
            f"{WORKFLOW} has no row that runs t.sh or tn.sh.",
            "Name the rows yourself: invoke matrix --row '--unit -p ./va' --row 'tn --integration'.",
        )
    return found


def entries(document: Any) -> Iterator[str]:
    """Yields every text in a matrix of the workflow's jobs."""
    jobs = document.get("jobs") if isinstance(document, dict) else None
    for job in (jobs or {}).values() if isinstance(jobs, dict) else ():
        strategy = job.get("strategy") if isinstance(job, dict) else None
        matrix = strategy.get("matrix") if isinstance(strategy, dict) else None
        for values in matrix.values() if isinstance(matrix, dict) else ():
            if isinstance(values, list):
                yield from (value for value in values if isinstance(value, str))


def parsed(text: str) -> Row | None:
    """Returns the row that a matrix's entry is, without a name; None if it is something else, such as an image's tag."""
    try:
        words = shlex.split(text)
    except ValueError:
        return None
    environment = []
    while words and ASSIGNMENT.fullmatch(words[0]):
        name, _, value = words.pop(0).partition("=")
        environment.append((name, value))
    if not words or words[0].removeprefix("./") not in SCRIPTS:
        return None
    return Row("", SCRIPTS[words[0].removeprefix("./")], tuple(environment), tuple(words[1:]))


def typed(texts: Iterable[str]) -> list[Row]:
    """Returns the rows that the user typed: test.sh's arguments, with `t` or `tn` and variables before them if he wishes. Raises
    Problem.
    """
    found = []
    for text in texts:
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise Problem(
                f"--row {text} cannot be taken apart: {error}.", "Write it as for a shell: --row '--unit -p ./va'."
            ) from error
        row = parsed(text)
        if not row:
            variables = [word for word in words if ASSIGNMENT.fullmatch(word)]
            if words[: len(variables)] != variables:
                variables = []
            row = parsed(shlex.join([*variables, "t", *words[len(variables) :]]))
        found.append(row)
    return numbered(found)


def chosen(rows: Sequence[Row], patterns: Sequence[str]) -> list[Row]:
    """Returns the rows whose name or text one of the patterns fits; all of them without a pattern. A pattern without * is a part of it.

    Raises Problem for a pattern that fits no row.
    """
    if not patterns:
        return list(rows)
    wanted: set[str] = set()
    for pattern in patterns:
        fitting = [row.name for row in rows if fits(row, pattern)]
        if not fitting:
            names = ", ".join(row.name for row in rows)
            raise Problem(f"No row fits --rows {pattern}.", f"The rows are {names}.")
        wanted.update(fitting)
    return [row for row in rows if row.name in wanted]


def fits(row: Row, pattern: str) -> bool:
    """Returns whether a pattern fits a row."""
    whole = pattern if "*" in pattern or "?" in pattern else f"*{pattern}*"
    return fnmatchcase(row.name, whole) or fnmatchcase(row.text, whole)


def numbered(rows: Iterable[Row]) -> list[Row]:
    """Returns the rows with names that a Job can have, and that no two of them share."""
    found: list[Row] = []
    taken: set[str] = set()
    for row in rows:
        variables = [name if value == "true" else f"{name}-{value}" for name, value in row.environment]
        words = " ".join([*variables, "tn" if row.config_next else "t", *row.arguments]).replace("USE_VITESS", "vitess")
        stem = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:LONGEST].strip("-")
        name, number = stem, 2
        while name in taken:
            name, number = f"{stem}-{number}", number + 1
        taken.add(name)
        found.append(Row(name, row.config_next, row.environment, row.arguments))
    return found
