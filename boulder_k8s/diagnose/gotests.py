"""Reads what `go test` writes, with -v and without: https://pkg.go.dev/cmd/go#hdr-Test_packages

A package's line comes after those of its tests; what is found before it waits until then. Without -v a test's own lines
follow its result, with -v they come before it.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass, field

from .findings import ENDS, LONG, TELLING, Failure, Findings, below_checkout, package_name
from .traces import END

RESULT = re.compile(r"--- (FAIL|PASS|SKIP): (\S+)(?: \([\d.]+s\))?$")
MARK = re.compile(r"=== (?:RUN|CONT|NAME|PAUSE)\s+(\S*)$")
# Its time stands behind it, or why it has none; a test may print "FAIL" and a word, too.
PACKAGE = re.compile(r"^(?:FAIL\t(\S+)(?:\s+[\d.]+s\b.*|\s\[(.*)\])|ok  \t\S+\s.*)$")
ABOUT = re.compile(r"^# ([^\s\[]\S*/\S*)(?: \[.*\])?$")  # the package that lines of the compiler follow
RACE = "race detected during execution of test"
TRACE = re.compile(r"^\s*Error Trace:.*? Error:\s+")  # testify's, before what it says
OWN = re.compile(r"(?:^|\S)(\s{4,})(\S+\.go):(\d+): ?(.*)$")
COMPILER = re.compile(r"^(?:vet: )?(\S+\.go):(\d+)(?::\d+)?: (.+)$")
# Text between two tests that says nothing by itself.
EMPTY = re.compile(r"^(?:FAIL|PASS|coverage: .*|program not built with -cover|testing: warning: no tests to run)?\s*$")
OPEN = 500  # tests that may be open at a time


@dataclass
class Entry:
    """A line that a test wrote with t.Log or t.Error, and what follows of it."""

    file: str
    line: int
    words: list[str]

    @property
    def text(self) -> str:
        """Its words in one line."""
        return TRACE.sub("", " ".join(part.strip() for part in self.words))[:LONG].strip()


@dataclass
class Test:
    """What is known of a test. first, last: of the lines that it wrote."""

    name: str
    first: list[Entry] = field(default_factory=list)
    last: deque[Entry] = field(default_factory=lambda: deque(maxlen=3))

    def add(self, entry: Entry) -> None:
        """Adds a line that the test wrote."""
        if len(self.first) < 5:
            self.first.append(entry)
        else:
            self.last.append(entry)

    def continued(self, line: str) -> None:
        """Adds what follows of the newest line."""
        entries = self.last or self.first
        if entries and len(entries[-1].words) < 6:
            entries[-1].words.append(line[:LONG])

    def tells(self) -> bool:
        """Returns whether a line of it tells of an error."""
        return any(TELLING.search(entry.text) for entry in (*self.first, *self.last))

    def failure(self, package: str) -> Failure:
        """Returns the test as a failure. What it says first is the first line that tells of an error, else the last: it
        is not known which of them are t.Error's.
        """
        entries = [*self.first, *self.last]
        said = next((entry for entry in entries if TELLING.search(entry.text)), entries[-1] if entries else None)
        words = [said.text, *(entry.text for entry in entries if entry is not said)] if said else []
        failure = Failure("test", self.name, words, package=package)
        if said and said.file not in ("", "testing.go"):  # Go's own
            inside = "/" not in said.file and package not in ("", ".")
            failure.file = f"{package}/{said.file}" if inside else below_checkout(said.file)
            failure.line = said.line
        return failure


class GoTests:
    """Reads one stream. It takes every line that nobody else has taken."""

    def __init__(self, found: Findings) -> None:
        self.found = found
        self.tests: dict[str, Test] = {}  # that have begun, by name
        self.failed: list[Test] = []  # of the package that is being read
        self.pending: list[Failure] = []  # panics, races and the like, of it
        self.counted: Counter[str] = Counter()  # telling lines, of it
        self.tail: deque[str] = deque(maxlen=3)  # its last lines of no test
        self.current = ""  # the test that writes now, with -v
        self.after: Test | None = None  # the test whose result was read last; its lines follow
        self.compiling = False
        self.about = ""  # the package that the compiler speaks of
        self.exit = ""  # its exit status, if go says so

    def pend(self, failure: Failure, of_test: bool = False) -> None:
        """Keeps a failure until it is known to which package it belongs. of_test: whether the test failed of it whose result was read last."""
        if len(self.pending) < OPEN:
            self.pending.append(failure)
        if of_test and self.failed and self.failed[-1] is self.after and not self.after.tells():
            self.failed.pop()

    def take(self, line: str) -> bool:
        """Takes a line."""
        if self.compiles(line):
            return True
        if "--- " in line and (match := RESULT.search(line)):
            self.result(match[1], match[2])
        elif "=== " in line and (match := MARK.search(line)):
            self.current, self.after = match[1], None
            if match[1] not in self.tests and len(self.tests) < OPEN:
                self.tests[match[1]] = Test(match[1])
        elif line.startswith(("FAIL\t", "ok  \t")) and (match := PACKAGE.match(line)):
            self.package(package_name(match[1] or ""), match[2] or "")
        elif ".go:" in line and (match := OWN.search(line)):
            self.write(Entry(match[2], int(match[3]), [match[4][:LONG]]))
        elif line.startswith("    ") and (self.after or self.current):
            if test := self.after or self.tests.get(self.current):
                test.continued(line)
        elif line.startswith("exit status "):
            self.exit = line
        elif not EMPTY.match(line):
            self.other(line)
        return True

    def compiles(self, line: str) -> bool:
        """Takes a line of the compiler, or of vet: they follow a line that names the package."""
        if line.startswith("# "):
            self.compiling = True
            self.about = package_name(match[1].removesuffix(".test")) if (match := ABOUT.match(line)) else self.about
            return True
        if self.about and (END.match(line) or not self.found.explain(self.about, line)):
            self.about = ""
        if self.compiling and (match := COMPILER.match(line)):
            if match[3] == "too many errors":
                return True
            self.found.add(Failure("build", "", [match[3][:LONG]], below_checkout(match[1]), int(match[2])))
            return True
        self.compiling = self.compiling and line.startswith("\t")
        return self.compiling

    def result(self, verb: str, name: str) -> None:
        """Takes a test's result."""
        test = self.tests.pop(name, None) or Test(name)
        self.after = test if verb == "FAIL" else None
        if verb == "FAIL" and len(self.failed) < OPEN:
            self.failed.append(test)

    def write(self, entry: Entry) -> None:
        """Takes a line that a test wrote."""
        test = self.after or self.tests.get(self.current)
        if test:
            test.add(entry)
        if test and entry.words == [RACE]:  # reports that stand before it name no test, or the one that this is part of
            known = [["data race"]] + [[f"data race in {test.name.partition('/')[0]}"]] * (not self.after)
            for failure in self.pending:
                if failure.kind == "race" and failure.words in known:
                    failure.words = [f"data race in {test.name}"]

    def other(self, line: str) -> None:
        """Takes a line of no test."""
        if self.after and self.after.name.startswith("Example"):  # got: and want: follow
            if not self.after.first:
                self.write(Entry("", 0, []))
            self.after.continued(line)
        elif line.startswith("\t") and self.found.last and self.tail and ENDS.match(self.tail[-1]):
            self.found.last[-1] = f"{self.found.last[-1]} {line.strip()}"[:LONG]
        elif TELLING.search(line) or ENDS.match(line):
            self.found.last.append(line.strip()[:LONG])
            self.counted[line[:LONG]] += 1
            if len(self.counted) > OPEN:  # room for those that repeat
                self.counted = Counter({key: times for key, times in self.counted.items() if times > 1})
        if not line.startswith(" ") and not (self.after and self.after.name.startswith("Example")):
            self.after = None
        self.tail.append(line.strip()[:LONG])

    def package(self, name: str, why: str) -> None:
        """Takes a package's line: all that was read since the last one belongs to it. name: "" if it did not fail."""
        if name:
            self.found.packages.setdefault(name, why)
            self.flush(name, why)
            self.pending = []
        elif self.found.stage != "integration":  # there, a service may have panicked meanwhile
            self.pending = []
        self.begin()

    def flush(self, package: str, why: str = "") -> None:
        """Adds what was read of a package to the findings."""
        names = {test.name for test in self.failed}
        parents = {"/".join(name.split("/")[:depth]) for name in names for depth in range(1, name.count("/") + 1)}
        shown = [test for test in self.failed if test.first or not (self.pending or test.name in parents)]
        failures = [test.failure(package) for test in shown]
        raced = [one for one in failures if one.words == [RACE]]
        parts = [test.name for test in self.failed if any(entry.words == [RACE] for entry in (*test.first, *test.last))]
        for failure in self.pending:
            failure.package = failure.package or package
            inner = [name for name in parts if failure.words == [f"data race in {name.partition('/')[0]}"]]
            if len(inner) == 1:
                failure.words = [f"data race in {inner[0]}"]
            self.found.add(failure)
        races = any(failure.kind == "race" for failure in self.pending)
        for failure in failures:
            if not (races and failure in raced):
                self.found.add(failure)
        if package and not (failures or self.pending or why):
            name = self.current if self.current in self.tests else ""
            words = list(self.tail)[::-1] or [f"{self.exit or 'it ended'}, and no test says why"]
            self.found.add(Failure("other", name, words, package=package))
        for line, times in self.counted.items():
            self.found.count(line, times)

    def begin(self) -> None:
        """Forgets what was read, since another package follows."""
        self.tests, self.failed, self.counted = {}, [], Counter()
        self.tail.clear()
        self.current, self.after, self.compiling, self.exit = "", None, False, ""

    def end(self) -> None:
        """Adds what was read last, of a package that did not come to its end or of no package at all."""
        self.flush("")
        self.pending = []
        self.begin()
