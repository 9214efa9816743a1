"""What a service that k8s/base does not know mounts: bind mounts of the checkout, volumes and tmpfs, as volumes of a pod."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ..host.names import CHECKOUT_MOUNT
from .compose import Service
from .workloads import init_image

# What Docker does to an empty volume: it gets what the image has at its place, and that directory's owner and mode. It runs in the init
# containers' image, since the service's own may have no shell. What lies behind an absolute link of the image is left out.
# https://docs.docker.com/engine/storage/volumes/#populate-a-volume-using-a-container
FILL = """
cd "$1/$2" 2>/dev/null || exit 0
case $(pwd -P) in "$1"/*) ;; *) exit 0 ;; esac
[ -n "$(ls -A "$3")" ] || cp -a . "$3/"
"""
OWNERS = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID"]  # the files may be anybody's
VOLUMES, TMPFS = "/var/local/boulder/volumes", "/run/boulder"  # on the node: until `down`; in memory
IMAGE = "image"  # the pod's volume that is the service's image


def of(service: Service, image: str, document: dict, checkout: Path) -> tuple[list[dict], list[dict], list[dict]]:
    """Returns the pod's volumes, the container's mounts, and the init containers that prepare them. image: the service's, as the node
    knows it.

    What only the image declares as a volume (VOLUME) is in the container's own file system, with what the image has there.
    """
    volumes, mounts, prepared = [], [], []
    for number, volume in enumerate(given(service.document), 1):
        if refused(volume, checkout):  # convert.py or drift.py says so
            continue
        name, target = f"volume-{number}", volume["target"].rstrip("/")
        options: dict[str, str] = {}
        if volume["type"] == "tmpfs":
            source: dict = {"emptyDir": {"medium": "Memory"}}
        elif volume["type"] == "bind":
            there = Path(volume["source"])
            path = str(PurePosixPath(CHECKOUT_MOUNT) / there.relative_to(checkout))
            source = {"hostPath": {"path": path, "type": "File" if there.is_file() else "DirectoryOrCreate"}}
        else:
            shared = volume.get("source") or anonymous(service.object_name, number)
            declared = document.get("volumes", {}).get(volume.get("source")) or {}
            driver = declared.get("driver_opts") or {}
            in_memory = driver.get("type") == "tmpfs"
            options = (
                dict(option.partition("=")[::2] for option in str(driver.get("o", "")).split(",")) if in_memory else {}
            )
            source = {"hostPath": {"path": f"{TMPFS if in_memory else VOLUMES}/{shared}", "type": "DirectoryOrCreate"}}
            mount = [{"name": name, "mountPath": "/volume"}]
            if in_memory:
                prepared.append(init("mode", ["chmod", options.get("mode", "0777"), "/volume"], ["FOWNER"], mount))
            elif not (volume.get("volume") or {}).get("nocopy"):
                whole = {"name": IMAGE, "mountPath": "/image"}
                prepared.append(init("fill", fill(target), OWNERS, [*mount, whole]))
            if {"uid", "gid"} & set(options):
                owner = f"{options.get('uid', 0)}:{options.get('gid', 0)}"
                prepared.append(init("owner", ["chown", owner, "/volume"], ["CHOWN"], mount))
        volumes.append({"name": name, **source})
        mounts.append({"name": name, "mountPath": target} | ({"readOnly": True} if volume.get("read_only") else {}))
    if any(item["name"] == "fill" for item in prepared):
        # https://kubernetes.io/docs/tasks/configure-pod-container/image-volumes/
        volumes.append({"name": IMAGE, "image": {"reference": image, "pullPolicy": "Never"}})
    return volumes, mounts, prepared


def given(document: dict) -> list[dict]:
    """Returns what a service of the resolved file mounts: its `volumes`, then its `tmpfs`."""
    memory = [{"type": "tmpfs", "target": entry.partition(":")[0]} for entry in document.get("tmpfs") or []]
    return [*(document.get("volumes") or []), *memory]


def fill(target: str) -> list[str]:
    """Returns the command that fills /volume from the image, which is at /image. target: where the service has the volume."""
    return ["sh", "-c", FILL, "fill", "/image", target, "/volume"]


def init(name: str, command: list[str], capabilities: list[str], mounts: list[dict] | None = None) -> dict:
    """An init container that is root and has these capabilities alone."""
    found: dict = {"name": name, "image": init_image(), "imagePullPolicy": "Never", "command": command}
    found["securityContext"] = {"runAsUser": 0, "capabilities": {"drop": ["ALL"], "add": capabilities}}
    return {**found, "volumeMounts": mounts} if mounts else found


def numbered(containers: list[dict]) -> list[dict]:
    """Returns containers with a number behind their names, which are not otherwise unique in a pod."""
    return [{**item, "name": f"{item['name']}-{number}"} for number, item in enumerate(containers, 1)]


def refused(volume: dict, checkout: Path) -> str:
    """Returns what to do in place of a mount that cannot be here, or "" if it can. The node has nothing of the machine but the checkout."""
    if volume["type"] == "bind" and not PurePosixPath(volume["source"]).is_relative_to(checkout):
        return f"bring {volume['source']} into the checkout: the node sees nothing else"
    if volume["type"] not in ("bind", "volume", "tmpfs"):
        return f"use a bind mount, a volume or a tmpfs in place of {volume['type']}"
    return ""


def anonymous(name: str, number: int) -> str:
    """What a volume without a name is called: the workload's, and which of the service's mounts it is."""
    return f"{name}-{number}"
