"""What GitHub shows of a failed run: a section of the job's summary page, and marks at the lines that failed.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping

from ..host.decoration import decoration
from ..host.settings import Settings
from ..run.directory import Run
from . import ending
from .findings import Findings
from .sieve import Sieve

MARKS = 10  # GitHub shows so many of a step


def publish(settings: Settings, run: Run, found: Findings, environ: Mapping[str, str] = os.environ) -> None:
    """Writes what failed to the job's summary page and marks the lines, without what is not public. Does nothing
    outside GitHub's jobs. If the page cannot be written, it prints a note.
    """
    if environ.get("GITHUB_ACTIONS") != "true" or not found:
        return
    sieve = Sieve.of(settings, run.record, environ)
    checkout = run.record.get("checkout", "")

    def there(file: str) -> bool:  # go names a file without its directory, which may be another package's
        return not os.path.isdir(checkout) or os.path.isfile(os.path.join(checkout, file))

    for line in marks(found, sieve.text, below(checkout, environ.get("GITHUB_WORKSPACE", "")), there):
        print(line, file=sys.stderr, flush=True)
    if path := environ.get("GITHUB_STEP_SUMMARY"):
        words = sieve.record(run.record).get("arguments", [])
        with decoration("the job's summary page does not say what failed"), open(path, "a", encoding="utf-8") as file:
            file.write(section(f"failed: {shlex.join(words)}", sieve.text(ending.page(found))))


def below(checkout: str, workspace: str) -> str | None:
    """Returns the checkout's directory in that of the job, which GitHub's paths begin in; "" if it is that, None if it is elsewhere."""
    found = os.path.relpath(checkout, workspace) if checkout and workspace else "."
    return None if found.split("/")[0] == ".." else "" if found == "." else found


def marks(
    found: Findings, public: Callable[[str], str] = str, directory: str | None = "", there: Callable[[str], bool] = bool
) -> list[str]:
    """Returns a workflow command for each line that failed, at most MARKS, of as many packages as can be. public: returns a text as it may appear. directory: as `below`
    gives it; None: no file is named. there: returns whether the checkout has a file.
    """
    lines = []
    for group in ending.spread(map(ending.Group, found.ranked()))[:MARKS]:
        failure, place = group.first, ""
        inside = directory is not None and not failure.file.startswith(("/", "../"))
        if failure.file and inside and there(failure.file):
            place = f" file={escaped(public(os.path.join(directory, failure.file)), True)}"
            place += f",line={failure.line}" if failure.line else ""
        lines.append(f"::error{place}::{escaped(public(str(group)))}")
    return lines


def escaped(text: str, is_property: bool = False) -> str:
    """Returns a text as a workflow command carries it. is_property: whether it is one's, as file=... is."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if is_property else text


def section(title: str, text: str) -> str:
    """Returns Markdown that shows a text as it is, whatever stands in it."""
    fence = "`" * max(3, *(len(ticks) + 1 for ticks in re.findall("`+", text)), 3)
    plain = re.sub(r"([\\`*_{}\[\]<>#|!&])", r"\\\1", title)
    return f"### {plain}\n\n{fence}text\n{text}{fence}\n"
