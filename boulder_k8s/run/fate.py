"""Why a run that has no record will never have one: what the API server says about its pod, and Docker about its node."""

from __future__ import annotations

from ..host import docker
from ..host.errors import Problem


def of_pod(found: dict) -> str:
    """Returns why a pod cannot record an end any more, or "" while it lives. found: as the API server has it."""
    if "deletionTimestamp" in found["metadata"]:
        return "deleted: its pod is being deleted"
    for item in found["status"].get("containerStatuses", []):
        if ended := item.get("state", {}).get("terminated"):
            return ending(ended)
    if found["status"].get("phase") == "Failed":
        return f"killed: {found['status'].get('reason', '')} {found['status'].get('message', '')}".strip()
    return ""


def of_node(name: str) -> str:
    """Returns why a node cannot run a pod any more, or "" while it runs. name: of its container."""
    try:
        node = docker.inspect_container(name)
    except Problem as problem:
        return f"killed: {problem.message}"
    if node is None:
        return "killed: the cluster is gone"
    return "" if node["State"]["Running"] else "killed: the cluster's node has stopped"


def ending(terminated: dict) -> str:
    """Returns what it means that the container has ended without a record. terminated: the Kubernetes
    ContainerStateTerminated.
    """
    code, reason = terminated.get("exitCode"), terminated.get("reason", "")
    if reason == "OOMKilled":
        return "killed: OOMKilled, the pod ran out of memory"
    if code == 74:  # pod/supervisor.py's
        why = " ".join((terminated.get("message") or "the disk is full").split())
        return f"what the tests said could not be recorded: {why}"
    if code in (137, 143, 255):
        return f"killed: its container ended with {code} ({reason})"
    return f"its container ended with {code} ({reason}) without a result"
