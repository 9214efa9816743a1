"""What Docker tells about a cluster's node."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..host import docker, process
from ..host.errors import Problem
from ..host.settings import LOOPBACK, Port, Settings

# Docker Desktop mounts through a virtual machine, and may report paths of that machine. The labels
# `desktop.docker.io/binds/N/Source` have the host's. On macOS they may be missing: then the host's follow the prefix.
DESKTOP_BINDS = "desktop.docker.io/binds/"
DESKTOP_PREFIX = "/host_mnt"
STAT = ["stat", "--format=%i %W"]  # GNU's; %W: birth, 0 if the file system does not know


def mounts(container: dict) -> dict[str, str]:
    """Returns the bind mounts of a container: the path in it, and the path on the host. container: from `docker
    inspect`.
    """
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


def published(node: dict) -> set[Port]:
    """Returns the ports that a node publishes for Boulder. node: as `docker inspect` describes it."""
    return {
        Port(int(binding["HostPort"]), int(port.split("/")[0]), binding.get("HostIp") or LOOPBACK)
        for port, bindings in (node["HostConfig"].get("PortBindings") or {}).items()
        for binding in bindings
        if port != "6443/tcp"
    }


def state(node: dict | None) -> str:
    """Returns what a node is doing: running, paused, stopped, or absent."""
    if not node:
        return "absent"
    if not node["State"]["Running"]:
        return "stopped"
    return "paused" if node["State"].get("Paused") else "running"


def identities(*paths: Path) -> list[list[int]]:
    """Returns what tells each directory from another one of the same path: a bind mount stays with a directory that was
    moved away or removed. Raises OSError if one is not there.

    It is the inode and the time of its birth, since a file system soon gives the inode of what was removed to something
    new. It leaves out the device number, which for btrfs, LVM or NFS can change when the machine starts.
    """
    found = [path.stat() for path in paths]
    if all(hasattr(item, "st_birthtime") for item in found):
        return [[item.st_ino, int(item.st_birthtime)] for item in found]
    try:  # os.stat of Linux has no birth before Python 3.15
        return [numbers(line) for line in process.run([*STAT, *paths], timeout=10).splitlines()]
    except (process.Failed, OSError, ValueError, subprocess.TimeoutExpired):  # another stat than GNU's
        return [[item.st_ino, 0] for item in found]


def identity_in(node: str, path: str) -> list[int] | None:
    """Returns what `identities` would say of a directory that a running node mounts; None if it does not say, or if the
    directory was removed.
    """
    try:
        found = numbers(process.run(["docker", "exec", node, *STAT, path], timeout=60))
        links = process.run(["docker", "exec", node, "stat", "--format=%h", path], timeout=60)
    except (process.Failed, ValueError, subprocess.TimeoutExpired):
        return None
    return found if links.strip() != "0" else None


def numbers(text: str) -> list[int]:
    """Returns the numbers of a line. Raises ValueError."""
    return [int(word) for word in text.split()]


def check_ports(settings: Settings) -> None:
    """Raises Problem if another program uses one of the host ports that the cluster will publish."""
    for port in settings.ports:
        try:
            bind(port)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise Problem(
                    f"BOULDER_PORTS names {port.address}, which is no address of this machine.",
                    "Name one that `ip address` shows, or 0.0.0.0 for all of them.",
                ) from error
            holders = docker.publishers(port.host)
            who = f"container {', '.join(holders)}" if holders else "another program"
            raise Problem(
                f"Port {port.host} on {port.address} is taken by {who}.",
                f"Stop it (`docker compose down` for Boulder's own stack), or publish elsewhere: BOULDER_PORTS={elsewhere(settings.ports)}.",
                check="host-ports",
            ) from error


def bind(port: Port) -> None:
    """Tries a port of the host. Raises OSError if it cannot be had."""
    with socket.socket(socket.AF_INET6 if ":" in port.address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(PermissionError):  # only root may bind it: Docker reports whether it is free
            probe.bind((port.address, port.host))


def elsewhere(ports: tuple[Port, ...]) -> str:
    """Returns BOULDER_PORTS with ports of the host that are free now, in place of those that are taken."""
    found: list[Port] = []
    for port in ports:
        used = {other.host for other in (*found, *ports)} - {port.host}
        numbers = [port.host, *range(port.container + 10000, 1 << 16, 1000), *range(20000, 30000)]
        found.append(next((one for number in numbers if is_free(one := replace(port, host=number), used)), port))
    return ",".join(map(str, found))


def is_free(port: Port, used: set[int]) -> bool:
    """Returns whether nobody has a port of the host, and none of ours is to have it."""
    try:
        bind(port)
    except OSError:
        return False
    return port.host not in used
