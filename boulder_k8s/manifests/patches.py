"""The run overlay's patches: what the checkout's Compose file sets for each workload of k8s/base, and what goes without a service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..host.names import NAMESPACE
from . import compose
from .compose import Service
from .staging import BOULDER_CONFIG
from .workloads import Workload, hand_written

REACHED = ("Service", "NetworkPolicy")  # kinds of objects that reach.py decides
# The kubelet asks for the oom_score_adj -997 for pods of this class, and the node's containerd makes 0 of it, as Docker gives a
# container (k8s/cluster/node-tuning.yaml). Without a class a pod gets 1000, or with requests 3 to 999; requests change its cgroups.
# https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#node-out-of-memory-behavior
PRIORITY = "system-node-critical"


@dataclass(frozen=True)
class BoulderPod:
    """What Boulder's pod gets beyond the other workloads' patches.

    items: of its configuration's projected volume, as Kubernetes spells them. ports: published on the node. relay_target: the ACME
    client's address for k8s/components/acme-client; empty without the component. from_checkout: files of the configuration that no
    ConfigMap has room for, with their digests, so that a changed file changes the pod.
    """

    items: list[dict]
    ports: Iterable[int]
    relay_target: str = ""
    from_checkout: Mapping[str, str] = field(default_factory=dict)


def of_workload(workload: Workload, service: Service, image_id: str) -> dict:
    """Returns the patch that every workload gets: the environment, and the image's id, so that a rebuilt image rolls its pods."""
    return {
        "apiVersion": "apps/v1",
        "kind": workload.kind,
        "metadata": {"name": workload.name, "namespace": NAMESPACE},
        "spec": {
            "template": {
                "metadata": {"annotations": {"boulder-k8s/image-id": image_id}},
                "spec": {
                    "priorityClassName": PRIORITY,
                    "containers": [
                        {
                            "name": workload.name,
                            "env": [{"name": key, "value": value} for key, value in service.environment.items()],
                        }
                    ],
                },
            }
        },
    }


def add_boulder(patch: dict, service: Service, boulder: BoulderPod) -> None:
    """Adds to the patch of the Deployment boulder what only its pod has."""
    pod = patch["spec"]["template"]["spec"]
    config_map = {"name": BOULDER_CONFIG, "items": boulder.items}
    pod["volumes"] = [{"name": "config", "projected": {"sources": [{"configMap": config_map}]}}]
    # In place of those of k8s/base: the same name may have another address now. None takes the field out.
    found = host_aliases(service)
    pod["hostAliases"] = [{"$patch": "replace"}, *found] if found else None
    pod["containers"][0]["ports"] = [
        {"containerPort": port, "hostPort": port, "protocol": "TCP"} for port in sorted(set(boulder.ports))
    ]
    started = {
        "acme-client": {"TARGET": boulder.relay_target},
        "prepare": {
            "FROM_CHECKOUT": "\n".join(f"{digest} {path}" for path, digest in sorted(boulder.from_checkout.items()))
        },
    }
    pod["initContainers"] = [
        {"name": name, "env": [{"name": variable, "value": value} for variable, value in environment.items()]}
        for name, environment in started.items()
        if any(environment.values())
    ]


def host_aliases(service: Service) -> list[dict]:
    """The service's extra_hosts. A name whose address only Docker knows (host-gateway) is left out; drift.py names it."""
    names: dict[str, list[str]] = {}
    for host, address in compose.extra_hosts(service.document):
        if address[:1].isdigit() or ":" in address:
            names.setdefault(address, []).append(host)
    return [{"ip": address, "hostnames": hosts} for address, hosts in names.items()]


def without_workload(base: Path, name: str) -> list[dict]:
    """Returns patches that take every object of a workload's directory in k8s/base out again, but for those of REACHED."""
    objects = [item for path, item in hand_written(base).items() if path.parent.name == name]
    return [
        deletion(item["apiVersion"], item["kind"], item["metadata"]["name"])
        for item in objects
        if item["kind"] not in REACHED
    ]


def change(version: str, kind: str, name: str, spec: dict, labels: dict[str, str] | None = None) -> dict:
    """Returns the patch that changes one object's spec, and its labels."""
    metadata = {"name": name, "namespace": NAMESPACE, **({"labels": labels} if labels else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def deletion(version: str, kind: str, name: str) -> dict:
    """Returns the patch that takes one object out."""
    namespace = {} if kind == "PersistentVolume" else {"namespace": NAMESPACE}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **namespace}, "$patch": "delete"}
