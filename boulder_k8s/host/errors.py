"""What goes wrong, said in two lines: what is wrong, and what to do."""


class Problem(Exception):
    """A usage or environment error, shown to the user without a traceback.

    message: one line that says what is wrong.
    fix: one line that says what to do about it.
    detail: optional further lines (a log's end, a tool's own words), shown between the two.
    exit_code: what the command ends with; 2 unless a program of the checkout decided otherwise.
    check: the line of `invoke doctor` that looks at the cause, if there is one.
    """

    def __init__(self, message: str, fix: str, detail: str = "", exit_code: int = 2, check: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.detail = detail.strip("\n")
        self.exit_code = exit_code
        self.check = check

    def advice(self) -> str:
        """What to do, and where more is to be learned."""
        return f"{self.fix} More: `invoke doctor`, its line {self.check}." if self.check else self.fix


def not_here(what: str) -> Problem:
    """What offline work lacks. `what` is the sentence's subject with its verb: "kind 0.33.0 is"."""
    return Problem(
        f"{what} not here, and nothing is fetched offline.",
        "Run `invoke images load FILE`, FILE being what `invoke images save FILE` wrote where there is a network (docs/airgapped.md).",
    )


class Interrupted(BaseException):
    """SIGINT, SIGTERM or SIGHUP arrived while no test was running; signum is its number.

    Not an Exception, as KeyboardInterrupt is not: nothing but the top level may swallow it.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum
