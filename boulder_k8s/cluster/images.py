"""Gets the images that the cluster needs: into the host's engine (pull.py), and from there into the node (load.py)."""

from __future__ import annotations

from ..host import docker, state
from ..host.errors import Problem, not_here
from ..host.files import own_directory
from ..host.progress import note, step
from ..host.settings import Settings
from ..manifests import selection, workloads
from ..manifests.checkout import Checkout
from ..manifests.compose import Service
from . import load, pull, volume


def ensure_local(
    settings: Settings, services: dict[str, Service], checkout: Checkout, config_next: bool
) -> dict[str, str]:
    """Makes sure that the engine has every image. As `docker compose up` does, it pulls those that are missing, and
    builds those that have a `build` section and no tag, or no registry; offline it does neither. The init containers' image is one.

    Returns the engine's id of each image, by reference. Raises Problem naming an image that cannot be pulled or built.
    """
    of_services = {service.image for service in services.values()}
    init = workloads.init_image().removeprefix("docker.io/")  # as Compose names it, if it is Consul's too
    wanted = sorted({*of_services, init})
    ids = present(settings, wanted)
    if set(ids) == set(wanted):
        return ids
    if settings.offline:
        raise lacking(sorted(set(wanted) - set(ids)))
    missing = {service.name: service for service in services.values() if service.image not in ids}
    build = {
        name
        for name, service in missing.items()
        if service.build and (service.image.endswith(":latest") or "image" not in service.document)
    }
    for service in selection.converted(missing):
        if service.build and service.name not in build:
            # https://docs.docker.com/reference/compose-file/build/: pulled if a registry has it, else built. Boulder's own images are
            # not: a tag that is wrong would cost ten minutes before anybody hears of it.
            try:
                pull.services({service.name: missing[service.name]}, checkout, config_next)
                del missing[service.name]
            except Problem as problem:
                note(f"{problem.message} It has a `build` section: it is built")
                build.add(service.name)
    # bsetup uses Boulder's image, but has no build section.
    built = {missing[name].image for name in build}
    fetched = {name: service for name, service in missing.items() if service.image not in built}
    if fetched:
        pull.services(fetched, checkout, config_next, nothing=not ids)
    if build:
        pull.build({name: missing[name] for name in build}, checkout, config_next)
    if init not in ids and init not in of_services:
        pull.one(init, "init containers' image", "It is the image of init containers in k8s/base/images")
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
    where = "It is the image of the node in k8s/cluster/kind.yaml; KIND_NODE_IMAGE names another of Kubernetes 1.37"
    pull.one(reference, "node image", where)
    return reference


def ensure_on_node(settings: Settings, node_id: str, ids: dict[str, str]) -> None:
    """Loads into the node those images that it lacks, all in one stream. ids: the engine's id of each image, by
    reference.

    What is loaded is remembered for this node container. An image that was rebuilt under its old tag has a new id and
    is loaded again. Raises Problem if loading fails.
    """
    loaded = state.read(settings.file("images"), node_id)
    if loaded is None:  # lost: what the node loads lands in its volume, of which we noted it too
        loaded = volume.images(settings)
    stale = {reference: image for reference, image in ids.items() if loaded.get(reference) != image}
    if not stale:
        return
    with step(f"loading {len(stale)} image{'s' if len(stale) > 1 else ''} into the node"):
        load.stream(settings, stale)
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
