"""Gets the images that the cluster needs: into the host's engine, and from there into the node, in one stream."""

from __future__ import annotations

import subprocess

from ..host import docker, lab, process, state
from ..host.errors import Problem, not_here
from ..host.files import own_directory
from ..host.progress import step
from ..host.settings import Settings
from ..manifests import compose
from ..manifests.checkout import Checkout
from ..manifests.compose import Service
from . import volume

NAMESPACE_FLAG = "--namespace=k8s.io"  # where the kubelet looks for images


def ensure_local(
    settings: Settings, services: dict[str, Service], checkout: Checkout, config_next: bool
) -> dict[str, str]:
    """Makes sure that the engine has every image. As `docker compose up` does, it pulls those that are missing, and
    builds those that have a `build` section and no tag; offline it does neither.

    Returns the engine's id of each image, by reference. Raises Problem naming an image that cannot be pulled or built.
    """
    wanted = sorted({service.image for service in services.values()})
    ids = docker.image_ids(wanted)
    missing = {service.name: service for service in services.values() if service.image not in ids}
    if not missing:
        return ids
    if settings.offline:
        raise lacking(sorted({service.image for service in missing.values()}))
    build = {name for name, service in missing.items() if service.build and service.image.endswith(":latest")}
    # bsetup uses Boulder's image, but has no build section.
    built = {missing[name].image for name in build}
    pull = {name for name, service in missing.items() if service.image not in built}
    for verb, names in (("pull", pull), ("build", build)):
        if names:
            references = sorted({missing[name].image for name in names})
            with step(f"docker compose {verb}: {', '.join(references)}"):
                fetch(verb, sorted(names), references, checkout, config_next, nothing=not ids)
    return docker.image_ids(wanted)


def fetch(
    verb: str, names: list[str], references: list[str], checkout: Checkout, config_next: bool, nothing: bool = False
) -> None:
    """Runs `docker compose pull` or `build`. verb: which. names: the services. references: their images. nothing: whether
    the engine has no image of the checkout's at all, as on a machine that reaches no image registry.

    Raises Problem naming the images that are still missing.
    """
    quiet = ["--quiet"] if verb == "pull" else []
    try:
        process.run(compose.command(config_next, "--profile", "*", verb, *quiet, *names), cwd=checkout.path)
    except process.Failed as error:
        lacking = sorted(set(references) - set(docker.image_ids(references)))
        what = ", ".join(lacking) or ", ".join(references)
        cannot = "built" if verb == "build" else "pulled"
        raise Problem(
            f"Image {what} cannot be {cannot}.",
            "Check the tag (BOULDER_TOOLS_TAG, BOULDER_VTCOMBOSERVER_TAG) and the network; `docker compose pull` in the checkout shows more."
            + (lab.offered() if nothing else "")
            if verb == "pull"
            else f"Run `docker compose build` in {checkout.path} to see why.",
            "\n".join(error.output.splitlines()[-10:]),
            check="internet",
        ) from error


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
    tag = reference.partition("@")[0]
    if tag != reference and docker.image_ids([tag]).get(tag) == brought(settings).get(reference, ""):
        return tag
    if settings.offline:
        raise lacking([reference])
    try:
        with step(f"docker pull {reference}"):
            process.run(["docker", "pull", "--quiet", reference])
        return reference
    except process.Failed as error:
        raise Problem(
            f"The node image {reference} cannot be pulled.",
            "Check the network, or set KIND_NODE_IMAGE to a Kubernetes 1.37 node image that is here.",
            error.output,
            check="internet",
        ) from error


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
        stream(settings, sorted(stale))
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


def stream(settings: Settings, references: list[str]) -> None:
    """Runs `docker save | ctr images import` on the node. Raises Problem if that fails.

    It is several times faster than `kind load docker-image` for each image, and works for multi-platform images in the
    containerd store, for which that fails (kubernetes-sigs/kind#3795).
    """
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
