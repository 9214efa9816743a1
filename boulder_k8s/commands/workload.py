"""One workload of the cluster: what stops it, starts it again or makes its pods anew, and since when it runs."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime

from ..cluster.api import Api
from ..host.names import NAME, REPLICAS, RESTARTED, STOPPED

# The label that only a workload's own pods have: the tests' pod has Boulder's name too.
HASH = {"Deployment": "pod-template-hash", "StatefulSet": "controller-revision-hash"}


def selector(item: dict) -> str:
    """Returns what selects a workload's pods."""
    return f"{NAME}={item['metadata']['name']},{HASH[item['kind']]}"


def annotation(item: dict, name: str) -> str:
    """Returns an annotation of an object, or ""."""
    return item["metadata"].get("annotations", {}).get(name, "")


def stopping(item: dict) -> dict:
    """Returns the patch that stops a workload until somebody starts it: runs and `up` know it by an annotation."""
    before = item["spec"].get("replicas") or annotation(item, STOPPED) or annotation(item, REPLICAS) or 1
    return {"metadata": {"annotations": {STOPPED: str(before), REPLICAS: None}}, "spec": {"replicas": 0}}


def starting(item: dict) -> dict:
    """Returns the patch that starts a workload again which the user or a killed run has stopped; {} if nobody has."""
    before = annotation(item, STOPPED) or annotation(item, REPLICAS)
    if not before or item["spec"].get("replicas"):
        return {}
    return {"metadata": {"annotations": {STOPPED: None, REPLICAS: None}}, "spec": {"replicas": int(before)}}


def restarting(item: dict) -> dict:
    """As `starting`, and the workload makes its pods anew: their annotation is another one."""
    change, template = starting(item), {"metadata": {"annotations": {RESTARTED: str(time.time())}}}
    return {**change, "spec": {**change.get("spec", {}), "template": template}}


def start(api: Api, found: Iterable[dict], names: Iterable[str]) -> list[str]:
    """Starts those workloads of `names` that are stopped; returns which. found: objects of the cluster. Raises ApiError."""
    wanted, started = set(names), []
    for item in found:
        if item["kind"] in HASH and item["metadata"]["name"] in wanted and (change := starting(item)):
            api.patch(item["kind"], item["metadata"]["name"], change)
            started.append(item["metadata"]["name"])
    return started


def since(pod: dict) -> str:
    """Returns since when a pod's containers run, for people: 14:05:09, with the date if that is another day."""
    status = pod.get("status", {})
    states = [item.get("state", {}).get("running", {}) for item in status.get("containerStatuses", [])]
    began = next((state["startedAt"] for state in states if state.get("startedAt")), status.get("startTime"))
    began = began or pod["metadata"].get("creationTimestamp")
    if not began:
        return "an unknown time"
    then = datetime.fromisoformat(began).astimezone()
    return f"{then:%H:%M:%S}" if then.date() == datetime.now().date() else f"{then:%Y-%m-%d %H:%M:%S}"
