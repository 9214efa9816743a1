"""What the engine says of a cluster's node, as the host sees it."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from ..host import docker
from ..host.errors import Problem
from ..host.settings import Settings

# Docker Desktop mounts by way of a machine of its own, and may report that machine's paths. The host's are in labels
# `desktop.docker.io/binds/N/Source`; where those are not set, on macOS, they are what follows the prefix.
DESKTOP_BINDS = "desktop.docker.io/binds/"
DESKTOP_PREFIX = "/host_mnt"


def mounts(container: dict) -> dict[str, str]:
    """A container's bind mounts: path inside -> path on the host."""
    labels = container.get("Config", {}).get("Labels") or {}
    told = {
        labels.get(name.removesuffix("Source") + "Target"): source
        for name, source in labels.items()
        if name.startswith(DESKTOP_BINDS) and name.endswith("/Source")
    }
    found = {mount["Destination"]: mount["Source"] for mount in container["Mounts"] if mount["Type"] == "bind"}
    if sys.platform == "darwin":
        found = {inside: source.removeprefix(DESKTOP_PREFIX) for inside, source in found.items()}
    return {inside: told.get(inside, source) for inside, source in found.items()}


def published(node: dict) -> set[tuple[int, int]]:
    """The host ports that a node has for Boulder, each with the pod's port behind it."""
    return {
        (int(binding["HostPort"]), int(port.split("/")[0]))
        for port, bindings in (node["HostConfig"].get("PortBindings") or {}).items()
        for binding in bindings
        if port != "6443/tcp"
    }


def identity(path: Path) -> list[int]:
    """What tells a directory from another of the same name: a bind mount stays with one that was moved away.

    Not its device number: that of btrfs, LVM or NFS is another one after the next start of the machine.
    """
    return [path.stat().st_ino]


def check_ports(settings: Settings) -> None:
    """Raises Problem if another program has one of the host ports that the cluster is to publish."""
    for port in settings.ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port.host))
            except PermissionError:
                continue  # one that only root may bind: Docker tells
            except OSError as error:
                holders = docker.publishers(port.host)
                who = f"container {', '.join(holders)}" if holders else "another program"
                raise Problem(
                    f"Port {port.host} on 127.0.0.1 is taken by {who}.",
                    "Stop it (`docker compose down` for Boulder's own stack), or publish elsewhere: BOULDER_PORTS=14001:4001,14003:4003.",
                    check="host-ports",
                ) from error
