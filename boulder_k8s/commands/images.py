"""`invoke images save FILE`, `images load FILE`, `images pin`."""

from __future__ import annotations

from pathlib import Path

from ..airgap import pins, transfer
from ..host.errors import Problem
from ..host.settings import Settings


def images(settings: Settings, action: str, file: str | None) -> None:
    """Carries out one of the three. file: relative to the current directory. Raises Problem if there is no such action."""
    if action == "pin":
        pins.pin(settings)
    elif action in ("save", "load") and file:
        {"save": transfer.save, "load": transfer.load}[action](settings, Path(file).resolve())
    else:
        raise Problem(f"There is no images {action}.", "There are images save FILE, images load FILE and images pin.")
