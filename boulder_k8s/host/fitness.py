"""Refuses machines on which the cluster cannot work, before anything is downloaded or made."""

from __future__ import annotations

import errno
import os
import re
import socket
import tempfile
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from . import docker, docker_config
from .errors import Problem
from .files import own_directory
from .settings import Settings

GIB = 2**30
# The node alone takes 0.9 GiB when all is up, and 1.8 GiB while Boulder is compiled (2 processors, cache not counted).
MEMORY = 2 * GIB
ROOTLESS = "https://kind.sigs.k8s.io/docs/user/rootless/"

INOTIFY = {"max_user_instances": 512, "max_user_watches": 65536}  # https://kind.sigs.k8s.io/docs/user/known-issues/
INOTIFY_SETTINGS = " ".join(f"fs.inotify.{name}={number}" for name, number in INOTIFY.items())


def low_inotify(root: Path = Path("/")) -> dict[str, int]:
    """Returns the kernel's inotify limits that are lower than kind needs, by name; none if there are no such limits here.
    root: the directory with proc/, another one in tests.
    """
    found = {}
    for name in INOTIFY:
        try:
            found[name] = int((root / "proc/sys/fs/inotify" / name).read_text())
        except (OSError, ValueError):
            continue
    return {name: number for name, number in found.items() if number < INOTIFY[name]}


def check(settings: Settings, checkout: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Raises Problem if the cluster cannot work here. checkout: its path; it need not exist yet.

    If the cluster is there already, no program is asked: only the address of Docker's engine is looked at.
    """
    check_address(environ)
    if settings.file("cluster").exists():
        return
    found = docker.info()
    check_rootless(found)
    check_memory(found)
    check_place(settings, checkout)


def check_address(environ: Mapping[str, str]) -> None:
    """Raises Problem if docker is told to use the engine of another machine. Asks nobody."""
    host = docker_config.daemon_host(environ)
    if not host or is_here(host):
        return
    name = docker_config.context(environ)
    by, fix = (
        ("DOCKER_HOST", "unset DOCKER_HOST")
        if environ.get("DOCKER_HOST")
        else (f"the docker context {name}", f"docker context use {docker_config.DEFAULT_CONTEXT}")
    )
    raise Problem(
        f"Docker is on another machine ({by} says {host}), which does not see the files of this one.",
        f"Use a Docker on this machine (`{fix}`), or run the command on that one, in a checkout there.",
        check="docker-place",
    )


def is_here(host: str) -> bool:
    """Returns whether an engine's address may be on this machine. It need not be: localhost may lead elsewhere."""
    address = urlsplit(host)
    if address.scheme not in ("tcp", "http", "https", "ssh"):
        return True
    name = address.hostname or "localhost"
    if name == "localhost" or name == socket.gethostname():
        return True
    try:
        return ip_address(name).is_loopback or is_own(name)
    except ValueError:  # a name
        return False


def is_own(address: str) -> bool:
    """Returns whether an IP address is one of this machine's, as far as can be told."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
    return True


def check_rootless(info: dict) -> None:
    """Raises Problem if Docker runs rootless and kind refuses it. info: of `docker info`.

    The rules are kind's own (pkg/cluster/internal/create/create.go, validateProvider).
    """
    if not is_rootless(info):
        return
    if str(info.get("CgroupVersion")) != "2":
        raise Problem(
            "Docker runs rootless on a machine with cgroup v1; kind needs cgroup v2 for that.",
            f"Use Docker as root's service, or boot with systemd.unified_cgroup_hierarchy=1 ({ROOTLESS}).",
            check="docker-install",
        )
    limits = all(info.get(name) for name in ("MemoryLimit", "PidsLimit", "CPUShares"))
    if info.get("CgroupDriver") == "none" or not limits:
        raise Problem(
            "Docker runs rootless and may not limit memory, processes and CPUs, as a node needs.",
            f"Use Docker as root's service, or let systemd delegate the controllers: Delegate=yes ({ROOTLESS}).",
            check="docker-install",
        )


def is_rootless(info: dict) -> bool:
    """Returns whether the engine runs without root. info: of `docker info`."""
    return any("name=rootless" in option.split(",") for option in info.get("SecurityOptions") or [])


def check_memory(info: dict) -> None:
    """Raises Problem if containers have less memory than the cluster and Boulder take. info: of `docker info`."""
    total = info.get("MemTotal") or 0
    if 0 < total < MEMORY:
        raise Problem(
            f"Docker has {total / GIB:.1f} GiB of memory; the cluster and Boulder do not start in less than "
            f"{MEMORY / GIB:.0f} GiB.",
            "Give Docker 6 GiB or more (Docker Desktop: Settings, Resources), or use a larger machine.",
            check="docker-memory",
        )


def check_place(settings: Settings, checkout: Path, root: Path = Path("/")) -> None:
    """Raises Problem if the engine does not see the files that the node mounts, or if its ports are not this
    machine's. root: the directory with what a container has of its own, another one in tests.
    """
    ours = container_id(root)
    us = docker.inspect_container(ours) if ours else None
    own_directory(settings.root / ".state")
    # A new file of a name that nobody else has: a directory of the same path may exist on both machines.
    with tempfile.NamedTemporaryFile(prefix="seen-by-docker-", dir=settings.root / ".state") as probe:
        for path, directory in ((Path(probe.name), settings.root), (checkout, checkout)):
            if path.exists() and not docker.sees(path):
                raise unseen(directory, bool(us) or (root / ".dockerenv").exists())
    network = us["HostConfig"].get("NetworkMode", "host") if us else "host"
    if network != "host" and not network.startswith("container:"):
        raise Problem(
            "This is a container with a network of its own; the cluster's ports would be on the host's 127.0.0.1.",
            "Run the command on the host, or start the container with --network=host.",
            check="docker-place",
        )


def container_id(root: Path = Path("/")) -> str:
    """Returns the id of the Docker container in which we run, or "": Docker mounts its file hostname into each."""
    try:
        text = (root / "proc/self/mountinfo").read_text()
    except OSError:
        return ""
    found = re.search(r"/containers/([0-9a-f]{64})/hostname /etc/hostname ", text)
    return found.group(1) if found else ""


def unseen(directory: Path, inside: bool) -> Problem:
    """Returns the Problem for a directory that the engine does not see. inside: whether we run in a container."""
    if inside:
        return Problem(
            f"This is a container, and Docker runs outside of it: the node could not mount {directory}.",
            "Run the command on the host, or start the container with --network=host, and mount this project and the "
            "checkout at the very paths that they have on the host.",
            check="docker-place",
        )
    return Problem(
        f"Docker's engine does not see {directory}: it runs on another or a virtual machine.",
        "Use a Docker on this machine (`docker context ls`), or share the directory with the virtual machine (Docker "
        "Desktop: Settings, Resources, File sharing).",
        check="docker-place",
    )
