"""The run overlay: a generated kustomization that lays one checkout over k8s/overlays/.

Configuration travels byte for byte in ConfigMaps and Secrets, whose hash suffix rolls the pods whose configuration changed,
and only those. Images and environment are what Docker Compose resolves from the checkout.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..host import process, state
from ..host.errors import starting
from ..host.files import Dumper, Loader, identity, private_directory, write_private
from ..host.names import BOULDER, NAMESPACE, WORKLOAD_KINDS
from ..host.settings import Settings
from . import compose, convert, follow, patches, reach
from .checkout import Checkout
from .compose import Service
from .overrides import Overrides
from .selection import converted, running
from .staging import BOULDER_CONFIG, CONFIG_MAPS, INITDB, SECRETS, beyond, configuration, files_of, mode, stage
from .workloads import init_image, workloads

MANIFESTS = "manifests"  # in the run overlay's directory: what it is laid over


@dataclass(frozen=True)
class RenderOptions:
    """What is rendered, from what, and where.

    checkout: its files fill the ConfigMaps and Secrets. services: of its Compose file, with the overrides applied. volumes, networks: that it names.
    config_next: test/config-next (tn.sh) in place of test/config. image_ids: the engine's id of each image; an image rebuilt under
    its old tag rolls its pods through it. kubectl: the executable. directory: where the run overlay is written, made anew; what
    kubectl answered is kept beside it. secrets: False if generate.sh has not run yet. overrides: what the user changes of Boulder.
    """

    checkout: Checkout
    services: dict[str, Service]
    kubectl: Path
    directory: Path
    config_next: bool = False
    image_ids: Mapping[str, str] = field(default_factory=dict)
    secrets: bool = True
    overrides: Overrides = Overrides()
    volumes: Mapping[str, dict] = field(default_factory=dict)
    networks: Mapping[str, dict] = field(default_factory=dict)

    @classmethod
    def of(cls, checkout: Checkout, document: Mapping, kubectl: Path, directory: Path, **others: Any) -> RenderOptions:
        """Returns the options for a resolved Compose file: its services, volumes and networks. others: the further fields."""
        named = {"volumes": document.get("volumes") or {}, "networks": document.get("networks") or {}}
        return cls(checkout, compose.services(document), kubectl, directory, **named, **others)

    @property
    def place(self) -> convert.Place:
        """What services are converted in that k8s/base does not know."""
        document = {
            "services": {name: service.document for name, service in self.services.items()},
            "volumes": self.volumes,
            "networks": self.networks,
        }
        return convert.Place(document, self.checkout.path, self.config_next, self.image_ids)

    @property
    def overlay(self) -> str:
        """The directory of k8s/overlays, and of the checkout's test/."""
        return "config-next" if self.config_next else "config"


@dataclass(frozen=True)
class Rendered:
    """What `kubectl kustomize` made of the run overlay."""

    text: str
    objects: list[dict]

    def workload(self, name: str) -> dict:
        """Returns a Deployment or StatefulSet by its name."""
        return next(
            item for item in self.objects if item["kind"] in WORKLOAD_KINDS and item["metadata"]["name"] == name
        )


def render(settings: Settings, options: RenderOptions) -> Rendered:
    """Writes the run overlay and renders it; the services are selection.followed's. Raises Problem for configuration that Kubernetes
    cannot carry.
    """
    directory = options.directory
    private_directory(directory.parent)  # Secrets, and what an override file says
    shutil.rmtree(directory, ignore_errors=True)
    private_directory(directory)
    checkout, services = options.checkout, options.services
    followed = follow.of(settings.root / "k8s/base", services, options.place)
    config = configuration(options.overrides.files(checkout.path / "test" / options.overlay))
    too_much = beyond(config, checkout.path)
    config = [item for item in config if item[2] not in too_much]
    config_maps = {
        BOULDER_CONFIG: {key: path for key, path, _ in config},
        **{
            name: files_of(checkout, name) for name in (INITDB, *CONFIG_MAPS) if ("ConfigMap", name) in followed.mounted
        },
    }
    tls = {
        name: files_of(checkout, name) for name in SECRETS if options.secrets and ("Secret", name) in followed.mounted
    }
    boulder = patches.BoulderPod(
        [{"key": key, "path": relative, "mode": mode(path)} for key, path, relative in config],
        (port.container for port in settings.ports),
        options.overrides.relay_target,
        too_much,
    )
    reached, objects = reach.of(settings.root / "k8s/base", services, options.place)
    documents = all_patches(settings.root / "k8s/base", options, boulder, followed) | reached
    objects += [convert.workload(service, options.place) for service in converted(services)]
    for name, document in documents.items():
        write_yaml(directory / f"{name}-patch.yaml", document)
    more = []
    for item in objects:
        more.append(f"{item['metadata']['name']}-{item['kind']}.yaml")
        write_yaml(directory / more[-1], item)
    write_manifests(settings.root / "k8s", directory / MANIFESTS, options, bool(boulder.relay_target))
    write_yaml(
        directory / "kustomization.yaml",
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [MANIFESTS, *more],
            "configMapGenerator": [replacement(directory, name, files) for name, files in config_maps.items()],
            "secretGenerator": [
                {**replacement(directory, name, files), "type": "Opaque"} for name, files in tls.items()
            ],
            "patches": [{"path": f"{name}-patch.yaml"} for name in documents],
        },
    )
    return rendered(settings.root, options.kubectl, directory)


def write_manifests(ours: Path, directory: Path, options: RenderOptions, acme_client: bool) -> None:
    """Writes the kustomization that gives the hand-written manifests (`ours`) their images. It is one below the run overlay, so that
    `images:`, which knows an image by its name, does not find those of converted services and of patches.
    """
    private_directory(directory)
    # The real path: kustomize resolves links in its own working directory, and not in this one.
    there = os.path.relpath(ours, directory.resolve())
    write_yaml(
        directory / "kustomization.yaml",
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [f"{there}/overlays/{options.overlay}"],
            "components": [f"{there}/components/acme-client"] if acme_client else [],
            "images": [*image_overrides(options.services), init_override(ours.parent)],
        },
    )


def all_patches(
    base: Path, options: RenderOptions, boulder: patches.BoulderPod, followed: follow.Followed
) -> dict[str, dict]:
    """Returns the run overlay's patches by the name of their files."""
    found, chosen = {}, images_of_base(options.services)
    for workload in running(options.services):
        service = service_of(options.services, workload.name)
        found[workload.name] = patches.of_workload(workload, service, options.image_ids.get(service.image, ""))
        if service.image != chosen[workload.image]:
            found[workload.name]["spec"]["template"]["spec"]["containers"][0]["image"] = service.image
    patches.add_boulder(found[BOULDER], service_of(options.services, BOULDER), boulder)
    absent = [
        document for name in sorted(set(workloads()) - set(found)) for document in patches.without_workload(base, name)
    ]
    for kind, names in (("ConfigMap", (INITDB, *CONFIG_MAPS)), ("Secret", SECRETS)):
        absent += [patches.deletion("v1", kind, name) for name in names if (kind, name) not in followed.mounted]
    changed = {f"{name}-changed": document for name, document in followed.patches.items()}
    return found | changed | {f"absent-{number}": document for number, document in enumerate(absent)}


def replacement(directory: Path, name: str, files: dict[str, Path]) -> dict:
    """Stages files; returns the generator that puts them in place of what k8s/ declares under this name.

    kustomize keeps the declaration's labels and annotations, and writes the new hash into every reference.
    """
    return {"name": name, "namespace": NAMESPACE, "behavior": "replace", "files": stage(directory, name, files)}


def rendered(root: Path, kubectl: Path, directory: Path) -> Rendered:
    """`kubectl kustomize DIRECTORY`, or what it said last time (saves 0.2 s) when no file of it or of k8s/ has changed since."""
    with starting(kubectl):  # it may be gone by now
        digest = hashlib.sha256(json.dumps(identity(kubectl)).encode())
    for path in sorted(path for tree in (directory, root / "k8s") for path in tree.rglob("*") if path.is_file()):
        digest.update(json.dumps([str(path), hashlib.sha256(path.read_bytes()).hexdigest()]).encode())

    def ask() -> dict:
        text = process.run([str(kubectl), "kustomize", str(directory)], timeout=60)
        return {"text": text, "objects": list(yaml.load_all(text, Loader))}

    return Rendered(**state.remembered(directory.with_name(f"{directory.name}.json"), digest.hexdigest(), ask))


def service_of(services: dict[str, Service], workload: str) -> Service:
    """Returns the Compose service of a workload."""
    return next(service for service in services.values() if service.object_name == workload)


def image_overrides(services: dict[str, Service]) -> list[dict]:
    """kustomize's `images:` for every image of the base."""
    return [image_override(base, image) for base, image in images_of_base(services).items()]


def images_of_base(services: dict[str, Service]) -> dict[str, str]:
    """Which image takes the place of each of the base's. Of services that share one there the first counts: a patch gives the others
    theirs, since `images:` knows an image by its name alone.
    """
    chosen: dict[str, str] = {}
    for workload in running(services):
        chosen.setdefault(workload.image, service_of(services, workload.name).image)
    return chosen


def init_override(root: Path) -> dict:
    """kustomize's `images:` entry that leaves out a digest of the init containers' image: the node has it by its tag."""
    reference = init_image(root)
    return image_override(reference.rpartition(":")[0], reference)


def image_override(base: str, reference: str) -> dict:
    """kustomize's `images:` entry that turns the base's image into Compose's."""
    reference, _, digest = reference.partition("@")
    name, colon, tag = reference.rpartition(":")
    if not colon or "/" in tag:  # no tag, or the colon of a registry's port
        name, tag = reference, "" if digest else "latest"
    return {"name": base, "newName": name} | ({"newTag": tag} if tag else {}) | ({"digest": digest} if digest else {})


def write_yaml(path: Path, document: dict) -> None:
    """Writes one YAML document."""
    write_private(path, yaml.dump(document, Dumper=Dumper, sort_keys=False))
