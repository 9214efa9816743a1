"""`invoke images pin`: the digests of the images in k8s/base/kustomization.yaml, as the engine got them from their registries."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import yaml

from ..host import docker, process
from ..host.progress import note
from ..host.settings import Settings
from ..manifests import checkout, compose, overlay


def pin(settings: Settings, environ: Mapping[str, str] = os.environ) -> None:
    """Writes tag and digest of the checkout's images into the base's `images:`, where the engine knows the digest.

    An image without one (built here, loaded from a file) keeps what the base says of it, and that is said.
    """
    path = settings.root / "k8s" / "base" / "kustomization.yaml"
    document = checkout.of_command(settings, environ)
    services = compose.services(compose.document(document.path, config_next=False))
    known = {}
    for override in overlay.image_overrides(services):
        reference = f"{override['newName']}:{override['newTag']}" if "newTag" in override else ""
        if digest := digest_of(reference) if reference else override["digest"]:
            known[override["name"]] = {**override, "digest": digest}
            note(f"{override['newName']}: {digest}")
        else:
            note(f"{reference}: no registry's digest is known; left as it is")
    text = path.read_text()
    if (new := pinned(text, known)) == text:
        note("k8s/base/kustomization.yaml stays as it is")
        return
    write(path, new)
    note("wrote k8s/base/kustomization.yaml")


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


def pinned(text: str, known: dict[str, dict[str, str | None]]) -> str:
    """A kustomization with newName, newTag and digest of the images in `known` set; its keys are the names that images have so far.

    Every other character stays: comments, order, what is not known.
    """
    lines = text.splitlines(keepends=True)
    images = value(yaml.compose(text), "images")
    for image in reversed(images.value):  # from the end: what is above keeps its place
        name = value(image, "newName") or value(image, "name")
        for key in ("digest", "newTag", "newName"):
            wanted = known.get(name.value, {}).get(key)
            if not wanted or key == "newName" and wanted == name.value:
                continue
            if old := value(image, key):
                line = lines[old.start_mark.line]
                lines[old.start_mark.line] = (
                    line[: old.start_mark.column] + scalar(wanted) + line[old.end_mark.column :]
                )
            else:
                line = f"{' ' * image.start_mark.column}{key}: {scalar(wanted)}\n"
                lines.insert(image.value[-1][1].end_mark.line + 1, line)
    return "".join(lines)


def value(mapping: yaml.MappingNode, key: str) -> yaml.Node | None:
    return next((node for name, node in mapping.value if name.value == key), None)


def scalar(text: str) -> str:
    """Text as YAML writes it on one line: a tag 1.10 is quoted, since it is no number."""
    return yaml.safe_dump(text, width=10**6).splitlines()[0]


def write(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(path)
