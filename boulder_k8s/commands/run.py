"""`invoke run`, and what `commands/test.py` uses of it: `docker compose run --rm boulder PROGRAM`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ..diagnose.failure import packed, tell
from ..host.decoration import decoration
from ..host.errors import Problem
from ..host.names import BOULDER, SETUP, TESTS
from ..host.progress import note, shown
from ..host.settings import Settings
from ..host.signals import Signals, decisive
from ..manifests import drift, harness
from ..manifests.compose import setup_command, words
from ..run import standby
from ..run.directory import Run
from ..run.runner import Execution
from . import arguments, deployment
from .arguments import Options
from .inside import PLAIN, Inside
from .stack import Stack, explained
from .working import working

GIT_PATIENCE = 5.0  # seconds
AGAIN = "`invoke rerun --failed` runs what failed again, and nothing else"


@dataclass(frozen=True)
class RunOptions:
    """The options of `docker compose run`. how: variables, directory, user and terminal. entrypoint: in place of Boulder's, words as for a
    shell. ports: Boulder's ports answer on the host, as those of `up`.
    """

    how: Inside = PLAIN
    entrypoint: str = ""
    ports: bool = False


def run(
    settings: Settings, signals: Signals, program: list[str], options: Options, run_options: RunOptions | None = None
) -> int:
    """`docker compose run --rm boulder PROGRAM`: runs the words of `program` in a fresh pod and returns the exit code.

    Raises Problem if it cannot be started, or ApiError.
    """
    run_options = run_options or RunOptions()
    if not program and not run_options.entrypoint:
        raise Problem("There is no command to run.", "Write it behind: `invoke run go test ./va`.")
    what = " ".join(["invoke run", *program])
    return in_fresh_pod(settings, signals, Program(what, program, ["run", *program], run_options), options)


@dataclass(frozen=True)
class Program:
    """What runs after entrypoint.sh. what: the command as the user gave it. words: the program and its arguments; None: test.sh, as the
    checkout's own t.sh or tn.sh starts it. arguments: what of them goes to run.json and into the run directory's name.
    """

    what: str
    words: list[str] | None
    arguments: list[str]
    options: RunOptions = RunOptions()


def in_fresh_pod(settings: Settings, signals: Signals, program: Program, options: Options) -> int:
    """Runs a program in a fresh pod, as entrypoint.sh starts it; returns its exit code. Raises Problem if it cannot be started."""
    environ, config_next = options.environ, options.config_next
    with working(settings, program.what, signals, options) as (stack, runner):
        script = harness.read(stack.checkout.path, config_next)
        if program.words is None:
            drift.check_script(script, stack.document, environ)
        chosen = program.options
        passed = script.passed(stack.checkout.path, environ)  # `docker compose run -e USE_VITESS`
        passed = {**passed, **(chosen.how.environment or {})}
        run = Run.create(
            settings,
            [("tn" if config_next else "t"), *program.arguments],
            {
                "arguments": program.arguments,
                "config_next": config_next,
                "environment": passed,
                "checkout": str(stack.checkout.path),
            },
            standby.find(settings),
        )
        with packed(settings, run), run.recorded(), explained(stack, run), revision_recorded(stack, run):
            rendered = stack.bring_up(runner, run, options.timeout)
            with decoration("run.json has no versions"):
                run.record["versions"] = stack.versions()
            with run.phase("stop boulder"):
                deployment.remove_leftovers(stack, runner, run)
                deployment.stop(stack)
            commands = []
            if script.before and SETUP in stack.services:
                commands.append(setup_command(stack.services, passed))
            entrypoint = words(stack.services[BOULDER], "entrypoint")
            if program.words is None:
                commands.append([*script.tests.entrypoint(entrypoint), *script.command(program.arguments)])
            else:
                how = replace(chosen.how, environment=None)  # the pod has it
                before = arguments.words("--entrypoint", chosen.entrypoint) or entrypoint
                commands.append([*before, *how.words(program.words)] if program.words else before)
            # A pod with ports is no pod for the next run.
            basis = None if chosen.ports else stack.basis()
            order = Execution(
                rendered, run, TESTS, commands, options.timeout, passed, basis, chosen.ports, chosen.how.terminal
            )
            try:
                code = runner.execute(order)
            finally:
                give_back(stack, signals)
            run.record["exit_code"] = code
        if code:
            if not decisive(signals.received):  # a user who interrupts wants it to end, not to report
                tell(settings, run, AGAIN if program.words is None else "")
            later = "; logs of services and bundle.tar.gz follow in some seconds" if run.exit_code() == code else ""
            note(f"exit code {code}; everything about this run is in {shown(run.path)}{later}")
        return code


def give_back(stack: Stack, signals: Signals) -> None:
    """Starts the Boulder again that `deployment.stop` stopped. If that fails, it prints a note, and the tests' exit
    code stays.
    """
    with (
        signals.deferred(),
        decoration("the running Boulder could not be started again; the next command does it"),
    ):
        deployment.restore(stack, patience=10)


@contextmanager
def revision_recorded(stack: Stack, run: Run) -> Iterator[None]:
    """Puts the checkout's revision into run.json while the block runs: git reads every file. When the block ends, it
    waits GIT_PATIENCE seconds at most.
    """

    def ask() -> None:
        with decoration("run.json has no revision"):
            run.record["revision"] = stack.checkout.revision()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(GIT_PATIENCE)
