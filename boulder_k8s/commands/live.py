"""`invoke status --watch`: the status as it changes, until Ctrl-C."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from ..cluster.errors import ApiError
from ..host.errors import Interrupted
from ..host.progress import in_place, interactive, line
from ..host.settings import Settings
from .status import chosen, lines, look

OFTEN = 2.0  # seconds between two looks: restarts, memory and the last run come from three places, and no watch has them all


def follow(settings: Settings, names: Sequence[str] = ()) -> int:
    """Shows the status until a signal ends it: on a terminal in its place, else anew whenever it has changed. names: as `status` takes.

    Returns 128 + the signal's number. An API server that does not answer is said in the table. Raises Problem as `status` does.
    """
    try:
        return show_on(settings, names)
    except Interrupted as end:  # nothing is left to clean up
        return 128 + end.signum


def show_on(settings: Settings, names: Sequence[str]) -> NoReturn:
    """As `follow`, but raises Interrupted."""

    on_screen = interactive() and sys.stdout.isatty()

    def now() -> list:
        try:
            found = chosen(settings, look(settings), names)
            found.links = [] if on_screen else found.links  # they do not change, and the screen is not that high
            return lines(found)
        except ApiError as error:
            return [line(f"the cluster's API server does not answer: {error}")]

    if on_screen:
        with in_place() as show:
            while True:
                show(now())
                time.sleep(OFTEN)
    shown: list[str] = []
    while True:
        if (texts := [str(item) for item in now()]) != shown:
            shown = texts
            print("\n".join(texts), end="\n\n", flush=True)
        time.sleep(OFTEN)
