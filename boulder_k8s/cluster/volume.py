"""The Docker volume that keeps the node's containerd directory from one cluster to the next, so that images are loaded
once.

It is the node's /var/lib/containerd: Docker fills it from the node image, kind's extraMounts mount it, `down` keeps it,
and `down --images` removes it. Its metadata still names containers of an earlier cluster; the kubelet of the next one
removes those. Two clusters cannot share one volume, but it is about 6 GB: so a new cluster takes over an idle one of
this project, whatever cluster had it, and `down` keeps one idle volume, the newest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


def name(settings: Settings) -> str:
    """Returns the volume's name: the cluster's, unless it was another cluster's before."""
    return known_of(settings).get("name") or f"boulder-k8s-{settings.cluster}"


def ensure(settings: Settings, node_image: str) -> Path | None:
    """Returns where the engine keeps the volume; makes it first if it does not exist or belongs to another node image.

    Returns None on Docker Desktop, whose volumes have no path that can be mounted: there each new cluster loads its
    images again. node_image: a name by which the engine knows it. Raises Problem or process.Failed.
    """
    if docker.engine().desktop:
        return None
    image_id = docker.image_ids([node_image])[node_image]
    if not is_good(settings, image_id):
        for other in others(settings):
            if is_good(other, image_id) and take_over(settings, other):
                break
    if not is_good(settings, image_id):
        make(settings, node_image, image_id)
    return Path(inspect(settings)["Mountpoint"])


def is_good(settings: Settings, image_id: str) -> bool:
    """Returns whether the cluster has a volume, as we noted it. image_id: of the node image. Raises process.Failed."""
    known = known_of(settings)
    if not known or known.get("node_image") != image_id:
        return False
    found = inspect(settings)
    return bool(found) and known.get("created") == found["CreatedAt"]


def make(settings: Settings, node_image: str, image_id: str) -> None:
    """Makes a new volume in place of what the cluster had. Raises process.Failed."""
    own, number = name(settings), 2
    settings.file("volume").unlink(missing_ok=True)
    while (found := inspect_named(own)) and users(found):  # another cluster has taken it over
        own, number = f"boulder-k8s-{settings.cluster}-{number}", number + 1
    if found:
        process.run(["docker", "volume", "rm", own], timeout=120)
    with step("preparing a volume for the node's images"):
        process.run(["docker", "volume", "create", "--label", f"{LABEL}={settings.cluster}", own], timeout=60)
        # Docker copies what the image has at that path into an empty volume.
        mount = f"type=volume,src={own},dst={DIRECTORY}"
        run = ["docker", "run", "--rm", "--network=none", "--entrypoint=/bin/true", "--mount", mount]
        process.run([*run, node_image], timeout=300)
    found = inspect_named(own)
    keep(settings, {"name": own, "created": found["CreatedAt"], "node_image": image_id, "images": {}})


def others(settings: Settings) -> list[Settings]:
    """Returns the settings of this project's other clusters that have a volume, those first whose volume was noted last."""
    found = sorted(settings.file("volume").parent.glob("*.json"), key=lambda path: -path.stat().st_mtime)
    return [replace(settings, cluster=path.stem) for path in found if path.stem != settings.cluster]


@contextmanager
def idle(other: Settings) -> Iterator[bool]:
    """While the block runs, nobody begins to use that cluster's volume; yields whether nobody uses it now."""
    try:
        with held(other, f"a look at the images that cluster {other.cluster} kept"):
            found = inspect(other)
            yield bool(found) and not docker.inspect_container(other.node) and not users(found)
    except Problem:  # a command works on that cluster
        yield False


def take_over(settings: Settings, other: Settings) -> bool:
    """Makes the idle volume of another cluster this one's; returns False if it is not idle. Raises process.Failed."""
    with idle(other) as is_idle:
        if is_idle:
            keep(other, {**known_of(other), "name": name(other)})
            other.file("volume").replace(settings.file("volume"))
            note(f"taking the images that cluster {other.cluster} kept")
        return is_idle


def settle(settings: Settings) -> str:
    """After `down`: removes the idle volumes of this project's other clusters. Returns what is kept of this one's and how
    to drop it, for people, or "". Raises process.Failed.
    """
    if not inspect(settings):
        return ""
    for other in others(settings):
        with idle(other) as is_idle:
            if is_idle:
                remove(other)
    size = sum(docker.sizes(sorted(images(settings)))) / process.GB
    return (
        f"kept for the next cluster: the node's images{f', about {size:.0f} GB' if size else ''}, in Docker's volume "
        f"{name(settings)}; `{'' if settings.cluster == 'boulder' else f'KIND_CLUSTER={settings.cluster} '}invoke down --images` drops it"
    )


def images(settings: Settings) -> dict[str, str]:
    """Returns the engine's id of each image that was loaded into the volume, by reference."""
    return known_of(settings).get("images", {})


def remember(settings: Settings, loaded: dict[str, str]) -> None:
    """Notes which images the volume has, if there is a volume."""
    if known := known_of(settings):
        keep(settings, {**known, "images": loaded})


def remove(settings: Settings) -> bool:
    """Removes the volume; returns whether there was one. The cluster must be gone. Raises process.Failed."""
    own, found = name(settings), inspect(settings)
    settings.file("volume").unlink(missing_ok=True)
    if not found or users(found):  # another cluster has taken it over
        return False
    with step("removing the volume with the node's images"):
        process.run(["docker", "volume", "rm", own], timeout=120)
    return True


def users(found: dict) -> list[str]:
    """Returns the containers that mount a volume's directory; for Docker that is no use of the volume. found: as `inspect`
    returns it.
    """
    with suppress(process.Failed):
        return process.run(
            ["docker", "ps", "--all", "--quiet", "--filter", f"volume={found['Mountpoint']}"], timeout=60
        ).split()
    return []


def inspect(settings: Settings) -> dict | None:
    """Returns what `docker volume inspect` tells of the cluster's volume, or None if there is none. Raises process.Failed."""
    return inspect_named(name(settings))


def inspect_named(volume: str) -> dict | None:
    """As `inspect`, for a volume of this name."""
    try:
        return json.loads(process.run(["docker", "volume", "inspect", volume], timeout=60))[0]
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
