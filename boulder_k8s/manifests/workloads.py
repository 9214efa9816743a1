"""Reads which workloads the hand-written manifests in k8s/ have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..host.files import load_yaml
from ..host.names import WORKLOAD_KINDS
from ..host.settings import ROOT

# Compose services without a workload: bsetup runs in a pod made from Boulder's template (run/runner.py).
WITHOUT_WORKLOAD = {"bsetup"}

INIT_TOOLS = "init-tools"  # what k8s/base calls the image of its init containers
IMAGES = Path("k8s/base/images/kustomization.yaml")


@dataclass(frozen=True)
class Workload:
    """A Deployment or StatefulSet of k8s/base. There is one for each Compose service, with - for _ in its name."""

    name: str
    kind: str
    image: str  # with the name that k8s/base/images gives it, without a tag


@cache
def hand_written(base: Path) -> dict[Path, dict]:
    """Returns every object of the services' directories in k8s/base, by its file, each read once. base: that directory. Do not change them."""
    return {path: load_yaml(path) for path in sorted(base.glob("*/*-*.yaml"))}


def hand_written_workload(base: Path, name: str) -> dict:
    """Returns the workload of a service of k8s/base. base: as for `hand_written`."""
    return hand_written(base)[base / name / f"{name}-{workloads()[name].kind.lower()}.yaml"]


@cache
def workloads(root: Path = ROOT) -> dict[str, Workload]:
    """Returns every workload of the base, by name. root: the directory of this project."""
    base = root / "k8s" / "base"
    renamed = {image["name"]: image.get("newName", image["name"]) for image in load_yaml(root / IMAGES)["images"]}
    found = {}
    for kind in WORKLOAD_KINDS:
        for document in hand_written(base).values():
            if document["kind"] != kind:
                continue
            name = document["metadata"]["name"]
            container = next(
                item for item in document["spec"]["template"]["spec"]["containers"] if item["name"] == name
            )
            found[name] = Workload(name, kind, renamed[container["image"]])
    return found


def init_image(root: Path = ROOT) -> str:
    """Returns the image of the init containers, which no service of the checkout decides. root: as for `workloads`."""
    image = next(image for image in load_yaml(root / IMAGES)["images"] if image["name"] == INIT_TOOLS)
    return f"{image['newName']}:{image['newTag']}"
