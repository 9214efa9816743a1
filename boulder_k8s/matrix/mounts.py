"""The volumes of one pod that stands for many: what workloads share on a node, their containers share here.

The checkout is a directory of the pod's own. Certificates come from it, because generate.sh makes them in it: the Secrets of the
rendered manifests would have those of another checkout. ConfigMaps stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ..host.names import CHECKOUT_MOUNT
from ..manifests.staging import PKI, SECRETS

CHECKOUT = "checkout"  # the volume of k8s/matrix/row-job.yaml
GOCACHE = f"{CHECKOUT_MOUNT}/.gocache"  # on a node, and in Boulder's container: GOCACHE of the Compose file is below it
MEMORY = "/run"  # a tmpfs on a node


@dataclass
class Volumes:
    """The volumes of the pod, beside those of row-job.yaml. pull: the imagePullPolicy of volumes that are an image. cache: the source of
    the Go build cache that rows share, None if each begins without one.
    """

    pull: str
    cache: dict | None = None
    found: dict[str, dict] = field(default_factory=dict)  # by what they are

    def mounts(self, container: dict, workload: dict) -> list[dict]:
        """Returns the volumeMounts of a container of a workload, and keeps the volumes that they need."""
        given = {item["name"]: item for item in pod_of(workload).get("volumes", [])}
        name = workload["metadata"]["name"]
        made = []
        for mount in container.get("volumeMounts", []):
            source = {key: value for key, value in given.get(mount["name"], {}).items() if key != "name"}
            volume, below = self.place(source, f"{name}-{mount['name']}")
            path = "/".join(part for part in (below, mount.get("subPath", "")) if part)
            kept = {key: value for key, value in mount.items() if key != "subPath"}
            made.append({**kept, "name": volume} | ({"subPath": path} if path else {}))
        return made

    def place(self, source: dict, name: str) -> tuple[str, str]:
        """Returns the volume that takes the place of another one, and the path in it. source: the other one; {} for a StatefulSet's
        claim. name: what it is called if nobody shares it.
        """
        if secret := source.get("secret"):
            if is_pki(secret):
                return CHECKOUT, PKI
        if "hostPath" in source:
            path = PurePosixPath(source["hostPath"]["path"])
            if self.cache and str(path) == GOCACHE:
                return self.add(GOCACHE, "gocache", self.cache), ""
            if path.is_relative_to(CHECKOUT_MOUNT):
                below = str(path.relative_to(CHECKOUT_MOUNT))
                return CHECKOUT, "" if below == "." else below
            memory = {"medium": "Memory"} if path.is_relative_to(MEMORY) else {}
            return self.add(str(path), str(path), {"emptyDir": memory}), ""
        if not source or "emptyDir" in source:  # a claim, or a directory of this pod's own
            return self.add(name, name, source or {"emptyDir": {}}), ""
        if "image" in source:
            source = {"image": {**source["image"], "pullPolicy": self.pull}}
        return self.add(json.dumps(source, sort_keys=True), name, source), ""

    def add(self, key: str, name: str, source: dict) -> str:
        """Keeps a volume, once for each key; returns its name."""
        if key not in self.found:
            stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[-58:].strip("-")
            taken = {volume["name"] for volume in self.found.values()} | {CHECKOUT}
            free = next(text for text in (stem, *(f"{stem}-{number}" for number in range(2, 999))) if text not in taken)
            self.found[key] = {"name": free, **source}
        return self.found[key]["name"]


def is_pki(secret: dict) -> bool:
    """Returns whether a volume of a Secret is a part of the test PKI as it lies in the checkout."""
    known = next((files for name, files in SECRETS.items() if secret["secretName"].startswith(f"{name}-")), {})
    items = {item["key"]: item["path"] for item in secret.get("items", [])}
    return bool(items) and all(known.get(key) == f"{PKI}/{path}" for key, path in items.items())


def sources(workload: dict) -> Iterator[dict]:
    """Yields what the volumes of a workload's pods are made from: each volume, and each source of a projected one."""
    for volume in pod_of(workload)["volumes"]:
        yield from (volume, *volume.get("projected", {}).get("sources", []))


def pod_of(workload: dict) -> dict:
    """Returns the description of a workload's pods."""
    return workload["spec"]["template"]["spec"]
