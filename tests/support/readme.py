"""The commands of README's table, as a user types them behind ./ck8s.sh."""

from __future__ import annotations

import re
import shlex

from boulder_k8s.host.settings import ROOT


def commands() -> list[list[str]]:
    """Every command of the table's first column, in order."""
    lines = (ROOT / "README.md").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| after `docker compose`"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows += re.findall(r"`([^`]+)`", line.split(" | ")[0])
    return [shlex.split(row) for row in rows]
