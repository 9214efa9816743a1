"""`invoke status --watch` on a terminal, with a machine of fakes: as wide as it is, in its place, and left as it was."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator

import pytest
from support.machine import Machine

ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class Screen:
    """A terminal on which a command runs. said: all that was written there."""

    def __init__(self, machine: Machine, columns: int, rows: int) -> None:
        self.ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self.child = subprocess.Popen(
            ["setsid", "--ctty", machine.project / ".venv/bin/invoke", "status", "--watch"],
            env=machine.environment(TERM="xterm"),
            cwd=machine.project,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        self.theirs, self.said = theirs, ""

    def wait(self, there: Callable[[str], bool]) -> str:
        """Returns what was written once it is as wanted."""
        deadline = time.monotonic() + 40
        while not there(self.said):
            assert time.monotonic() < deadline, self.said
            if select.select([self.ours], [], [], 1)[0]:
                self.said += os.read(self.ours, 65536).decode(errors="replace")
        return self.said

    def shown(self) -> list[str]:
        """The lines of the last picture but one, which is whole."""
        picture = self.said.split("\x1b[H")[-2]
        return [line.rstrip() for line in ESCAPES.sub("", picture).splitlines()]

    def end(self) -> int:
        """Types Ctrl-C; returns the exit code."""
        os.write(self.ours, b"\x03")
        self.wait(lambda said: said.endswith("\x1b[?1049l"))
        return self.child.wait(timeout=20)

    def close(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        for number in (self.ours, self.theirs):
            os.close(number)


@pytest.fixture
def screen(machine: Machine, request: pytest.FixtureRequest) -> Iterator[Screen]:
    assert machine.run("-h").returncode == 0
    found = Screen(machine, *request.param)
    yield found
    found.close()


@pytest.mark.parametrize("screen", [(40, 24), (200, 24), (200, 8)], indirect=True)
def test_the_terminal_is_left_as_it_was_and_nothing_is_broken_into_two_lines(screen: Screen) -> None:
    screen.wait(lambda said: said.count("\x1b[H") >= 3)
    columns, rows = os.get_terminal_size(screen.theirs)
    lines = screen.shown()
    assert max(map(len, lines)) <= columns
    assert len(lines) <= rows
    services = [line for line in lines if re.match(r"b\w+(-\d)? +(yes|no) ", line)]
    if len(lines) > 8:
        assert any("last run" in line for line in lines), lines
        assert [line for line in lines[1:] if line.startswith((" ", "Running"))] == []
    else:
        assert "more lines" in lines[-1]
    assert services
    assert screen.end() == 130
    assert screen.said.index("\x1b[?1049h") < screen.said.index("\x1b[?25l") < screen.said.rindex("\x1b[?1049l")
    assert termios.tcgetattr(screen.theirs) == screen.before
    assert "Traceback" not in screen.said


@pytest.mark.parametrize("screen", [(100, 30)], indirect=True)
def test_a_cluster_that_goes_away_is_said_and_one_that_comes_is_shown(screen: Screen, machine: Machine) -> None:
    screen.wait(lambda said: "node running" in said)
    assert machine.invoke("down").returncode == 0
    screen.wait(lambda said: "node absent" in said and "`invoke up` makes one" in said)
    seen = len(screen.said)
    assert machine.run("-h").returncode == 0
    screen.wait(lambda said: "node running" in said[seen:] and "bconsul" in said[seen:])
    assert screen.end() == 130
