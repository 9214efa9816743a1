"""The way on for a Debian machine without Docker or without an image registry: tests/lab."""

from __future__ import annotations

from pathlib import Path

from .progress import shown
from .settings import ROOT


def offered(root: Path = Path("/")) -> str:
    """Returns a sentence that names `tests/lab/lab run`, with a space before it; "" if this is not Debian, whose
    packages the lab is made from. root: the directory with etc/, another one in tests.
    """
    try:
        release = (root / "etc/os-release").read_text()
    except OSError:
        return ""
    if "ID=debian" not in release.splitlines():
        return ""
    command = shown(ROOT / "tests/lab/lab")
    return f" Or as root, on this Debian: `{command} run ARGS` installs Docker, builds the images from packages and runs the tests."
