"""What kind is told: k8s/cluster/kind.yaml, what tunes the node, and what depends on the machine and the checkout."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import yaml

from ..host.files import load_yaml
from ..host.names import CHECKOUT_MOUNT, CONTAINERD_UNIT_MOUNT, RUNS_MOUNT, STATIC_PODS_MOUNT
from ..host.settings import Settings
from ..manifests.checkout import Checkout
from . import limits, volume

# Kubernetes 1.35 and newer refuse such hosts unless told: https://kubernetes.io/docs/concepts/architecture/cgroups/
ALLOW_CGROUP_V1 = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "failCgroupV1": False,
}


def write(settings: Settings, checkout: Checkout, node_image: str, kept: Path | None, cgroup_v1: bool) -> Path:
    """Writes the cluster's configuration, and beside it the files that it mounts; returns its file. Arguments: as `configuration`.

    Raises Problem if the node image is not as kind's are.
    """
    # Copies: a mount must not hold on to files of this project's, which git may want to replace.
    shutil.copytree(settings.root / "k8s/cluster/static-pods", settings.state / "static-pods", dirs_exist_ok=True)
    shutil.copy(settings.root / "k8s/cluster/containerd.conf", settings.state)
    (settings.state / "cri-base.json").write_text(json.dumps(limits.base_specification(node_image)))
    path = settings.state / "kind.yaml"
    document = configuration(settings, checkout, node_image, kept, cgroup_v1)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def configuration(settings: Settings, checkout: Checkout, node_image: str, kept: Path | None, cgroup_v1: bool) -> dict:
    """Returns what kind makes the cluster from.

    node_image: as the engine knows it. kept: the directory of the volume for the node's images. cgroup_v1: of the engine's host.
    """
    directory = settings.root / "k8s/cluster"
    document = merged(load_yaml(directory / "kind.yaml"), load_yaml(directory / "node-tuning.yaml"))
    if cgroup_v1:
        document = merged(document, {"kubeadmConfigPatches": [yaml.safe_dump(ALLOW_CGROUP_V1)]})
    document["nodes"][0] |= {
        "image": node_image,
        "extraMounts": [
            {"hostPath": str(checkout.path), "containerPath": CHECKOUT_MOUNT},
            {"hostPath": str(settings.runs), "containerPath": RUNS_MOUNT},
            {"hostPath": str(settings.state / "static-pods"), "containerPath": STATIC_PODS_MOUNT, "readOnly": True},
            {
                "hostPath": str(settings.state / "containerd.conf"),
                "containerPath": CONTAINERD_UNIT_MOUNT,
                "readOnly": True,
            },
            {
                "hostPath": str(settings.state / "cri-base.json"),
                "containerPath": limits.BASE_SPECIFICATION,
                "readOnly": True,
            },
            *([{"hostPath": str(kept), "containerPath": volume.DIRECTORY}] if kept else []),
        ],
        "extraPortMappings": [
            {"listenAddress": port.address, "hostPort": port.host, "containerPort": port.container}
            for port in settings.ports
        ],
    }
    return document


def version(root: Path) -> str:
    """Returns what tells this version's clusters from another's: a hash of k8s/cluster. root: this project's directory."""
    files = sorted(path for path in (root / "k8s/cluster").rglob("*") if path.is_file())
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:12]


def merged(document: dict, patch: dict) -> dict:
    """Returns a kind configuration with the lists of a patch appended to its own."""
    lists = {key: value for key, value in patch.items() if isinstance(value, list)}
    return {**document, **{key: [*document.get(key, ()), *value] for key, value in lists.items()}}
