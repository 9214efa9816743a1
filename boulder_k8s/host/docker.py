"""The host's Docker engine, through its command line."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

from . import process
from .errors import Problem


@dataclass(frozen=True)
class Engine:
    """What `docker info` says of the engine."""

    version: str
    cgroup_v1: bool
    containerd_store: bool  # Docker 29's default: images keep all their platforms
    operating_system: str

    @property
    def desktop(self) -> bool:
        """Whether it is Docker Desktop, which runs in a machine of its own."""
        return "Docker Desktop" in self.operating_system


def info() -> dict:
    """`docker info`, parsed. Raises Problem when there is no engine that answers."""
    try:
        found = json.loads(process.run(["docker", "info", "--format", "{{json .}}"], timeout=60))
    except FileNotFoundError as error:
        raise Problem(
            "docker is not on PATH.",
            "Install Docker Engine 20.10 or newer, with its Compose plugin.",
            check="docker-engine",
        ) from error
    except process.Failed as error:
        raise Problem(
            "The Docker engine does not answer.",
            "Start it (`sudo systemctl start docker`, or Docker Desktop) and try again.",
            error.output,
            check="docker-engine",
        ) from error
    if found.get("ServerErrors"):
        raise Problem(
            "The Docker engine does not answer.",
            "Start it (`sudo systemctl start docker`, or Docker Desktop) and try again.",
            "\n".join(found["ServerErrors"]),
            check="docker-engine",
        )
    return found


def engine() -> Engine:
    """The engine on this machine. Raises Problem when there is none that answers."""
    return engine_of(info())


def engine_of(info: dict) -> Engine:
    """What of `docker info` matters here."""
    status = {entry[0]: entry[1] for entry in info.get("DriverStatus") or []}
    return Engine(
        info["ServerVersion"],
        str(info.get("CgroupVersion")) == "1",
        str(status.get("driver-type", "")).startswith("io.containerd.snapshotter"),
        info.get("OperatingSystem", ""),
    )


def version() -> str:
    """The engine's version, or "unknown"."""
    try:
        return process.run(["docker", "version", "--format", "{{.Server.Version}}"], timeout=30).strip()
    except (OSError, process.Failed, subprocess.TimeoutExpired):
        return "unknown"


def inspect_container(name: str) -> dict | None:
    """`docker inspect` of a container, or None when there is none of that name. Raises Problem without an engine."""
    try:
        return json.loads(process.run(["docker", "container", "inspect", name], timeout=60))[0]
    except FileNotFoundError:
        engine()
        raise
    except process.Failed as error:
        if "no such container" in error.output.lower():
            return None
        engine()  # says what is wrong with it
        raise


def host_address(container: str) -> str:
    """The host's IPv4 address as a container, and the pods in it, reach it: what `host-gateway` is to Docker. Raises Problem when the
    container does not run.
    """
    found = inspect_container(container)
    if found and engine().desktop:
        # The containers' gateway is that machine.
        name = "host.docker.internal"
        return process.run(["docker", "exec", container, "getent", "ahostsv4", name], timeout=60).split()[0]
    networks = found["NetworkSettings"]["Networks"].values() if found else ()
    if address := next((network["Gateway"] for network in networks if network.get("Gateway")), ""):
        return address
    raise Problem(
        "The host's address as pods reach it is known once the cluster runs.",
        "Run `invoke up` first, or write the address.",
    )


def image_ids(references: list[str]) -> dict[str, str]:
    """The engine's id of each image that it has; what it lacks is left out."""
    command = ["docker", "image", "inspect", "--format", "{{.Id}}"]
    try:
        ids = process.run([*command, *references], timeout=60).split()
        return dict(zip(references, ids, strict=True))
    except process.Failed:
        found = {}
        for reference in references:  # one is missing: ask for each, since the answer names none
            try:
                found[reference] = process.run([*command, reference], timeout=60).strip()
            except process.Failed as error:
                if "no such image" not in error.output.lower():
                    raise
        return found


def image(name: str) -> dict | None:
    """`docker image inspect` of one image, or None when the engine has none of that name or id."""
    try:
        return json.loads(process.run(["docker", "image", "inspect", "--format", "{{json .}}", name], timeout=60))
    except process.Failed as error:
        if "no such image" in error.output.lower():
            return None
        raise


def save_command(references: list[str]) -> list[str]:
    """`docker image save` of images, shared layers once; of an image that the engine keeps for several platforms, its own."""
    command = ["docker", "image", "save"]
    found = engine()
    if found.containerd_store and int(found.version.split(".")[0]) >= 28:
        command += [
            "--platform",
            process.run(["docker", "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"], timeout=60).strip(),
        ]
    return [*command, *references]


def publishers(port: int) -> list[str]:
    """Names of the running containers that publish a host port."""
    return process.run(["docker", "ps", "--filter", f"publish={port}", "--format", "{{.Names}}"], timeout=60).split()
