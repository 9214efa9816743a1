"""What a run that has failed leaves: what its output says of the failure, and its bundle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..host import process, python
from ..host.decoration import decoration
from ..host.errors import Interrupted
from ..host.progress import note
from ..host.settings import Settings
from ..run.directory import Run

NOT_WRITTEN = "bundle.tar.gz was not written"


def tell(settings: Settings, run: Run, advice: str = "") -> None:
    """Prints what failed and why, a few lines, as the run's output says it; tells GitHub too, if the run is one of its
    jobs. advice: a line that follows if something is known. If that fails in any way, it prints a note.
    """
    with decoration("what failed is not said here; the output in the run's directory has it"):
        from . import ending, github, output  # here, not on top: a run that does not fail needs none of it

        found = output.read(run.path)
        for line in ending.lines(found):
            note(line)
        if found and advice:
            note(advice)
        github.publish(settings, run, found)


@contextmanager
def packed(settings: Settings, run: Run) -> Iterator[None]:
    """Writes RUN/bundle.tar.gz if the block fails, unless the user interrupted it. The block must include the saving of
    run.json.

    If the tests failed, a background process writes it, so that nobody waits for it.
    """
    try:
        yield
    except Interrupted:  # a user who interrupts wants it to end, not to report
        raise
    except BaseException:
        pack(settings, run)
        raise
    if run.record.get("failure"):
        pack(settings, run)
    elif run.record.get("exit_code") and run.exit_code() == run.record["exit_code"]:  # the tests', not a signal's
        words = python.command("diagnose.bundle", str(run.path), settings.cluster)
        with decoration(NOT_WRITTEN):
            process.spawn_detached(words, cwd=settings.root)


def pack(settings: Settings, run: Run) -> None:
    """Writes RUN/bundle.tar.gz, as bundle.pack does. If that fails in any way, it prints a note."""
    with decoration(NOT_WRITTEN):
        from . import bundle  # here, not on top: a run that does not fail needs none of it

        bundle.pack(settings, run)
