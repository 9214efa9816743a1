"""The errors that users see, in two lines: what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Problem(Exception):
    """An error of usage or of the environment. The user sees it without a traceback.

    message: one line that says what is wrong.
    fix: one line that says what to do.
    detail: further lines, such as the end of a log or a tool's output; shown before the other two. May be empty.
    exit_code: the exit code of the command; 2, unless a program of the checkout decided another.
    check: the line of `invoke doctor` that checks the cause, or "".
    """

    def __init__(self, message: str, fix: str, detail: str = "", exit_code: int = 2, check: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.detail = detail.strip("\n")
        self.exit_code = exit_code
        self.check = check

    def advice(self) -> str:
        """Returns what to do, and which line of `invoke doctor` tells more."""
        return f"{self.fix} More: `invoke doctor`, its line {self.check}." if self.check else self.fix


def not_here(what: str) -> Problem:
    """Returns the Problem for what is missing offline. what: subject and verb of its message, such as "kind
    0.33.0 is".
    """
    return Problem(
        f"{what} not here, and nothing is fetched offline.",
        "Run `invoke images load FILE`; `invoke images save FILE` needs a network and makes it (docs/airgapped.md).",
    )


@contextmanager
def starting(program: object) -> Iterator[None]:
    """Marks an OSError of the block: `program` could not be started. commands/cli.py then says that, and not that a file is missing."""
    try:
        yield
    except OSError as error:
        error.program = str(error.filename or program)  # or the directory in which it should start
        raise


class Interrupted(BaseException):
    """A signal arrived while no test was running; signum is its number.

    It is not an Exception, as KeyboardInterrupt is not, because only commands/cli.py may handle it.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum
