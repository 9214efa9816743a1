"""Reads panics, data races and Python tracebacks: blocks of lines that go on until a line that is none of theirs."""

from __future__ import annotations

import re
from collections.abc import Callable

from .findings import LONG, Failure, Findings, below_checkout, of_function

PANIC = re.compile(r"^(?:panic: |fatal error: |SIGQUIT: quit|unexpected fault address )(.*)")
# A panic of a Boulder command, which logs it in one line with the stack as JSON (cmd/shell.go, AuditPanic).
AUDITED = re.compile(r' (\S+) \S+ \[AUDIT\] Panic JSON=.*?"panic":"((?:[^"\\]|\\.)*)"')
PLACE = re.compile(r"^\s+(/?\S+\.(?:go|s)):(\d+)(?: \+0x[0-9a-f]+)?(?: fp=.*)?$")
# A line of a stack: a service that panics while tests run takes none of their lines with it.
FRAME = re.compile(
    r"^(?:goroutine \d|created by |\t(?:/|\S+\.(?:go|s):\d|goroutine |panic: )|\.\.\.|\[originating|runtime stack:|r\w{1,5} +0x"
    r"|[\w./%@~*()\[\]{}-]+\((?:(?:0x|\{|\.\.\.|_).*)?\)$|$)"
)
TEST = re.compile(r"\.((?:Test|Fuzz|Example|Benchmark)\w*)")
RUNNING = re.compile(r"^\s+((?:Test|Fuzz|Example|Benchmark)\S*) \([\dms.h]+\)$")
END = re.compile(r"^(?:FAIL\t|ok  \t|exit status |=== |--- |FAIL$)")
LATE = ("test timed out after", "Test killed with quit: ran too long")  # the second says go itself, after a while more
MANY = 50  # lines that a panic waits for its stack, or for the rest of it


class Stack:
    """Finds the first place of Boulder's own code in the frames of a stack."""

    def __init__(self) -> None:
        self.function = self.file = self.name = self.test = ""
        self.line = 0
        self.thrown = True  # whether a panic's own place follows

    def take(self, line: str) -> None:
        """Takes a line of a stack: a function, or where it is."""
        if match := PLACE.match(line):
            if self.function and self.thrown and (path := of_function(self.function, match[1])):
                self.file, self.line, self.name = path, int(match[2]), self.function.rpartition("/")[2]
                self.thrown = False
            self.function = ""
        else:
            words = line.strip().removeprefix("created by ").partition(" in goroutine ")[0]
            function = words[: words.rfind("(")] if words.endswith(")") else words
            self.function = "" if " " in function else function
            if not self.test and (found := TEST.search(self.function)):
                self.test = found[1]
            # What stands above it was called by the panic: it was recovered and thrown again.
            self.thrown |= function == "panic"


class Panics:
    """Reads what Go writes when a program panics, or when its time is over. add: what to do with each, and whether the test failed
    of it whose result was read last. otherwise: who takes lines that only look like it.
    """

    def __init__(self, add: Callable[[Failure, bool], None], otherwise: Callable[[str], object]) -> None:
        self.add, self.otherwise = add, otherwise
        self.clear()

    def clear(self) -> None:
        """Forgets what was read."""
        self.words: list[str] = []
        self.held: list[str] = []  # until the stack begins, it may be what a program prints
        self.others = 0  # lines among the stack's that somebody else wrote
        self.stack = Stack()
        self.tests: list[str] = []
        self.frames = False  # whether the stack has begun

    def take(self, line: str) -> bool:
        """Takes a line if it belongs to a panic."""
        if not self.words or "Panic JSON=" in line or PANIC.match(line):
            return self.begin(line)
        if END.match(line) or max(self.others, len(self.held)) > MANY:
            self.end()
            return False
        if LATE[1] in line:
            self.words = [line.strip("* ")[:LONG]]
        elif line.startswith(("goroutine ", "runtime stack:")):
            self.frames, self.held = True, []
            self.stack.thrown = not self.stack.file
        elif self.frames and not FRAME.match(line):
            self.others += 1
            return False
        elif self.frames:
            self.stack.take(line)
        elif match := RUNNING.match(line):
            self.tests.append(match[1])
        else:
            self.held.append(line)
            if line.strip() and len(self.words) < 4 and not line.startswith("[signal "):
                self.words.append(line.strip()[:LONG])
        return True

    def begin(self, line: str) -> bool:
        """Begins a panic if the line is the first of one."""
        if match := PANIC.match(line):
            self.end()
            self.words, self.held = [match[0].removeprefix("panic: ")[:LONG]], [line]
            return True
        if "Panic JSON=" in line and (match := AUDITED.search(line)):
            stack = Stack()
            for part in line.partition('"stack":"')[2].replace("\\t", "\t").split("\\n"):
                stack.take(part)
            self.add(Failure("panic", match[1], [match[2][:LONG]], stack.file, stack.line), False)
            return True
        return False

    def end(self) -> None:
        """Ends the panic that was being read."""
        words, stack, held, frames, tests = self.words, self.stack, self.held, self.frames, self.tests
        self.clear()
        if words and not frames and held[0].startswith("panic: "):
            for line in held:
                self.otherwise(line)
        elif words and words[0].startswith(LATE):
            inner = [test for test in tests if not any(one.startswith(f"{test}/") for one in tests)]
            self.add(Failure("timeout", ", ".join(inner)[:LONG], words[:1], stack.file, stack.line), False)
        elif words:
            plain = [word.removesuffix(" [recovered, repanicked]") for word in words]
            self.add(Failure("panic", stack.name, plain, stack.file, stack.line), "[recovered" in " ".join(words))


class Races:
    """Reads the reports of the race detector. add: what to do with each."""

    def __init__(self, add: Callable[[Failure], None]) -> None:
        self.add = add
        self.stack: Stack | None = None
        self.left = 0

    def take(self, line: str) -> bool:
        """Takes a line if it belongs to a report."""
        if self.stack is None:
            if line.startswith("WARNING: DATA RACE"):
                self.stack, self.left = Stack(), 400  # lines: the report's end may have been lost
                return True
            return False
        self.left -= 1
        if line.startswith("====") or not self.left:
            self.end()
            return True
        if END.match(line):
            self.end()
            return False
        self.stack.take(line)
        return True

    def end(self) -> None:
        """Ends the report that was being read."""
        if self.stack is not None:
            words = f"data race in {self.stack.test}" if self.stack.test else "data race"
            self.add(Failure("race", self.stack.name, [words], self.stack.file, self.stack.line))
        self.stack = None


class Tracebacks:
    """Reads Python's tracebacks; of several that follow from each other the last one's words, and the first one's."""

    FILE = re.compile(r'^  File "(.*)", line (\d+), in (.*)')
    CHAINED = ("During handling of the above", "The above exception was the direct cause")

    def __init__(self, found: Findings) -> None:
        self.found = found
        self.failure: Failure | None = None
        self.reading = False  # whether the traceback that was begun goes on
        self.source = ""  # the line of the last frame, as the file has it

    def take(self, line: str) -> bool:
        """Takes a line if it belongs to a traceback."""
        if line.startswith("Traceback (most recent call last):"):
            if self.failure and not self.failure.words:
                self.failure = None
            self.failure = self.failure or Failure("python")
            self.reading = True
            return True
        if self.failure is None:
            return False
        if not self.reading:
            if not line.strip() or line.startswith(self.CHAINED):
                return True
            self.end()
            return False
        if match := self.FILE.match(line):
            self.frame(match[1], int(match[2]), match[3])
        elif line.startswith("    ") and line.strip(" ~^"):
            self.source = line.strip()
        elif line[:1] != " " and line.strip():
            said = f"{line}: {self.source}" if line == "AssertionError" and self.source else line
            self.failure.words.insert(0, said[:LONG])
            self.reading = False
        return True

    def frame(self, path: str, line: int, function: str) -> None:
        """Notes a frame: the test's name, and the last place of Boulder's own."""
        if "/lib/python" in path or path.startswith("<"):
            return
        self.failure.file, self.failure.line = below_checkout(path), line
        if function.startswith("test_"):
            self.failure.name = function

    def end(self) -> None:
        """Ends the traceback that was being read."""
        if self.failure and self.failure.words:
            self.found.add(self.failure)
        self.failure, self.reading = None, False
