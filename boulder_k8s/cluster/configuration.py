"""What kind is told: k8s/cluster/kind.yaml, what tunes the node, and what depends on the machine and the checkout."""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path

import yaml

from ..host.errors import Problem
from ..host.files import load_yaml, write_private, write_whole
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
    """Writes the cluster's configuration, and the files that its node mounts; returns its file. Arguments: as `configuration`.

    Raises Problem if the node image is not as kind's are.
    """
    path = settings.state / "kind.yaml"
    files = mounted(settings.root, json.dumps(limits.base_specification(node_image)))
    document = configuration(settings, checkout, node_image, files, kept, cgroup_v1)
    write_private(path, yaml.safe_dump(document, sort_keys=False))
    return path


def mounted(root: Path, base_specification: str) -> Path:
    """Writes the files which the node mounts; returns their directory, which is named by their content.

    They are never changed and never removed. The mounts must not hold on to this project's own files, which git may want to
    replace. And kind's `docker run` may come after the command that began it was killed: where the engine misses a file that it is
    to mount, it makes a directory of root's (https://docs.docker.com/engine/storage/bind-mounts/#syntax).
    """
    own = root / "k8s/cluster"
    content = {
        path.relative_to(own).as_posix(): path.read_text()
        for path in (*sorted((own / "static-pods").iterdir()), own / "containerd.conf")
    } | {"cri-base.json": base_specification}
    directory = root / ".state/mounts" / hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    for name, text in content.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():  # Docker has made it
            remove_directory(path)
        if not path.exists():
            write_whole(path, text, mode=0o644)  # nothing in it is secret, and others than we may read it in the node
    return directory


def remove_directory(path: Path) -> None:
    """Removes an empty directory that Docker made in the place of a file. Raises Problem if we may not."""
    try:
        path.rmdir()
    except OSError as error:
        raise Problem(
            f"Docker has made a directory {path}, where a file has to be.",
            f"Remove it: `sudo rmdir {shlex.quote(str(path))}`.",
        ) from error


def configuration(
    settings: Settings, checkout: Checkout, node_image: str, files: Path, kept: Path | None, cgroup_v1: bool
) -> dict:
    """Returns what kind makes the cluster from.

    node_image: as the engine knows it. files: what `mounted` returned. kept: the directory of the volume for the node's images. cgroup_v1: of the engine's host.
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
            {"hostPath": str(files / "static-pods"), "containerPath": STATIC_PODS_MOUNT, "readOnly": True},
            {"hostPath": str(files / "containerd.conf"), "containerPath": CONTAINERD_UNIT_MOUNT, "readOnly": True},
            {"hostPath": str(files / "cri-base.json"), "containerPath": limits.BASE_SPECIFICATION, "readOnly": True},
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
