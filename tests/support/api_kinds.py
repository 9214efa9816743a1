"""The kinds that the tests' API server (api_server.py) has, and what its discovery says of them."""

from __future__ import annotations

from dataclasses import dataclass

VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


@dataclass(frozen=True)
class Kind:
    """One line of discovery. plural: its word in a path."""

    name: str
    plural: str
    version: str = "v1"
    namespaced: bool = True
    subresources: tuple[str, ...] = ()


KINDS = [
    Kind("Namespace", "namespaces", namespaced=False, subresources=("status",)),
    Kind("Node", "nodes", namespaced=False, subresources=("status",)),
    Kind("PersistentVolume", "persistentvolumes", namespaced=False, subresources=("status",)),
    Kind("Pod", "pods", subresources=("status", "log", "exec")),
    Kind("Service", "services", subresources=("status",)),
    *(Kind(name, f"{name.lower()}s") for name in ("ConfigMap", "Secret", "ServiceAccount", "Event", "ResourceQuota")),
    Kind("PersistentVolumeClaim", "persistentvolumeclaims", subresources=("status",)),
    *(
        Kind(name, f"{name.lower()}s", "apps/v1", subresources=("status", "scale"))
        for name in ("Deployment", "StatefulSet", "ReplicaSet")
    ),
    Kind("Job", "jobs", "batch/v1", subresources=("status",)),
    Kind("NetworkPolicy", "networkpolicies", "networking.k8s.io/v1"),
    Kind("ServiceCIDR", "servicecidrs", "networking.k8s.io/v1", namespaced=False, subresources=("status",)),
    Kind("SelfSubjectAccessReview", "selfsubjectaccessreviews", "authorization.k8s.io/v1", namespaced=False),
    Kind("Ingress", "ingresses", "networking.k8s.io/v1", subresources=("status",)),
]
BY_NAME = {kind.name: kind for kind in KINDS}
BY_PLURAL = {(kind.version, kind.plural): kind for kind in KINDS}


def discovery(path: str) -> dict | None:
    """Which kinds there are: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api"""
    versions = sorted({kind.version for kind in KINDS})
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        names = [{"groupVersion": item, "version": item.split("/")[1]} for item in versions if "/" in item]
        groups = [
            {"name": name["groupVersion"].split("/")[0], "versions": [name], "preferredVersion": name} for name in names
        ]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    version = path.removeprefix("/apis/").removeprefix("/api/")
    if version not in versions or path != (f"/apis/{version}" if "/" in version else f"/api/{version}"):
        return None
    resources = []
    for kind in KINDS:
        if kind.version == version:
            common = {"kind": kind.name, "namespaced": kind.namespaced}
            resources.append({"name": kind.plural, "singularName": kind.name.lower(), "verbs": VERBS, **common})
            resources += [
                {"name": f"{kind.plural}/{sub}", "singularName": "", "verbs": ["get", "patch", "update"], **common}
                for sub in kind.subresources
            ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}
