"""What users see if docker is missing, is podman, or does not answer."""

from __future__ import annotations

import grp
import os
import pwd

from . import docker_config, lab
from .errors import Problem


def missing() -> Problem:
    """Returns the Problem for a machine without the program docker."""
    return Problem(
        "docker is not on PATH.",
        f"Install Docker Engine 20.10 or newer, with its Compose plugin.{lab.offered()}",
        check="docker-engine",
    )


def podman() -> Problem:
    """Returns the Problem for a docker that is podman."""
    return Problem(
        "docker is podman here, which cannot run this cluster or Boulder's Compose file.",
        "Install Docker Engine in place of podman-docker, or point DOCKER_HOST at Docker's own socket.",
        check="docker-engine",
    )


def unreachable(output: str) -> Problem:
    """Returns the Problem for an engine that does not answer. output: what docker says about it."""
    if "permission denied" in output.lower():
        return forbidden(output)
    return Problem(
        "The Docker engine does not answer.",
        "Start it (`sudo systemctl start docker`, or Docker Desktop) and try again.",
        output,
        check="docker-engine",
    )


def forbidden(output: str) -> Problem:
    """Returns the Problem for a user to whom Docker's socket is closed. output: what docker says about it."""
    path = docker_config.daemon_host(os.environ).removeprefix("unix://")
    try:
        group = grp.getgrgid(os.stat(path).st_gid)
    except (OSError, KeyError):
        group = None
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a number alone, as in a container
        user = str(os.getuid())
    name = group.gr_name if group and group.gr_gid else "docker"  # root's: dockerd has found no group docker
    if group and user in group.gr_mem:
        fix = f"You have joined its group {name} since you logged in: log in again, or type `newgrp {name}`."
    else:
        fix = f"Join its group with `sudo usermod -aG {name} {user}`, then log in again."
    return Problem(f"Docker's socket {path} is closed to you ({user}).", fix, output, check="docker-engine")
