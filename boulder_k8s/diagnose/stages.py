"""Reads what test.sh itself says, its linters, its generators, and integration-test.py's services."""

from __future__ import annotations

import re

from .findings import LONG, Failure, Findings, below_checkout

HEADINGS = {
    "Running Lints": "lints",
    "Running Unit Tests": "unit",
    "Running Integration Tests": "integration",
    "Running Start Test": "start",
    "Running Generate": "generate",
}
FAILED = re.compile(r"FAILURE while running (\S+)$")
REFUSED = re.compile(
    r"^(?:Illegal option|No arg for|\S*test\.sh: (?:illegal option|option requires an argument) --) .*"
)
# Boulder's log, as its commands write it in tests: time, level, command, checksum, text (log/log.go).
LOGGED = re.compile(r"^\d\d:\d\d:\d\d\.\d{6} ([0-7]) (\S+) \S+ (.*)$")
NOTHING = re.compile(r"^\[AUDIT\] | JSON=(?:null|\{\})$")  # of that text, what says nothing to people
ERROR = 3  # syslog's level


class Stages:
    """Reads test.sh's headings, its end, and the stage `generate`, in which every output is a failure."""

    HUNK = re.compile(r"^@@ -\d+(?:,\d+)? \+(\d+)")

    def __init__(self, found: Findings) -> None:
        self.found = found
        self.silent = ""  # the command that should say nothing
        self.failure: Failure | None = None
        self.line = 0

    def take(self, line: str) -> bool:
        """Takes a line if it is one of test.sh's or its generators'."""
        if line in HEADINGS or line.startswith("FAILURE"):
            match = FAILED.match(line)
            self.found.stage = HEADINGS.get(line) or (match[1] if match else self.found.stage)
            self.found.ended |= bool(match)
            self.silent, self.failure = "", None
            return True
        if line in ("go generate ./...", "git diff --exit-code ."):
            self.silent, self.failure = line, None
            return True
        if line.strip() and self.silent or self.failure:  # a diff has empty lines
            self.generated(line)
            return True
        if REFUSED.match(line):
            self.found.add(Failure("other", "test.sh", [line[:LONG]]))
            return True
        return False

    def generated(self, line: str) -> None:
        """Takes a line of what should say nothing."""
        if self.silent.startswith("go "):
            if not self.failure:
                self.failure = Failure("generate", self.silent)
                self.found.add(self.failure)
            if len(self.failure.words) < 5:
                self.failure.words.append(line[:LONG])
        elif line.startswith("diff --git "):
            path = line.rpartition(" b/")[2]
            if line.endswith('"'):  # git quotes what is not ASCII
                path = unquoted(line.rpartition(' "b/')[2][:-1])
            self.failure = Failure("generate", "", ["differs from what is generated"], path)
            self.found.add(self.failure)
        elif match := self.HUNK.match(line):
            self.line = int(match[1])
        elif self.failure and line.startswith(("+", "-")) and not line.startswith(("+++ ", "--- ")):
            self.failure.line = self.failure.line or self.line
            if len(self.failure.words) < 3:
                self.failure.words.append(line[:LONG])
        else:
            self.line += 1

    def end(self) -> None:
        """Nothing is kept back."""


def unquoted(path: str) -> str:
    """Returns a path that git has quoted as C does: a\\303\\251.go."""
    parts = re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8) & 0xFF), path)
    return re.sub(r"\\(.)", r"\1", parts).encode("latin-1", "replace").decode(errors="replace")


class Linters:
    """Reads golangci-lint, typos and format-configs.py."""

    LINT = re.compile(r"^(\S+\.go):(\d+)(?::\d+)?: (?!: #)(.+ \([\w-]+\))$")
    LINTER = re.compile(r" \([\w-]+\)$")
    ITSELF = re.compile(r'^(?:level=error msg="(.*)"|Error: (.+)|ERRO(?:\[\d+\])? (.+))$')
    TYPO = re.compile(r"^error: (`.+` should be .+)$")
    # The second one is of a file's name.
    PLACE = re.compile(r"^\s*(?:(?:-->|╭▸) (?P<file>.+?):(?P<line>\d+):\d+|1 │ (?P<name>\./.+))$")

    SAYS = re.compile(r"^(\S+\.go):(\d+)(?::\d+)?: (?!: #)(.+)$")  # and goes on in the next line

    def __init__(self, found: Findings) -> None:
        self.found = found
        self.typo: Failure | None = None
        self.said: Failure | None = None  # whose words go on
        self.formats = False

    def take(self, line: str) -> bool:
        """Takes a line if it is a linter's."""
        if self.found.stage not in ("", "lints"):
            return False
        if self.typo and (match := self.PLACE.match(line)):
            self.typo.file, self.typo.line = below_checkout(match["file"] or match["name"]), int(match["line"] or 0)
            self.end()
            return True
        if (
            self.said
            and line[:1] not in ("", "\t", " ")
            and not self.SAYS.match(line)
            and len(self.said.words[0]) < LONG
        ):
            self.said.words = [f"{self.said.words[0]} {line}"[:LONG]]
            self.said = None if self.LINTER.search(line) else self.said
            return True
        self.said = None
        if match := self.LINT.match(line):
            self.found.add(Failure("lint", "", [match[3][:LONG]], below_checkout(match[1]), int(match[2])))
        elif self.found.stage and (match := self.SAYS.match(line)):
            self.said = Failure("lint", "", [match[3][:LONG]], below_checkout(match[1]), int(match[2]))
            self.found.add(self.said)
        elif self.found.stage and (match := self.ITSELF.match(line)):
            self.found.add(Failure("lint", "golangci-lint", [(match[1] or match[2] or match[3] or "")[:LONG]]))
        elif match := self.TYPO.match(line):
            self.end()
            self.typo = Failure("lint", "", [f"{match[1][:LONG]} (typos)"])
        elif line == "Files need reformatting:":
            self.formats = True
        elif self.formats and line.startswith("\t"):
            self.found.add(Failure("lint", "", ["needs reformatting (format-configs.py)"], line.strip()[:LONG]))
        else:
            self.formats = False
            return False
        return True

    def end(self) -> None:
        """Adds the misspelling that was read last."""
        if self.typo:
            self.found.add(self.typo)
        self.typo = None


class Services:
    """Reads what startservers.py says of Boulder's services, and each one's last error in its log."""

    STARTS = re.compile(r"^Error starting service (\S+): (.*)$")
    EXITED = re.compile(r"^\t'(.*)' with pid \d+ exited (-?\d+)$")
    CONSUL = re.compile(r"^Error querying DNS\. Is consul running\?")
    LATE = re.compile(r"^Boulder did not come up after ")

    def __init__(self, found: Findings) -> None:
        self.found = found

    def take(self, line: str) -> bool:
        """Takes a line if it is about a service, or of its log."""
        if line[2:3] == ":" and (match := LOGGED.match(line)):
            if "Panic JSON=" in line:
                return False
            if int(match[1]) <= ERROR and (match[2] in self.found.last_errors or len(self.found.last_errors) < 100):
                self.found.last_errors[match[2]] = NOTHING.sub("", match[3])[:LONG]
            return True
        if match := self.STARTS.match(line):
            self.found.add(Failure("service", match[1], [f"did not start: {match[2]}"[:LONG]]))
        elif match := self.EXITED.match(line):
            words = re.findall(r"'([^']*)'", match[1]) or [match[1]]
            name = words[1] if words[0].endswith("/boulder") and len(words) > 1 else words[0].rpartition("/")[2]
            address = f" (--addr {words[words.index('--addr') + 1]})" if "--addr" in words[:-1] else ""
            self.found.add(Failure("service", name, [f"ended with {match[2]}{address}"]))
        elif self.CONSUL.match(line):
            self.found.add(Failure("service", "bconsul", [line[:LONG]]))
        elif self.LATE.match(line):
            self.found.add(Failure("service", "boulder", [line[:LONG]]))
        else:
            return False
        return True

    def end(self) -> None:
        """Nothing is kept back."""
