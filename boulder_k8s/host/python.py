"""Our own Python once more, for what has to be a process of its own."""

from __future__ import annotations

import sys

from .settings import ROOT


def command(module: str, *arguments: str) -> list[str]:
    """Returns the command line that runs `main` of a module of boulder_k8s, isolated as this process is (start.py)."""
    return [sys.executable, "-I", "-S", str(ROOT / "boulder_k8s/start.py"), module, *arguments]
