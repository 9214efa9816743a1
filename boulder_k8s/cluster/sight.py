"""Whether the node still sees .runs.

A bind mount stays with a directory that was removed, moved or replaced; Docker resolves it anew each time the container
starts. So a node that does not see .runs is stopped and started, which keeps what is in it: databases, images, objects.
"""

from __future__ import annotations

import secrets
import subprocess

from ..host import process, state
from ..host.files import write_whole
from ..host.names import RUNS_MOUNT
from ..host.progress import step
from ..host.settings import Settings
from .node import identity


def sees_runs(settings: Settings, node: dict) -> bool:
    """Returns whether a running node sees .runs as it is now. node: from `docker inspect`. Raises OSError if .runs
    cannot be written.

    The node is asked only if .runs is not the directory that it saw when it was asked last, or has started anew since.
    If it does not answer it counts as seeing: what comes next says what is wrong with it.
    """
    key = [node["Id"], node["State"].get("StartedAt", ""), identity(settings.runs)]
    known = settings.runs / f".seen-by-{settings.cluster}.json"
    if state.read(known, key):
        return True
    probe = settings.runs / f".probe-{secrets.token_hex(4)}"
    try:
        write_whole(probe, "")
        look = ["docker", "exec", settings.node, "find", RUNS_MOUNT, "-maxdepth", "1", "-name", probe.name]
        seen = probe.name in process.run(look, timeout=30)
    except (process.Failed, subprocess.TimeoutExpired):
        return True
    finally:
        probe.unlink(missing_ok=True)
    if seen:
        state.write(known, True, key)
    return seen


def blind_to(settings: Settings, node: dict) -> bool:
    """Returns whether a node has to start anew to see .runs."""
    ready = node["State"]["Running"] and not node["State"].get("Paused")
    return bool(ready and settings.runs.is_dir() and not sees_runs(settings, node))


def stop(settings: Settings) -> None:
    """Stops the node, so that its next start mounts .runs as it is now. Raises process.Failed."""
    with step(".runs was replaced after the node had started; the node starts anew, its databases stay"):
        process.run(["docker", "stop", "--time=30", settings.node], timeout=120)
