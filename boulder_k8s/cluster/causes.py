"""Why kind could not make a cluster, as far as its words or this machine tell."""

from __future__ import annotations

import re
from pathlib import Path

from ..host import fitness
from ..host.errors import Problem

# kind's or Docker's words, what they mean, what to do, and the line of `invoke doctor` about it.
KNOWN = (
    (
        r"non-overlapping IPv4 address pool|all predefined address pools have been fully subnetted",
        "Docker has no free address pool for the network `kind`",
        "Remove networks that nobody uses: `docker network prune`.",
        "subnets",
    ),
    (
        r"too many open files|inotify",
        "the kernel's inotify limits are too low for another node",
        f"Raise them: `sudo sysctl {fitness.INOTIFY_SETTINGS}`.",
        "inotify",
    ),
    (
        r"no space left on device",
        "the disk is full",
        "Make room: `docker system df` shows what takes it.",
        "docker-disk",
    ),
    (
        r"port is already allocated|address already in use",
        "a port is taken",
        "Stop what has it, or set BOULDER_PORTS to others.",
        "host-ports",
    ),
)


def of(output: str, root: Path = Path("/")) -> tuple[str, str, str] | None:
    """Returns what kind's output means, what to do, and the doctor's line; None if it is not known.

    root: the directory with proc/, another one in tests. Low inotify limits show as a kubelet that does not start.
    """
    for pattern, meaning, fix, check in KNOWN:
        if re.search(pattern, output, re.IGNORECASE):
            return meaning, fix, check
    if fitness.low_inotify(root) and re.search(r"kubelet|timed out waiting|could not find a log line", output):
        return KNOWN[1][1:]
    return None


def problem(cluster: str, output: str, root: Path = Path("/")) -> Problem:
    """Returns the Problem of a cluster that cannot be made. output: kind's. root: as for `of`."""
    detail = "\n".join(output.splitlines()[-25:])
    if known := of(output, root):
        meaning, fix, check = known
        return Problem(f"kind cannot make cluster {cluster}: {meaning}.", fix, detail, 2, check)
    return Problem(
        f"kind cannot make cluster {cluster}.",
        "The lines above are kind's own, and the run's bundle has the node's; `invoke doctor` looks at what it usually is, and its known issues are at https://kind.sigs.k8s.io/docs/user/known-issues/",
        detail,
    )
