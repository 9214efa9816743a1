"""What `invoke images load` brought to this machine."""

from __future__ import annotations

from pathlib import Path

from ..host import state
from ..host.settings import Settings, own_directory


def path(settings: Settings) -> Path:
    return settings.root / ".state" / "loaded" / "images.json"


def ids(settings: Settings) -> dict[str, str]:
    """The engine's id of each image that was loaded, by the reference it had where it was saved."""
    return state.read(path(settings))


def remember(settings: Settings, found: dict[str, str]) -> None:
    """Notes what was loaded, beside what was loaded earlier."""
    own_directory(settings.root / ".state")
    state.write(path(settings), {**ids(settings), **found})
