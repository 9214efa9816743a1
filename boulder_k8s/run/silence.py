"""What tests that say nothing are at: Go compiles Boulder, which takes minutes if its cache is empty or the checkout is another."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..host.names import SETUP
from ..host.progress import note
from ..host.settings import Settings
from . import record as records
from .directory import Run
from .retention import changed

CACHE = ".gocache"  # in the checkout: docker-compose.yml mounts it as Go's cache
FIRST, AGAIN = 20.0, 60.0  # seconds without output before the first line, and between two
LOOK = 1.0  # seconds between two looks at the streams
SHORTEST = 10.0  # seconds of compiling that the next run is told of


class Silence(threading.Thread):
    """Tells what goes on while a run writes nothing and Go's cache grows. compiling: seconds in which that was so."""

    def __init__(self, run: Path, cache: Path, before: float | None) -> None:
        super().__init__(daemon=True)
        self.streams, self.cache, self.before = [run / "stdout", run / "stderr"], cache, before
        self.ended = threading.Event()
        self.compiling = 0.0

    def run(self) -> None:
        """The thread: looks until `ended`."""
        begun = last = time.time()
        told, seen, quiet = begun, entries(self.cache), FIRST
        while not self.ended.wait(LOOK):
            written = max(begun, *map(changed, self.streams))
            if written > last:
                last, told, quiet = written, written, FIRST
            if time.time() - told < quiet:
                continue
            now = entries(self.cache)
            if now > seen:
                self.compiling += time.time() - told
                note(self.line(time.time() - last, now - seen))
            seen, told, quiet = now, time.time(), AGAIN

    def line(self, silent: float, more: int) -> str:
        """Returns the line for people. silent: seconds. more: entries of the cache since the last look."""
        earlier = f"; it took {minutes(self.before)} the last time it had as much to do" if self.before else ""
        return (
            f"no output for {minutes(silent)}: Go is compiling Boulder, some minutes if its cache is empty "
            f"({more} more results in {CACHE}{earlier})"
        )


@contextmanager
def told(settings: Settings, run: Run) -> Iterator[None]:
    """Tells what goes on while a run is silent and the block runs. run.json gets `compiling`, in seconds, if that took long."""
    checkout = settings.known_checkout
    if not checkout:
        yield
        return
    silence = Silence(run.path, checkout / CACHE, longest(settings))
    silence.start()
    try:
        yield
    finally:
        silence.ended.set()
        silence.join(LOOK)
        if silence.compiling > SHORTEST:
            run.record["compiling"] = round(silence.compiling, 1)


def longest(settings: Settings) -> float | None:
    """Returns how long the newest run that compiled for long, or its generate.sh, took for that, in seconds; None if there is none."""
    for path in sorted(settings.runs.glob("2*"), reverse=True):
        for part in (path, path / SETUP):
            if isinstance(found := records.read(part).get("compiling"), (int, float)):
                return float(found)
    return None


def entries(cache: Path) -> int:
    """Returns how many results Go's cache has: files two or three directories below it."""
    found, left = 0, [str(cache)]
    while left:
        try:
            with os.scandir(left.pop()) as items:
                for item in items:
                    if item.is_dir(follow_symlinks=False):
                        left.append(item.path)
                    else:
                        found += 1
        except OSError:  # not there yet, or removed meanwhile
            continue
    return found


def minutes(seconds: float) -> str:
    """Returns a duration for people: 45 s, 4 min 39 s."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"
