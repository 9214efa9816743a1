"""Gets the images that the cluster needs: into the host's engine (pull.py), and from there into the node, in one stream."""

from __future__ import annotations

import subprocess

from ..host import docker, process, state
from ..host.errors import Problem, not_here
from ..host.files import own_directory
from ..host.progress import step
from ..host.settings import Settings
from ..manifests.checkout import Checkout
from ..manifests.compose import Service
from . import pull, volume

NAMESPACE_FLAG = "--namespace=k8s.io"  # where the kubelet looks for images


def ensure_local(
    settings: Settings, services: dict[str, Service], checkout: Checkout, config_next: bool
) -> dict[str, str]:
    """Makes sure that the engine has every image. As `docker compose up` does, it pulls those that are missing, and
    builds those that have a `build` section and no tag; offline it does neither.

    Returns the engine's id of each image, by reference. Raises Problem naming an image that cannot be pulled or built.
    """
    wanted = sorted({service.image for service in services.values()})
    ids = present(settings, wanted)
    missing = {service.name: service for service in services.values() if service.image not in ids}
    if not missing:
        return ids
    if settings.offline:
        raise lacking(sorted({service.image for service in missing.values()}))
    build = {name for name, service in missing.items() if service.build and service.image.endswith(":latest")}
    # bsetup uses Boulder's image, but has no build section.
    built = {missing[name].image for name in build}
    fetched = {name: service for name, service in missing.items() if service.image not in built}
    if fetched:
        pull.services(fetched, checkout, config_next)
    if build:
        pull.build({name: missing[name] for name in build}, checkout, config_next)
    return present(settings, wanted)


def present(settings: Settings, references: list[str]) -> dict[str, str]:
    """Returns the engine's id of each image that is here, by reference. An image that is pinned by digest is here too if
    `images load` brought it: an archive keeps the tag, and not the digest. Raises process.Failed.
    """
    ids = docker.image_ids(references)
    for reference in sorted(set(references) - set(ids)):
        tag = reference.partition("@")[0]
        if tag != reference and docker.image_ids([tag]).get(tag) == brought(settings).get(reference, ""):
            ids[reference] = brought(settings)[reference]
    return ids


def lacking(references: list[str]) -> Problem:
    """Returns the Problem for images that are missing offline."""
    several = len(references) > 1
    return not_here(f"Image{'s' if several else ''} {', '.join(references)} {'are' if several else 'is'}")


def ensure_node_image(settings: Settings) -> str:
    """Makes sure that the engine has the node image; returns the name under which the engine knows it.

    That is its tag if `images load` brought it, since an archive does not keep the digest. Raises Problem if it cannot
    be pulled.
    """
    reference = settings.node_image
    if docker.image_ids([reference]):
        return reference
    if present(settings, [reference]):
        return reference.partition("@")[0]
    if settings.offline:
        raise lacking([reference])
    pull.node(reference)
    return reference


def ensure_on_node(settings: Settings, node_id: str, ids: dict[str, str]) -> None:
    """Loads into the node those images that it lacks, all in one stream. ids: the engine's id of each image, by
    reference.

    What is loaded is remembered for this node container. An image that was rebuilt under its old tag has a new id and
    is loaded again. Raises Problem if loading fails.
    """
    loaded = state.read(settings.file("images"), node_id) or {}
    stale = {reference: image for reference, image in ids.items() if loaded.get(reference) != image}
    if not stale:
        return
    with step(f"loading {len(stale)} image{'s' if len(stale) > 1 else ''} into the node"):
        stream(settings, stale)
    note_loaded(settings, node_id, {**loaded, **stale})
    volume.remember(settings, {**loaded, **stale})


def note_loaded(settings: Settings, node_id: str, images: dict[str, str]) -> None:
    """Remembers which images a node has."""
    state.write(settings.file("images"), images, node_id)


def forget(settings: Settings) -> None:
    """Makes the next command load every image again."""
    settings.file("images").unlink(missing_ok=True)
    volume.remember(settings, {})


def brought(settings: Settings) -> dict[str, str]:
    """Returns the engine's id of each image that `invoke images load` loaded, by the reference under which it was
    saved.
    """
    return state.read(settings.file("loaded")) or {}


def note_brought(settings: Settings, found: dict[str, str]) -> None:
    """Remembers what `invoke images load` loaded, in addition to what it loaded earlier."""
    own_directory(settings.root / ".state")
    state.write(settings.file("loaded"), {**brought(settings), **found})


def stream(settings: Settings, ids: dict[str, str]) -> None:
    """Runs `docker save | ctr images import` on the node. ids: the engine's id of each image, by reference. Raises
    Problem if that fails.

    It is several times faster than `kind load docker-image` for each image, and works for multi-platform images in the
    containerd store, for which that fails (kubernetes-sigs/kind#3795).

    An image that is pinned by digest has no tag that the archive could name, and the digest that it gets on the way is
    another one if the engine keeps layers unpacked. So it travels under a tag of ours, and the node then gives it the
    very reference that the pods will ask for. The tag stays on the node: containerd looks for an image under the first
    of its names, tags before digests, and does not find the names that `ctr --digests` makes.
    """
    carried = {reference: carrier(reference) for reference in ids if "@" in reference}
    try:
        for reference, tag in carried.items():
            process.run(["docker", "image", "tag", ids[reference], tag], timeout=60)
        copy(settings, sorted({carried.get(reference, reference) for reference in ids}))
        ctr = ["docker", "exec", settings.node, "ctr", NAMESPACE_FLAG, "images"]
        for reference, tag in carried.items():
            process.run([*ctr, "tag", "--force", node_name(tag), node_name(reference)], timeout=60)
    finally:
        tags = sorted(set(carried.values()))
        for tag in docker.image_ids(tags) if tags else ():
            process.run(["docker", "image", "rm", tag], timeout=60)


def carrier(reference: str) -> str:
    """Returns the tag under which an image that is pinned by digest travels to the node. It is in a repository of its
    own: if the last tag of a repository goes, Docker drops the digests of that repository too.
    """
    name = reference.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return f"boulder-k8s/{name}:{reference.rpartition(':')[2]}"


def node_name(reference: str) -> str:
    """Returns the name under which containerd keeps an image for the kubelet: with its registry, and without a tag if
    there is a digest (github.com/distribution/reference, ParseDockerRef).
    """
    name, at, digest = reference.partition("@")
    host, slash, rest = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif not ("." in host or ":" in host or host == "localhost"):
        name = f"docker.io/{name}"
    head, colon, tag = name.rpartition(":")
    return f"{head if colon and '/' not in tag else name}@{digest}" if at else name


def copy(settings: Settings, references: list[str]) -> None:
    """Copies images from the engine to the node, shared layers once. Raises Problem if that fails."""
    load = ["docker", "exec", "-i", settings.node, "ctr", NAMESPACE_FLAG, "images", "import", "--digests", "-"]
    with (
        process.started(
            docker.save_command(references), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as saver,
        process.started(load, stdin=saver.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as loader,
    ):
        saver.stdout.close()  # so that a loader that fails ends the saver
        loader_says = loader.stderr.read().decode(errors="replace")
        saver_says = saver.stderr.read().decode(errors="replace")
        saver.stdout = None
        if loader.wait() or saver.wait():
            raise Problem(
                "The images could not be loaded into the node.",
                "Check that the disk has room (`docker system df`), then run the command again.",
                f"{saver_says}\n{loader_says}".strip()[-2000:],
                check="docker-disk",
            )
