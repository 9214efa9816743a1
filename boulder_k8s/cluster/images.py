"""Gets the images that the cluster needs: into the host's engine, and from there into the node, in one stream."""

from __future__ import annotations

import subprocess
import tomllib

from ..host import docker, lab, process, state
from ..host.errors import Problem, not_here
from ..host.files import own_directory
from ..host.progress import step
from ..host.settings import Settings
from ..manifests import compose, workloads
from ..manifests.checkout import Checkout
from ..manifests.compose import Service
from . import volume

NAMESPACE_FLAG = "--namespace=k8s.io"  # where the kubelet looks for images


def ensure_local(
    settings: Settings, services: dict[str, Service], checkout: Checkout, config_next: bool
) -> dict[str, str]:
    """Makes sure that the engine has every image. As `docker compose up` does, it pulls those that are missing, and
    builds those that have a `build` section and no tag; offline it does neither. The init containers' image is one.

    Returns the engine's id of each image, by reference. Raises Problem naming an image that cannot be pulled or built.
    """
    of_services = {service.image for service in services.values()}
    init = workloads.init_image().removeprefix("docker.io/")  # as Compose names it, if it is Consul's too
    wanted = sorted({*of_services, init})
    ids = docker.image_ids(wanted)
    if set(ids) == set(wanted):
        return ids
    if settings.offline:
        raise lacking(sorted(set(wanted) - set(ids)))
    missing = {service.name: service for service in services.values() if service.image not in ids}
    build = {name for name, service in missing.items() if service.build and service.image.endswith(":latest")}
    # bsetup uses Boulder's image, but has no build section.
    built = {missing[name].image for name in build}
    pulled = set(missing) - {name for name, service in missing.items() if service.image in built}
    for verb, names in (("pull", pulled), ("build", build)):
        if names:
            references = sorted({missing[name].image for name in names})
            with step(f"docker compose {verb}: {', '.join(references)}"):
                fetch(verb, sorted(names), references, checkout, config_next, nothing=not ids)
    if init not in ids and init not in of_services:
        pull(init, "init containers' image", "Check the network.")
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
    pull(
        reference,
        "node image",
        "Check the network, or set KIND_NODE_IMAGE to a Kubernetes 1.37 node image that is here.",
    )
    return reference


def pull(reference: str, what: str, fix: str) -> None:
    """Pulls an image that no service names. what, fix: for the Problem that is raised if that fails."""
    try:
        with step(f"docker pull {reference}"):
            process.run(["docker", "pull", "--quiet", reference])
    except process.Failed as error:
        raise Problem(f"The {what} {reference} cannot be pulled.", fix, error.output, check="internet") from error


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
        for platform, references in docker.by_platform(sorted(stale)).items():
            stream(settings, references, platform)
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


def stream(settings: Settings, references: list[str], platform: str) -> None:
    """Runs `docker save | ctr images import` on the node. platform: for which the engine has the images. Raises Problem
    if that fails.

    It is several times faster than `kind load docker-image` for each image, and works in the containerd store for
    multi-platform images of which one platform is here. `kind load` asks for all of them, and fails with "content
    digest ... not found" (kubernetes-sigs/kind#3795).
    """
    load = ["docker", "exec", "-i", settings.node, "ctr", NAMESPACE_FLAG, "images", "import", "--digests"]
    load += [f"--platform={platform}", *snapshotter_flags(settings), "-"]
    with (
        process.started(
            docker.save_command(references, platform),
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
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


def snapshotter_flags(settings: Settings) -> list[str]:
    """Returns what `ctr` has to be told if the node does not unpack images with overlayfs: kind chooses another
    snapshotter if the host's file system is ZFS or btrfs, or if Docker is rootless (images/base/files/usr/local/bin/entrypoint).

    Raises process.Failed.
    """
    dump = process.run(["docker", "exec", settings.node, "containerd", "config", "dump"], timeout=60)
    # Since version 3 of its configuration, which containerd 2 dumps whatever the file has. `kind load` looks here too.
    found = tomllib.loads(dump)["plugins"]["io.containerd.cri.v1.images"]["snapshotter"]
    # Not through containerd's transfer service: it refuses every snapshotter but its own default.
    return [] if found == "overlayfs" else ["--local", f"--snapshotter={found}"]
