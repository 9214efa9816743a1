"""The tests of a row: how many passed and failed, and what failed (commands/reports.py brings that, which `diagnose` reads)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

RESULT = re.compile(rb"\s*--- (PASS|FAIL): ")  # of `go test -v`, also of a test within a test


@dataclass(frozen=True)
class FailedTest:
    """One thing that failed. name: of the test, or what it is. place: FILE:LINE, or what is known of it. words: what it said."""

    name: str
    place: str = ""
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What a row's output says of its tests."""

    passed: int = 0
    failed: int = 0
    failures: tuple[FailedTest, ...] = field(default=())

    @classmethod
    def of(cls, directory: Path, failures: Iterable[FailedTest] = ()) -> Outcome:
        """Returns the tests of a row. directory: the row's. failures: what failed."""
        found: Counter[bytes] = Counter()
        path = directory / "stdout"
        if path.exists():
            with path.open("rb") as file:
                found.update(match[1] for line in file if b"--- " in line and (match := RESULT.match(line)))
        return cls.from_results(found, failures)

    @classmethod
    def from_results(cls, found: Mapping[bytes, int], failures: Iterable[FailedTest] = ()) -> Outcome:
        """Returns the tests that RESULT has found. found: how many of each result. failures: what failed."""
        return cls(found.get(b"PASS", 0), found.get(b"FAIL", 0), tuple(failures))

    @property
    def counted(self) -> str:
        """The numbers for people, "" if nothing was counted."""
        return f"{self.passed} passed, {self.failed} failed" if self.passed or self.failed else ""
