"""The overlays as plain `kubectl kustomize` renders them, and what a run overlay is rendered with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import kubernetes_validate
import yaml

from boulder_k8s.host.settings import ROOT, Port, Settings
from boulder_k8s.manifests import compare, compose, differences, overlay, selection
from boulder_k8s.manifests.checkout import Checkout
from boulder_k8s.manifests.overlay import Rendered, RenderOptions

OVERLAYS = ("config", "config-next")
KUBECTL = Path(sys.executable).with_name("kubectl")
SETTINGS = Settings(ROOT, "unit", "node:test", (Port(14001, 4001), Port(18055, 8055)))
SOURCE = "boulder-k8s/source"  # the annotation that says which part of a checkout fills an object
# The fields of envFrom and valueFrom that name an object.
REFERENCES = {
    "configMapRef": "ConfigMap",
    "configMapKeyRef": "ConfigMap",
    "secretRef": "Secret",
    "secretKeyRef": "Secret",
}


@cache
def rendered(overlay: str) -> list[dict]:
    return list(yaml.safe_load_all(kustomize(ROOT / "k8s/overlays" / overlay)))


def followed(checkout: Path, directory: Path) -> Rendered:
    """What becomes of a checkout, rendered in a directory: right for Kubernetes, and without a difference from its Compose file that is
    not intended.
    """
    document = selection.followed(compose.document(checkout, False), checkout, False)
    made = overlay.render(SETTINGS, RenderOptions.of(Checkout(checkout), document, KUBECTL, directory, secrets=False))
    for item in made.objects:
        kubernetes_validate.validate(item, "1.37", strict=True)
    unlisted, _ = differences.partition(compare.compare(document, made.objects), differences.read_intended())
    assert [item for item in unlisted if not item.aspect.startswith("port ")] == []  # SETTINGS has others
    return made


def kustomize(directory: Path) -> str:
    return subprocess.run([KUBECTL, "kustomize", directory], check=True, capture_output=True, text=True).stdout


def pods(objects: Iterable[dict]) -> dict[str, dict]:
    """The pods of the workloads, by the workload's name."""
    return {
        item["metadata"]["name"]: item["spec"]["template"]["spec"]
        for item in objects
        if item["kind"] in ("Deployment", "StatefulSet")
    }


def declared(objects: Iterable[dict]) -> dict[str, dict]:
    """The ConfigMaps and Secrets that a checkout fills, by the name before its hash."""
    return {
        item["metadata"]["name"].rpartition("-")[0]: item
        for item in objects
        if item["kind"] in ("ConfigMap", "Secret") and SOURCE in item["metadata"].get("annotations", {})
    }


def references(item: dict) -> Iterator[tuple[str, str]]:
    """(kind, name) of every object that a workload's pods refer to, and that a StatefulSet itself does."""
    if item["kind"] == "StatefulSet":
        yield "Service", item["spec"]["serviceName"]
    if item["kind"] not in ("Deployment", "StatefulSet"):
        return
    pod = item["spec"]["template"]["spec"]
    for field, kind in (
        ("serviceAccountName", "ServiceAccount"),
        ("priorityClassName", "PriorityClass"),
        ("runtimeClassName", "RuntimeClass"),
    ):
        if field in pod:
            yield kind, pod[field]
    yield from (("Secret", secret["name"]) for secret in pod.get("imagePullSecrets", ()))
    volumes = {volume["name"] for volume in pod.get("volumes", ())}
    for container in [*pod.get("initContainers", ()), *pod["containers"]]:
        # A mount of no volume of the pod is one of a StatefulSet's claims.
        mounts = (mount["name"] for mount in container.get("volumeMounts", ()))
        yield from (("PersistentVolumeClaim", name) for name in mounts if name not in volumes)
        sources = [entry.get("valueFrom", {}) for entry in container.get("env", ())] + container.get("envFrom", [])
        for source in sources:
            for field, reference in source.items():
                if kind := REFERENCES.get(field):
                    yield kind, reference["name"]
    for volume in pod.get("volumes", ()):
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]
        for source in (volume, *volume.get("projected", {}).get("sources", ())):
            if "configMap" in source:
                yield "ConfigMap", source["configMap"]["name"]
            if "secret" in source:
                yield "Secret", source["secret"].get("secretName") or source["secret"]["name"]
