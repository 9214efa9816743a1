"""How a command of either side is run and timed."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKOUT = Path(os.environ.get("BOULDER_DIR") or ROOT / ".boulder").resolve()
CLUSTER = os.environ.get("KIND_CLUSTER") or "boulder-bench"
ENVIRONMENT = {**os.environ, "BOULDER_DIR": str(CHECKOUT), "KIND_CLUSTER": CLUSTER, "CI": "true"}
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)  # some machines' own: every start would compile the package anew
INVOKE = str(ROOT / ".venv/bin/invoke")
SETTLE = 4  # seconds before each measured command: what the one before it left to be done is done, and disturbs neither
PYTHON = str(ROOT / ".venv/bin/python")


def seconds(*command: str, cwd: Path = ROOT) -> float:
    """How long a command takes that must succeed."""
    begun = time.monotonic()
    result = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    taken = time.monotonic() - begun
    if result.returncode:
        sys.exit(
            f"{' '.join(command)} ended with {result.returncode}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}"
        )
    return taken


def wrapper(*arguments: str) -> float:
    return seconds(str(ROOT / "tk8s.sh"), *arguments)


def t_sh(*arguments: str) -> float:
    return seconds(str(CHECKOUT / "t.sh"), *arguments)


def compose(*arguments: str) -> float:
    return seconds("docker", "compose", "--profile", "*", *arguments, cwd=CHECKOUT)


def invoke(*arguments: str) -> float:
    return seconds(INVOKE, *arguments)


def pairs(count: int, ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[list[float], list[float]]:
    """`count` runs of each, in turns; the order changes from pair to pair. Each is said on stderr, for what comes after it may fail."""
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(count):
        for side in (0, 1) if number % 2 else (1, 0):
            time.sleep(SETTLE)
            found[side].append(measured((ours, theirs)[side]))
            print(f"pair {number + 1}, {('here', 'there')[side]}: {found[side][-1]:.2f} s", file=sys.stderr, flush=True)
    return found


def measured(command: Callable[[], float]) -> float:
    """How long a command takes; once more where it fails, as a suite with time limits of its own may do. That is said."""
    try:
        return command()
    except SystemExit as failed:
        print(f"FAILED, and is run again: {failed}", file=sys.stderr, flush=True)
        return command()


def phases() -> dict[str, float]:
    """The phases of the newest run, in seconds."""
    return json.loads((ROOT / ".runs/latest/run.json").read_text())["phases"]


def row(what: str, ours: list[float], theirs: list[float], other: str) -> str:
    a, b = statistics.median(ours), statistics.median(theirs)
    spread = f"{min(ours):.2f}-{max(ours):.2f} / {min(theirs):.2f}-{max(theirs):.2f}"
    return f"| {what} | {other} | {a:.2f} s | {b:.2f} s | {a / b:.2f} | {a - b:+.2f} s | {len(ours)} | {spread} |"
