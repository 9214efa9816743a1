"""Writes lines of several containers to stdout as Docker Compose does."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from ..cluster.logs import STAMP

# As docker/compose does, cmd/formatter/colors.go: in this order, one for each container.
COLOURS = ("36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1")


class Printer:
    """Writes lines to stdout: each after its container's name unless `prefix` is False, aligned, and coloured if `coloured`."""

    def __init__(self, timestamps: bool, coloured: bool, prefix: bool = True) -> None:
        self.timestamps, self.coloured, self.prefix = timestamps, coloured, prefix
        self.colours: dict[str, str] = {}
        self.width = 0

    def meet(self, names: Iterable[str]) -> None:
        """Gives each new name a colour and makes the column wide enough for it."""
        for name in names:
            if name not in self.colours:
                self.colours[name] = COLOURS[len(self.colours) % len(COLOURS)]
                if " " not in name:  # an init container that failed: do not widen the column for it
                    self.width = max(self.width, len(name))

    def write(self, name: str, line: bytes) -> None:
        """Writes one line of the container `name`. line: begins with its time."""
        self.meet([name])
        prefix = f"{name:<{self.width + 1}} | " if self.prefix else ""
        if self.coloured and prefix:
            prefix = f"\x1b[{self.colours[name]}m{prefix}\x1b[0m"
        sys.stdout.buffer.write(prefix.encode() + (line if self.timestamps else line[STAMP + 1 :]))


def coloured() -> bool:
    """Returns whether stdout is a terminal that shows colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
