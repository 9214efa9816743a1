"""A Docker volume that keeps the node's containerd directory from cluster to cluster, so that images are loaded once.

One volume belongs to one cluster name. It is the node's /var/lib/containerd: seeded from the node image, mounted by kind's extraMounts,
left in place by `down`, dropped by `down --images`. Containers of an earlier cluster that its metadata still names are garbage to the new
kubelet, which removes them.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..host import docker, process, state
from ..host.files import own_directory
from ..host.progress import step
from ..host.settings import Settings

DIRECTORY = "/var/lib/containerd"
LABEL = "boulder-k8s.cluster"


def name(settings: Settings) -> str:
    """The volume's name."""
    return f"boulder-k8s-{settings.cluster}"


def ensure(settings: Settings, node_image: str) -> Path | None:
    """Where the engine keeps the volume, made and seeded when it is not there or is of another node image; None with an engine
    whose volumes have no path that can be mounted (Docker Desktop): images are loaded anew into every cluster there.

    node_image: a name of it that the engine knows.
    """
    if docker.engine().desktop:
        return None
    image_id = docker.image_ids([node_image])[node_image]
    found, known = inspect(settings), known_of(settings)
    if not found or known.get("node_image") != image_id or known.get("created") != found["CreatedAt"]:
        settings.file("volume").unlink(missing_ok=True)
        if found:
            process.run(["docker", "volume", "rm", name(settings)], timeout=120)
        with step("preparing a volume for the node's images"):
            process.run(
                ["docker", "volume", "create", "--label", f"{LABEL}={settings.cluster}", name(settings)], timeout=60
            )
            # Docker itself copies what the image has at that place into an empty volume.
            mount = f"type=volume,src={name(settings)},dst={DIRECTORY}"
            run = ["docker", "run", "--rm", "--network=none", "--entrypoint=/bin/true", "--mount", mount]
            process.run([*run, node_image], timeout=300)
        found = inspect(settings)
        keep(settings, {"created": found["CreatedAt"], "node_image": image_id, "images": {}})
    return Path(found["Mountpoint"])


def images(settings: Settings) -> dict[str, str]:
    """The engine's id of each image that was loaded into the volume, by reference."""
    return known_of(settings).get("images", {})


def remember(settings: Settings, loaded: dict[str, str]) -> None:
    """Notes which images the volume has, where there is one."""
    if known := known_of(settings):
        keep(settings, {**known, "images": loaded})


def remove(settings: Settings) -> bool:
    """Drops the volume; returns whether there was one. The cluster must be gone."""
    settings.file("volume").unlink(missing_ok=True)
    if not inspect(settings):
        return False
    with step("removing the volume with the node's images"):
        process.run(["docker", "volume", "rm", name(settings)], timeout=120)
    return True


def inspect(settings: Settings) -> dict | None:
    try:
        return json.loads(process.run(["docker", "volume", "inspect", name(settings)], timeout=60))[0]
    except process.Failed as error:
        if "no such volume" in error.output.lower():
            return None
        raise


def known_of(settings: Settings) -> dict:
    """What is known of the volume: node_image (its id), created, images; {} if there is none."""
    return state.read(settings.file("volume")) or {}


def keep(settings: Settings, known: dict) -> None:
    own_directory(settings.root / ".state")
    state.write(settings.file("volume"), known)
