"""What a node that kind could not make has to tell, before it is removed."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

from ..host import process
from ..host.errors import Problem
from ..host.files import private_directory, write_private
from ..host.settings import Settings


class NodeFailed(Problem):
    """kind could not make the cluster. logs: what the node said, by file name."""

    logs: dict[str, str]

    def keep(self, directory: Path) -> None:
        """Writes the logs into a directory; a full disk takes none."""
        with suppress(OSError):
            private_directory(directory)
            for name, text in self.logs.items():
                write_private(directory / name, text)


def logs(settings: Settings) -> dict[str, str]:
    """Returns what a node tells that kind has left as it failed: its console, the journal of its kubelet and containerd, and how it
    ended. A container that does not run has no journal.
    """
    journal = ["journalctl", "--no-pager", "--lines=1500", "--unit=kubelet", "--unit=containerd"]
    commands = {
        "node.log": ["docker", "logs", "--tail=2000", settings.node],
        "node-journal.log": ["docker", "exec", settings.node, *journal],
        "node-state.json": ["docker", "container", "inspect", "--format={{json .State}}", settings.node],
    }
    found = {}
    for name, command in commands.items():
        with suppress(process.Failed, subprocess.TimeoutExpired, OSError):
            found[name] = process.run(command, timeout=30)
    return found
