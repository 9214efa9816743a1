"""The Docker volume that keeps the node's containerd directory from one cluster to the next, so that images are loaded
once.

One volume belongs to one cluster name. It is the node's /var/lib/containerd: Docker fills it from the node image,
kind's extraMounts mount it, `down` keeps it, and `down --images` removes it. Its metadata still names containers of an
earlier cluster; the kubelet of the next one removes those. It is about 6 GB, and two nodes cannot share one: so of this
project's idle volumes `down` keeps one, its own.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..host import docker, process, state
from ..host.errors import Problem
from ..host.files import own_directory
from ..host.lock import held
from ..host.progress import note, step
from ..host.settings import Settings

DIRECTORY = "/var/lib/containerd"
LABEL = "boulder-k8s.cluster"
PROJECT = "boulder-k8s.project"  # the label that says whose it is: the project's directory


def name(settings: Settings) -> str:
    """Returns the volume's name."""
    return f"boulder-k8s-{settings.cluster}"


def ensure(settings: Settings, node_image: str) -> Path | None:
    """Returns where the engine keeps the volume; makes it first if it does not exist or belongs to another node image.

    Returns None on Docker Desktop, whose volumes have no path that can be mounted: there each new cluster loads its
    images again. node_image: a name by which the engine knows it. Raises Problem or process.Failed.
    """
    if docker.engine().desktop:
        return None
    image_id = docker.image_ids([node_image])[node_image]
    found, known = require_ours(settings, inspect(settings)), known_of(settings)
    if not found or known.get("node_image") != image_id or known.get("created") != found["CreatedAt"]:
        settings.file("volume").unlink(missing_ok=True)
        if found:
            process.run(["docker", "volume", "rm", name(settings)], timeout=120)
        create = ["docker", "volume", "create", "--label", f"{LABEL}={settings.cluster}"]
        with step("preparing a volume for the node's images"):
            process.run(
                [*create, "--label", f"{PROJECT}={settings.root}", name(settings)],
                timeout=60,
            )
            # Docker copies what the image has at that path into an empty volume.
            mount = f"type=volume,src={name(settings)},dst={DIRECTORY}"
            run = ["docker", "run", "--rm", "--network=none", "--entrypoint=/bin/true", "--mount", mount]
            process.run([*run, node_image], timeout=300)
        found = inspect(settings)
        keep(settings, {"created": found["CreatedAt"], "node_image": image_id, "images": {}})
    return Path(found["Mountpoint"])


def images(settings: Settings) -> dict[str, str]:
    """Returns the engine's id of each image that was loaded into the volume, by reference."""
    return known_of(settings).get("images", {})


def remember(settings: Settings, loaded: dict[str, str]) -> None:
    """Notes which images the volume has, if there is a volume."""
    if known := known_of(settings):
        keep(settings, {**known, "images": loaded})


def remove(settings: Settings) -> bool:
    """Removes the volume; returns whether there was one. The cluster must be gone. Raises process.Failed, or Problem if it
    is somebody else's.
    """
    found = require_ours(settings, inspect(settings))
    settings.file("volume").unlink(missing_ok=True)
    if not found:
        return False
    with step("removing the volume with the node's images"):
        process.run(["docker", "volume", "rm", name(settings)], timeout=120)
    return True


def settle(settings: Settings) -> str:
    """After `down`: removes the idle volumes of this project's other clusters. Returns what is kept of this one's and how
    to drop it, for people, or "". Raises process.Failed.
    """
    if not inspect(settings):
        return ""
    for path in sorted(settings.file("volume").parent.glob("*.json")):
        other = replace(settings, cluster=path.stem)
        if other.cluster != settings.cluster:
            remove_if_idle(other)
    size = sum(docker.sizes(sorted(images(settings)))) / process.GB
    named = "" if settings.cluster == "boulder" else f"KIND_CLUSTER={settings.cluster} "
    return (
        f"kept for the next cluster: the node's images{f', about {size:.0f} GB' if size else ''}, in Docker's volume "
        f"{name(settings)}; `{named}invoke down --images` drops it"
    )


def remove_if_idle(other: Settings) -> None:
    """Removes a cluster's volume, unless that cluster is there or a command works on it. Raises process.Failed."""
    with suppress(Problem), held(other, f"removing the images that cluster {other.cluster} kept"):
        if not docker.inspect_container(other.node) and remove(other):
            note(f"the images that cluster {other.cluster} kept were dropped; one volume is kept, the newest")


def require_ours(settings: Settings, found: dict | None) -> dict | None:
    """Returns what `inspect` has found. Raises Problem if somebody else has made it, so that we do not remove it."""
    if not found or known_of(settings).get("created") == found["CreatedAt"]:
        return found  # whatever its labels say: earlier versions gave none, and the project may have been moved
    labels = found.get("Labels") or {}
    owner = labels.get(PROJECT, "")
    if "Labels" in found and LABEL not in labels or owner and owner != str(settings.root):
        raise Problem(
            f"The Docker volume {name(settings)} "
            + (f"belongs to the boulder-k8s in {owner}." if owner else "was not made by boulder-k8s."),
            f"Choose another name: KIND_CLUSTER=NAME; or remove it if nobody needs it: `docker volume rm {name(settings)}`.",
            check="volumes",
        )
    return found


def kept(settings: Settings) -> list[str]:
    """Returns the names of the clusters for which this project keeps a volume, and no other project does. Raises process.Failed."""
    listed = ["docker", "volume", "ls", "--filter", f"label={LABEL}", "--format", f'{{{{.Label "{LABEL}"}}}}']
    ours = process.run([*listed, "--filter", f"label={PROJECT}={settings.root}"], timeout=60).split()
    noted = {
        path.stem for path in settings.file("volume").parent.glob("*.json")
    }  # made by an earlier version: no such label
    if noted - set(ours):
        ours += [one for one in process.run(listed, timeout=60).split() if one in noted]
    return sorted(set(ours))


def inspect(settings: Settings) -> dict | None:
    """Returns what `docker volume inspect` tells, or None if there is no such volume. Raises process.Failed."""
    try:
        return json.loads(process.run(["docker", "volume", "inspect", name(settings)], timeout=60))[0]
    except process.Failed as error:
        if "no such volume" in error.output.lower():
            return None
        raise


def known_of(settings: Settings) -> dict:
    """Returns what we noted about the volume (node_image: its id; created; images), or {} if there is no volume."""
    return state.read(settings.file("volume")) or {}


def keep(settings: Settings, known: dict) -> None:
    """Notes facts about the volume. Raises OSError."""
    own_directory(settings.root / ".state")
    state.write(settings.file("volume"), known)
