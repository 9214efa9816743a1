"""What the output of a failed run says of the failure, as data: packages, tests, compiler errors, panics, dead services."""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import PurePosixPath

MODULE = "github.com/letsencrypt/boulder"
MOST = 2000  # failures that are kept; of all others only the number
KINDS = ("service", "build", "panic", "race", "timeout", "test", "python", "lint", "generate", "other")  # in this order
LONG = 300  # characters of a line that are kept
MANY = 3  # a line that repeats as often as this is worth a line of its own
# A line that tells of an error, whoever wrote it.
TELLING = re.compile(
    r"(?i)error|fail|refused|denied|no such|not found|not allowed|timed? ?out|cannot|could not|unable|unexpected|expect|want|got\b|!="
    r"|invalid|mismatch|missing|undefined|deadline"
)
# A line of a program that begins with its name when it ends.
ENDS = re.compile(r"^(?:go(?:tip)?: (?!downloading |finding )|make(?:\[\d+\])?: \*\*\* )")
# What differs from one line to the next although they say the same: numbers, addresses, names drawn by lot.
VARYING = re.compile(r"\b0x[0-9a-f]+\b|\b[0-9a-f]{8,}\b|\d+")


@dataclass
class Failure:
    """One thing that failed. kind: one of KINDS. name: of the test, service or function. words: its own lines, the one
    that says most first. file, line: where, below the checkout; "" and 0 if it is not known.
    """

    kind: str
    name: str = ""
    words: list[str] = field(default_factory=list)
    file: str = ""
    line: int = 0
    package: str = ""

    @property
    def place(self) -> str:
        """FILE:LINE, or what is known of it."""
        return f"{self.file}:{self.line}" if self.file and self.line else self.file


@dataclass
class Findings:
    """Everything that was found.

    stage: of test.sh, such as "unit". packages: those that failed, and why if go says so ("build failed"). more: how
    many failures were not kept. repeated: how often each telling line came, by what it says without its numbers.
    examples: such a line as it stood. last_errors: of each command's log. reasons: what go says of a package before any test
    of it. ended: whether test.sh says that it failed. last: the last telling lines of no test. skipped: bytes that nobody read.
    """

    stage: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    more: int = 0
    repeated: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    last_errors: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, list[str]] = field(default_factory=dict)
    ended: bool = False
    last: deque[str] = field(default_factory=lambda: deque(maxlen=3))
    skipped: int = 0

    def __bool__(self) -> bool:
        """Returns whether the output tells of any failure."""
        return bool(self.packages or self.failures)

    def add(self, failure: Failure) -> None:
        """Adds a failure, unless too many were found or it says what another one says."""
        if any(known == failure for known in self.failures[-20:]):
            return
        if len(self.failures) < MOST:
            self.failures.append(failure)
        else:
            self.more += 1

    def count(self, line: str, times: int = 1) -> None:
        """Counts a telling line."""
        key = VARYING.sub("#", line)[:LONG]
        if key not in self.examples:
            if len(self.examples) >= MOST:
                return
            self.examples[key] = line[:LONG]
        self.repeated[key] += times

    def explain(self, package: str, line: str) -> bool:
        """Keeps a line that go says of a package; returns whether more of them are wanted."""
        lines = self.reasons.setdefault(package, []) if len(self.reasons) < MOST else self.reasons.get(package, [])
        if len(lines) < 6 and line.strip():
            lines.append(line.strip()[:LONG])
        return len(lines) < 6

    def most_repeated(self) -> tuple[int, str]:
        """Returns how often the line came that repeats most, and that line; (0, "") if none repeats."""
        for key, times in self.repeated.most_common(1):
            if times >= MANY:
                return times, self.examples[key]
        return 0, ""

    def ranked(self) -> list[Failure]:
        """Returns the failures, those first that the others follow from; what only says that something failed is left
        out if it is known what.
        """
        causes = [failure for failure in self.failures if not is_consequence(failure)]
        return sorted(causes or self.failures, key=lambda failure: KINDS.index(failure.kind))

    def finish(self) -> Findings:
        """Adds why a package could not be built if no compiler's line says so, and to each service that died its last error;
        counts what the failures say, and returns itself.
        """
        places = {failure.file.rpartition("/")[0] for failure in self.failures if failure.kind == "build"}
        for name, why in self.packages.items():
            if why and name not in places and (words := self.reasons.get(name)):
                self.add(Failure("build", "", sorted(words, key=lambda line: not TELLING.search(line)), package=name))
        for name, words in self.reasons.items():
            if name not in self.packages and words and words[0].startswith("module "):  # it could not even be found
                self.add(Failure("build", "", words, package=name))
        if self.ended and self.last and not self.packages and all(map(is_consequence, self.failures)):
            self.add(Failure("other", "test.sh", list(self.last)[::-1]))
        for failure in self.failures:
            if failure.kind == "service":
                commands = [name for name in self.last_errors if f"{failure.name}-".startswith(f"{name}-")]
                failure.words += [self.last_errors[name] for name in sorted(commands, key=len)[-1:]]
            elif failure.words and failure.kind != "generate":
                self.count(failure.words[0])
            if failure.kind == "python" and failure.words:
                said = [words for name, words in self.last_errors.items() if name in failure.words[0]]
                failure.words[0] = "; ".join([failure.words[0], *said[:1]])
        return self


def is_consequence(failure: Failure) -> bool:
    """Returns whether a failure is one of integration-test.py's that only says that what it started has failed."""
    words = " ".join(failure.words) if failure.kind == "python" else ""
    return "CalledProcessError" in words or "startservers" in words or "failed to build" in words


def below_checkout(path: str) -> str:
    """Returns a path as it is below the checkout, which the tests see as /boulder."""
    path = path.removeprefix("/boulder/").removeprefix(f"_{MODULE}/")
    return path.removeprefix("./")


def package_name(path: str) -> str:
    """Returns a package as it is below the module: "va" for github.com/letsencrypt/boulder/va, "." for the module."""
    return "." if path == MODULE else path.removeprefix(f"{MODULE}/")


def of_function(function: str, path: str) -> str:
    """Returns the file below the checkout in which one of Boulder's functions is, wherever the checkout was; "" for
    another's function. path: of the file, as a stack trace has it.
    """
    if not function.startswith((f"{MODULE}/", f"{MODULE}.")):
        return below_checkout(path) if path.startswith("/boulder/") and "/vendor/" not in path else ""
    head, _, tail = function.removeprefix(MODULE).lstrip("/").rpartition("/")
    package = re.split(r"\.", tail, maxsplit=1)[0].removesuffix("_test")
    if function.startswith(f"{MODULE}."):
        head = package = ""
    return str(PurePosixPath(head, package, PurePosixPath(path).name))
