"""Asks the host's Docker engine, through the docker command."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import process
from .docker_problems import missing, podman, unreachable
from .errors import Problem

NOWHERE = "boulder-k8s.invalid/none:none"  # an image that cannot exist


@dataclass(frozen=True)
class Engine:
    """What `docker info` tells about the engine."""

    version: str
    cgroup_v1: bool
    containerd_store: bool  # Docker 29's default, which keeps images for all their platforms
    operating_system: str

    @property
    def desktop(self) -> bool:
        """Whether it is Docker Desktop, which runs containers in a virtual machine."""
        return "Docker Desktop" in self.operating_system


def info() -> dict:
    """Returns what `docker info` prints, parsed. Raises Problem if docker is missing or podman, or if no engine
    answers.
    """
    try:
        text = process.run(["docker", "info", "--format", "{{json .}}"], timeout=60)
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise Problem(
            "`docker info` does not answer as Docker's own program does.",
            "See which program `docker` is (`docker --version`) and let Docker's own come first on PATH.",
            text[:2000],
            check="docker-engine",
        ) from error
    except FileNotFoundError as error:
        raise missing() from error
    except process.Failed as error:
        raise (podman() if is_podman_program() else unreachable(error.output)) from error
    if found.get("ServerErrors"):
        raise unreachable("\n".join(found["ServerErrors"]))
    if is_podman(found):
        raise podman()
    return found


def is_podman(info: dict) -> bool:
    """Returns whether an answer of `docker info` is podman's: of its program, or of its service behind Docker's
    program (containers/podman, pkg/api/handlers/compat/info.go).
    """
    storage = Path(info.get("DockerRootDir") or "/").parts[-2:] == ("containers", "storage")
    return "ServerVersion" not in info or info.get("ProductLicense") == "Apache-2.0" or storage


def is_podman_program() -> bool:
    """Returns whether the program docker is podman (package podman-docker)."""
    try:
        return "podman" in process.run(["docker", "--version"], timeout=30).lower()
    except process.Failed:
        return False


def engine() -> Engine:
    """Returns the engine on this machine. Raises Problem if docker is missing or no engine answers."""
    return engine_of(info())


def engine_of(info: dict) -> Engine:
    """Returns what matters here of the answer of `docker info`."""
    status = {entry[0]: entry[1] for entry in info.get("DriverStatus") or [] if len(entry) == 2}
    return Engine(
        str(info["ServerVersion"]),
        str(info.get("CgroupVersion")) == "1",
        str(status.get("driver-type", "")).startswith("io.containerd.snapshotter"),
        info.get("OperatingSystem", ""),
    )


def version() -> str:
    """Returns the engine's version, or "unknown" if it does not answer."""
    try:
        return process.run(["docker", "version", "--format", "{{.Server.Version}}"], timeout=30).strip()
    except (OSError, process.Failed, subprocess.TimeoutExpired):
        return "unknown"


def inspect_container(name: str) -> dict | None:
    """Returns what `docker inspect` tells about a container, or None if there is no such container.

    Raises Problem if docker is missing or no engine answers, else process.Failed.
    """
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


def sees(path: Path) -> bool:
    """Returns whether the engine sees a path of ours, so that a container could mount it. It takes 40 ms.

    It asks for a container of an image that nobody has. Docker looks at the mounts first, so it names a path that it
    does not see, and makes nothing.
    """
    source = str(path).replace('"', '""')  # --mount takes a line of CSV
    mount = f'type=bind,"source={source}",target=/seen'
    try:
        process.run(["docker", "create", "--pull=never", "--mount", mount, NOWHERE], timeout=60)
    except process.Failed as error:
        said = error.output.lower()
        return "bind source path does not exist" not in said and "mounts denied" not in said  # Docker Desktop's
    return True


def host_address(container: str) -> str:
    """Returns the IPv4 address of the host as a container, and the pods in it, reach it: Docker's `host-gateway`.

    Raises Problem if the container does not run.
    """
    found = inspect_container(container)
    if found and engine().desktop:
        # The containers' gateway is Docker Desktop's virtual machine.
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
    """Returns the engine's id of each image, by reference; leaves out those that the engine lacks. Raises
    process.Failed.
    """
    command = ["docker", "image", "inspect", "--format", "{{.Id}}"]
    try:
        ids = process.run([*command, *references], timeout=60).split()
        return dict(zip(references, ids, strict=True))
    except process.Failed:
        found = {}
        for reference in references:  # one is missing: ask for each, since the answer does not tell which
            try:
                found[reference] = process.run([*command, reference], timeout=60).strip()
            except process.Failed as error:
                if "no such image" not in error.output.lower():
                    raise
        return found


def sizes(references: list[str]) -> list[int]:
    """Returns the bytes of each image, leaving out those that the engine lacks. Layers of several images count in each."""
    found = [image(reference) for reference in references]
    return [item.get("Size", 0) for item in found if item]


def image(name: str) -> dict | None:
    """Returns what `docker image inspect` tells about an image, or None if the engine has no image of that name or id.

    Raises process.Failed.
    """
    try:
        return json.loads(process.run(["docker", "image", "inspect", "--format", "{{json .}}", name], timeout=60))
    except process.Failed as error:
        if "no such image" in error.output.lower():
            return None
        raise


def by_platform(references: list[str]) -> dict[str, list[str]]:
    """Returns images by the platform that the engine has them for, such as linux/amd64.

    It is the engine's own if the engine has the image for that one. Raises process.Failed if it lacks an image.
    """
    command = ["docker", "image", "inspect", "--format", "{{.Os}}/{{.Architecture}}/{{.Variant}}"]
    found: dict[str, list[str]] = {}
    for reference, platform in zip(references, process.run([*command, *references], timeout=60).split(), strict=True):
        found.setdefault(platform.rstrip("/"), []).append(reference)
    return found


def save_command(references: list[str], platform: str) -> list[str]:
    """Returns the command line of `docker image save`, which writes shared layers once. platform: as `by_platform`
    says.

    An engine with containerd's image store may know an image for more platforms than it has, so it is told which to
    save. Docker 25 to 27 cannot be told: they save the list of all, and what there is of it. Raises Problem or
    process.Failed.
    """
    command = ["docker", "image", "save"]
    if engine().containerd_store:
        # What client and engine both speak. https://docs.docker.com/reference/api/engine/version-history/#v148-api-changes
        api = process.run(["docker", "version", "--format", "{{.Client.APIVersion}}"], timeout=60).strip()
        number = re.match(r"(\d+)\.(\d+)", api)
        if number and tuple(map(int, number.groups())) >= (1, 48):
            command += ["--platform", platform]
    return [*command, *references]


def publishers(port: int) -> list[str]:
    """Returns the names of the running containers that publish a host port. Raises process.Failed."""
    return process.run(["docker", "ps", "--filter", f"publish={port}", "--format", "{{.Names}}"], timeout=60).split()
