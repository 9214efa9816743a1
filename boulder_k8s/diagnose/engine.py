"""What `invoke doctor` checks of Docker: the engine, what it may use, and where it is. Returns as in machine.py."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from ..cluster import volume
from ..host import docker, fitness, process
from ..manifests import checkout
from .machine import FAIL, OK, WARNING, Machine

GIB = 2**30
MEMORY = 6 * GIB  # about what Boulder's build and the cluster use together
DISK = 15 * GIB  # for the images twice: in the engine and in the node
USED = 2 * GIB  # what builds and databases take once the images are there
TOOLS = "letsencrypt/boulder-tools"  # the largest image
COMPOSE = (2, 20, 2)  # https://docs.docker.com/reference/compose-file/services/#healthcheck


def docker_engine(machine: Machine) -> tuple[str, ...]:
    """Checks the engine's version and storage driver. Raises Problem if no engine answers."""
    machine.info.update(docker.info())
    engine = docker.engine_of(machine.info)
    # One that was built by hand says "dev" or 0.0.0-20260131: it is not known to be old.
    number = re.match(r"v?(\d+)\.(\d+)", engine.version)
    if number and (0, 0) < tuple(map(int, number.groups())) < (20, 10):
        return FAIL, f"Docker {engine.version}", "Update Docker Engine to 20.10 or newer."
    store = "containerd's image store" if engine.containerd_store else f"storage driver {machine.info.get('Driver')}"
    if machine.info.get("Driver") == "vfs":
        return (
            WARNING,
            f"Docker {engine.version}, vfs",
            "Use overlay2: vfs copies every image whole, and cannot hold a node.",
        )
    return OK, f"Docker {engine.version}, {store}"


def docker_compose(_: Machine) -> tuple[str, ...]:
    """Checks that Docker has the Compose plugin in a version that reads docker-compose.yml."""
    try:
        version = process.run(["docker", "compose", "version", "--short"], timeout=60).strip()
        number = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
        if number and tuple(int(part) for part in number.groups()) < COMPOSE:
            return (
                FAIL,
                f"Docker Compose {version}",
                "Update it to 2.20.2 or newer, the first that knows docker-compose.yml's start_interval.",
            )
        return OK, f"Docker Compose {version}"
    except (OSError, process.Failed):
        return (
            FAIL,
            "Docker has no Compose plugin",
            "Install it (package docker-compose-plugin), as ./t.sh needs it too.",
        )


def docker_memory(machine: Machine) -> tuple[str, ...]:
    """Checks how much memory containers have. Raises Problem if it is too little to start."""
    if not machine.info:
        return WARNING, "not known: the engine does not answer", "See the line docker-engine."
    fitness.check_memory(machine.info)
    total = machine.info.get("MemTotal", 0)
    level = OK if total >= MEMORY else WARNING
    return (
        level,
        f"{total / GIB:.1f} GiB of memory for containers",
        "Give Docker 6 GiB or more (Docker Desktop: Settings, Resources).",
    )


def docker_disk(machine: Machine) -> tuple[str, ...]:
    """Checks how much room is left where Docker keeps its images."""
    directory = Path(machine.info.get("DockerRootDir", "/nonexistent"))
    if not directory.exists():
        return OK, "Docker's directory is not on this machine's disk; not looked at"
    free, needed = shutil.disk_usage(directory).free, DISK
    if docker.inspect_container(machine.settings.node) or volume.images(machine.settings):
        needed = USED  # engine and node have the images
    elif free < DISK and process.run(["docker", "image", "ls", "--quiet", TOOLS], timeout=60).strip():
        needed = DISK / 2  # the engine has them
    level = FAIL if free < needed else WARNING if free < 3 * USED else OK
    return (
        level,
        f"{free / GIB:.0f} GiB free in {directory}; {'images and builds take' if needed > USED else 'builds take'} {needed / GIB:.0f}",
        "Make room: `docker system df` shows what takes it, .runs/ holds earlier runs.",
    )


def docker_install(machine: Machine) -> tuple[str, ...]:
    """Checks that Docker is neither a snap nor rootless. Raises Problem if it is rootless and kind refuses that."""
    if str(machine.info.get("DockerRootDir", "")).startswith("/var/snap/"):
        return (
            FAIL,
            "Docker is a snap, which cannot mount every directory",
            "Install Docker's own packages: https://docs.docker.com/engine/install/",
        )
    fitness.check_rootless(machine.info)
    if fitness.is_rootless(machine.info):
        return (
            WARNING,
            "Docker runs rootless, which nobody has tried with this project",
            f"kind accepts it ({fitness.ROOTLESS}); if something fails, use Docker as root's service.",
        )
    return OK, "Docker runs as root's service"


def docker_place(machine: Machine) -> tuple[str, ...]:
    """Checks that Docker's engine is on this machine. Raises Problem if a node could not mount our files."""
    fitness.check_address(machine.environ)
    if not machine.info:
        return WARNING, "not known: the engine does not answer", "See the line docker-engine."
    fitness.check_place(machine.settings, checkout.path_of_command(machine.settings, machine.environ), machine.root)
    return OK, "Docker's engine sees the files of this machine"


CHECKS: tuple[Callable[[Machine], tuple[str, ...]], ...] = (
    docker_engine,
    docker_place,
    docker_compose,
    docker_memory,
    docker_disk,
    docker_install,
)
