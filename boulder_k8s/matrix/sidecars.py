"""The services that Boulder depends on, as init containers of a row's pod that go on: native sidecars.

https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
"""

from __future__ import annotations

from collections.abc import Mapping

from ..host.names import BOULDER
from ..manifests import compose
from ..manifests.compose import Service
from .lo import Inside
from .mounts import Volumes, pod_of

# What a container keeps of the rendered one. Not its ports: there is no Service, and names of ports are not unique in a pod.
KEPT = (
    "image",
    "command",
    "args",
    "workingDir",
    "env",
    "envFrom",
    "securityContext",
    "resources",
    "tty",
    "stdin",
)
ALWAYS = "Always"
REDIS = "redis-server"


def order(services: Mapping[str, Service]) -> list[str]:
    """Returns the workloads that Boulder depends on, each after what it depends on itself: the kubelet starts one after the other."""
    found: list[str] = []

    def visit(name: str, below: tuple[str, ...] = ()) -> None:
        if name in below or services[name].object_name in found:
            return
        for other in compose.dependencies(services[name].document):
            if other in services:
                visit(other, (*below, name))
        found.append(services[name].object_name)

    for name in services:
        visit(name)
    return [name for name in found if name != BOULDER]


def of(workload: dict, inside: Inside, volumes: Volumes, pull: str) -> list[dict]:
    """Returns the init containers that a workload becomes: those that prepare it, then its containers, which go on beside the tests. One
    that runs to its end is a plain init container.
    """
    name, spec = workload["metadata"]["name"], pod_of(workload)
    made = []
    for item in spec.get("initContainers", []):
        if not makes_address(item):
            given = {"restartPolicy": item["restartPolicy"]} if "restartPolicy" in item else {}
            made.append({"name": f"{name}-{item['name']}", **given, **kept(item, workload, volumes, pull)})
    for item in spec["containers"]:
        own = f"{name}-{item['name']}" if item["name"] != name else name
        found = {"name": own, **kept(item, workload, volumes, pull)}
        if workload["kind"] != "Job":
            address = bound(item, inside.of.get(name, ()))
            if address:
                found |= binding(item, address)
            probe = startup_probe(item, address)
            found |= {"restartPolicy": ALWAYS} | ({"startupProbe": probe} if probe else {})
        made.append(found)
    return made


def kept(container: dict, workload: dict, volumes: Volumes, pull: str) -> dict:
    """Returns what a container keeps, with the pod's volumes."""
    found = {key: container[key] for key in KEPT if container.get(key)} | {"imagePullPolicy": pull}
    mounts = volumes.mounts(container, workload)
    return found | ({"volumeMounts": mounts} if mounts else {})


def makes_address(container: dict) -> bool:
    """Returns whether an init container only makes addresses: the row's own does so for all."""
    return "NET_ADMIN" in (container.get("securityContext", {}).get("capabilities", {}).get("add") or [])


def bound(container: dict, addresses: tuple[str, ...]) -> str:
    """Returns the address that a container has to bind, "" if all: several Redis listen on the same port. One that asks itself on
    localhost whether it is well listens everywhere. addresses: the workload's.
    """
    words = [*container.get("command", []), *container.get("args", [])]
    asks_itself = "exec" in container.get("startupProbe", {})
    return addresses[0] if REDIS in words and addresses and not asks_itself else ""


def binding(container: dict, address: str) -> dict:
    """Returns the command or the arguments with which a Redis binds one address."""
    key = "args" if container.get("args") else "command"
    return {key: [*container[key], "--bind", address]}


def startup_probe(container: dict, address: str) -> dict | None:
    """Returns what tells that a container has started, or None. address: the one that it binds; the kubelet, which asks from outside,
    cannot reach that, so the container asks itself.
    """
    probe = container.get("startupProbe") or container.get("readinessProbe")
    if not probe:
        return None
    ports = {item["name"]: item["containerPort"] for item in container.get("ports", []) if "name" in item}
    numbered = {}
    for key, value in probe.items():
        if key in ("tcpSocket", "httpGet"):
            value = {**value, "port": ports.get(value["port"], value["port"])}
            if address and key == "tcpSocket":
                key, value = "exec", {"command": asks(address, value["port"])}
        numbered[key] = value
    return numbered


def asks(address: str, port: int) -> list[str]:
    """Returns the command that succeeds when a port takes a connection. Redis' image has bash."""
    return ["timeout", "2", "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}"]
