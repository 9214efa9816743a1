"""The rows while they run: on a terminal a table that changes in its place, otherwise a line for each change."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ..cluster.api import Api
from ..cluster.errors import ApiError
from ..cluster.times import unix
from ..host.names import BOULDER
from ..host.progress import interactive, line, note, refreshed
from . import table
from .course import Course
from .outcome import RESULT, Outcome
from .verdict import ENDING, ERROR, FAILED, PASSED, QUEUED, RUNNING, STARTING

STYLES = {PASSED: "green", FAILED: "red", ERROR: "magenta", RUNNING: "cyan", QUEUED: "dim", STARTING: "", ENDING: ""}
# What people want to see if not all rows fit: what is wrong, then what goes on.
ORDER = (FAILED, ERROR, RUNNING, ENDING, STARTING, QUEUED, PASSED)
READERS = 32  # rows whose tests are counted at a time: each is a connection
AGAIN = 2.0  # seconds before a log that ended is read again


@contextmanager
def shown(api: Api, courses: Sequence[Course]) -> Iterator[Callable[[Course], None]]:
    """Shows the rows while the block runs; yields what is called with a row that has changed."""
    if not interactive():
        yield lambda course: note(table.line(course))
        return
    tallies: dict[str, Tally] = {}

    def changed(course: Course) -> None:
        if course.look.state == RUNNING and not course.verdict and course.name not in tallies:
            if sum(tally.is_alive() for tally in tallies.values()) < READERS:
                tallies[course.name] = Tally(api, course)
                tallies[course.name].start()

    height = shutil.get_terminal_size().lines - 2
    with refreshed(lambda: lines(courses, {name: tally.text for name, tally in tallies.items()}, height)):
        yield changed


def lines(courses: Sequence[Course], tests: dict[str, str], height: int) -> list:
    """Returns the table as progress.line makes lines, at most `height` of them. tests: the numbers of each row whose tests are counted, by its name."""
    counts = Counter(course.state for course in courses)
    total = ", ".join(f"{counts[state]} {state}" for state in ORDER if counts[state])
    ordered = list(courses)
    if len(ordered) >= height:
        ordered.sort(key=lambda course: ORDER.index(course.state))
        ordered = ordered[: max(1, height - 2)]
    width = max((len(course.text) for course in ordered), default=0)
    found = [line((f"{len(courses)} rows: {total}", "bold"))]
    for course in ordered:
        columns = [course.look.node, elapsed(course), tests.get(course.name, ""), words(course)]
        rest = "  ".join(column for column in columns if column)
        found.append(line((f"{course.state:<9}", STYLES[course.state]), f"{course.text:<{width}}  ", (rest, "dim")))
    if len(ordered) < len(courses):
        found.append(line((f"and {len(courses) - len(ordered)} more", "dim")))
    return found


def elapsed(course: Course) -> str:
    """Returns how long a row is in its state, "" if that is not known."""
    since = unix(course.look.since)
    if course.verdict or since is None:
        return ""
    minutes, seconds = divmod(max(0, int(time.time() - since)), 60)
    return f"{minutes}:{seconds:02}"


def words(course: Course) -> str:
    """Returns what else there is to say of a row."""
    if course.verdict:
        return table.details(course)
    return (
        f"waits for {course.look.detail}"
        if course.look.state == STARTING and course.look.detail
        else course.look.detail
    )


class Tally(threading.Thread):
    """Counts the tests of a row that runs, in its log. text: the numbers so far."""

    def __init__(self, api: Api, course: Course) -> None:
        super().__init__(daemon=True)
        self.api, self.course, self.text = api, course, ""

    def run(self) -> None:
        """Reads the log until the row has a verdict; from its beginning again if the connection breaks, or the row has another pod."""
        while not self.course.verdict:
            if self.course.pod:
                try:
                    self.count(self.course.pod)
                except ApiError:
                    pass  # there is no log yet, or the connection broke
            time.sleep(AGAIN)

    def count(self, pod: str) -> None:
        """Counts until the log ends. Raises ApiError."""
        found: Counter[bytes] = Counter()
        rest = b""
        with self.api.log_stream(pod, BOULDER, follow="true") as pieces:
            for piece in pieces:
                *whole, rest = (rest + piece).split(b"\n")
                found.update(match[1] for text in whole if (match := RESULT.match(text)))
                if found:
                    self.text = Outcome.from_results(found).counted
