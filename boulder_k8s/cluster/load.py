"""Loads images from the host's engine into the node, in one stream."""

from __future__ import annotations

import subprocess
import tomllib

from ..host import docker, process
from ..host.errors import Problem
from ..host.settings import Settings

NAMESPACE_FLAG = "--namespace=k8s.io"  # where the kubelet looks for images


def stream(settings: Settings, ids: dict[str, str]) -> None:
    """Runs `docker save | ctr images import` on the node. ids: the engine's id of each image, by reference. Raises
    Problem if that fails.

    It is several times faster than `kind load docker-image` for each image, and works in the containerd store for
    multi-platform images of which one platform is here. `kind load` asks for all of them, and fails with "content
    digest ... not found" (kubernetes-sigs/kind#3795).

    An image that is pinned by digest has no tag that the archive could name, and the digest that it gets on the way is
    another one if the engine keeps layers unpacked. So it travels under a tag of ours, and the node then gives it the
    very reference that the pods will ask for. The tag stays on the node: containerd looks for an image under the first
    of its names, tags before digests, and does not find the names that `ctr --digests` makes.
    """
    carried = {reference: carrier(reference) for reference in ids if "@" in reference}
    try:
        for reference, tag in carried.items():
            process.run(["docker", "image", "tag", ids[reference], tag], timeout=60)
        names = sorted({carried.get(reference, reference) for reference in ids})
        for platform, group in docker.by_platform(names).items():
            copy(settings, group, platform)
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


def copy(settings: Settings, references: list[str], platform: str) -> None:
    """Copies images from the engine to the node, shared layers once. platform: for which the engine has them. Raises
    Problem if that fails.
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
