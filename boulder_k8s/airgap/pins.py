"""`invoke images pin`: the digests of the images in k8s/base/images/kustomization.yaml, as the engine got them from their registries."""

from __future__ import annotations

import os
from collections.abc import Mapping

import yaml

from ..host import docker, process
from ..host.files import load_yaml, write_whole
from ..host.progress import note
from ..host.settings import Settings
from ..manifests import checkout, compose, overlay
from ..manifests.workloads import IMAGES

HEAD = """# Every image of the base: name and tag, and a digest if a registry has told it. `invoke images pin` writes this file. A checkout's
# docker-compose.yml overrides these if its own tags differ, except init-tools: busybox and `ip` for init containers. That is Consul's image
# under its whole name, so that what overrides `hashicorp/consul` leaves it alone.
"""


def pin(settings: Settings, environ: Mapping[str, str] = os.environ) -> None:
    """Writes tag and digest of the checkout's images into the base's `images:`, where the engine knows the digest.

    An image without one (built here, loaded from a file) keeps what the base says of it, and that is said. So does that of
    init containers, which no service has.
    """
    path = settings.root / IMAGES
    source = checkout.of_command(settings, environ)
    services = compose.services(compose.document(source.path, config_next=False))
    document = load_yaml(path)
    pinned = {image.get("newName", image["name"]): image for image in document["images"]}
    for override in overlay.image_overrides(services):
        reference = f"{override['newName']}:{override['newTag']}" if "newTag" in override else ""
        if digest := override.get("digest") or digest_of(reference):
            image = pinned[override["name"]]
            named = {"newName": override["newName"]} if override["newName"] != image["name"] else {}
            image |= {**named, **({"newTag": override["newTag"]} if reference else {}), "digest": digest}
            note(f"{override['newName']}: {digest}")
        else:
            note(f"{reference}: no registry's digest is known; left as it is")
    if document == load_yaml(path):
        note(f"{IMAGES} stays as it is")
        return
    write_whole(path, HEAD + yaml.safe_dump(document, sort_keys=False), mode=0o644)
    note(f"wrote {IMAGES}")


def digest_of(reference: str) -> str | None:
    """The digest under which a registry has the image that the engine has, or None where that is not known."""
    found = docker.image(reference)
    name = reference.rpartition(":")[0]
    for repository, _, digest in (entry.partition("@") for entry in (found or {}).get("RepoDigests") or []):
        if repository == name and (not docker.engine().containerd_store or published(name, digest)):
            return digest
    return None


def published(name: str, digest: str) -> bool:
    """Whether a registry has it: containerd's image store gives a digest to images that were built here, too."""
    try:
        process.run(["docker", "manifest", "inspect", f"{name}@{digest}"], timeout=60)
    except process.Failed:
        return False
    return True
