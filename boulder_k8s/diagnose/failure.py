"""When a bundle is made of a run by itself: after a failure."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..host import process
from ..host.errors import Interrupted
from ..host.settings import Settings
from ..run.directory import Run


@contextmanager
def packed(settings: Settings, run: Run) -> Iterator[None]:
    """Around a run, its record included: if the block fails there is RUN/bundle.tar.gz.

    If tests failed, as tests do every few minutes, a background process makes it: nobody waits for it.
    """
    try:
        yield
    except Interrupted:  # who interrupts wants an end, not a report
        raise
    except BaseException:
        pack(settings, run)
        raise
    if run.record.get("failure"):
        pack(settings, run)
    elif run.record.get("exit_code") and run.exit_code() == run.record["exit_code"]:  # the tests' own, not a signal's
        words = [sys.executable, "-m", "boulder_k8s.diagnose.bundle", str(run.path), settings.cluster]
        process.spawn_detached(words, cwd=settings.root)


def pack(settings: Settings, run: Run) -> None:
    from . import bundle  # here, not on top: a run that does not fail needs none of it

    bundle.pack(settings, run)
