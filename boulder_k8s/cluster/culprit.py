"""The container that prevents a pod from getting ready, and whether that may be said of the pod at all."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from .api import Api

Restarts = dict[tuple[str, str], int]  # how often a container was restarted, by its pod's uid and its name
IMAGE_LOST = "ErrImageNeverPull"  # the node was given the image, and has lost it
# Reasons to wait that do not go away: https://kubernetes.io/docs/concepts/containers/images/ and those of the kubelet.
HOPELESS = {
    IMAGE_LOST,
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
}
CRASHES = 2  # of one container: a service may crash once because what it depends on is not up yet


@dataclass(frozen=True)
class Culprit:
    """A container that prevents its pod from getting ready."""

    pod: str
    container: str
    reason: str
    crashed: bool  # it ran and ended, so its log has the reason


def culprit(pod: dict, before: Restarts | None = None) -> Culprit | None:
    """Returns the container because of which this pod will certainly not get ready, or None. before: restarts that do
    not count, as `restarts` returned them.
    """
    if "deletionTimestamp" in pod["metadata"]:
        return None  # a new pod replaces it, so its exit code means nothing
    name = pod["metadata"]["name"]
    status = pod.get("status", {})
    for item in statuses(pod):
        state, last = item.get("state", {}), item.get("lastState", {})
        waiting = state.get("waiting", {}).get("reason", "")
        if waiting in HOPELESS:
            return Culprit(name, item["name"], f"{waiting}: {state['waiting'].get('message', '')}".rstrip(": "), False)
        # The kubelet reports ErrImagePull first and ImagePullBackOff from the second failure on.
        if waiting == "ImagePullBackOff":
            return Culprit(name, item["name"], f"{waiting}: {state['waiting'].get('message', '')}".rstrip(": "), False)
        ended = state.get("terminated") or last.get("terminated") or {}
        since = item.get("restartCount", 0) - (before or {}).get((pod["metadata"].get("uid", ""), item["name"]), 0)
        failed = since + (1 if state.get("terminated", {}).get("exitCode") else 0)
        if failed >= CRASHES and ended.get("exitCode") and not killed(ended) and not item.get("ready"):
            return Culprit(
                name,
                item["name"],
                f"ended {failed} times, last with exit code {ended.get('exitCode')} ({ended.get('reason', '')})",
                True,
            )
    if status.get("phase") == "Failed":
        return Culprit(
            name,
            pod["spec"]["containers"][0]["name"],
            status.get("reason") or status.get("message") or "the pod failed",
            True,
        )
    return None


def killed(ended: dict) -> bool:
    """Returns whether a container ended because its node did, or because somebody ended it: then it is no reason to give
    up that this happened often. A container that met its memory limit was killed, too, but ended itself.

    ended: the state `terminated` of a container.
    """
    by_signal = ended.get("exitCode") in (128 + signal.SIGKILL, 128 + signal.SIGTERM)
    return ended.get("reason") == "Unknown" or (by_signal and ended.get("reason") != "OOMKilled")


def ready(pod: dict) -> bool:
    """Returns whether the pod is ready and nobody is deleting it."""
    conditions = pod.get("status", {}).get("conditions", [])
    return "deletionTimestamp" not in pod["metadata"] and any(
        item["type"] == "Ready" and item["status"] == "True" for item in conditions
    )


def restarts(pods: list[dict]) -> Restarts:
    """Returns how often each container of these pods was restarted so far."""
    return {
        (pod["metadata"].get("uid", ""), item["name"]): item.get("restartCount", 0)
        for pod in pods
        for item in statuses(pod)
    }


def is_broken(pod: dict) -> bool:
    """Returns whether a pod of a workload has failed before: it waits for what was wrong then, for up to five minutes,
    or for ever.
    """
    if owner(pod)[0] in ("", "Job"):
        return False
    waits = [item.get("state", {}).get("waiting", {}) for item in statuses(pod)]
    return any(item.get("reason") == "CrashLoopBackOff" for item in waits) or bool(culprit(pod, restarts([pod])))


def statuses(pod: dict) -> list[dict]:
    """Returns the statuses of a pod's containers, init containers first."""
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def owner(item: dict) -> tuple[str, str]:
    """Returns kind and name of what made an object, or two empty strings."""
    found = item["metadata"].get("ownerReferences") or [{"kind": "", "name": ""}]
    return found[0]["kind"], found[0]["name"]


def of_newest_template(api: Api, pod: dict, workloads: list[dict]) -> bool | None:
    """Returns whether a pod was made from the newest template of its workload; None if that is not known yet: its
    controller has not seen the newest, or the workload is gone. workloads: as they are now. Raises ApiError.

    A StatefulSet's status names its newest template, a Deployment's newest ReplicaSet has the Deployment's own number.
    """
    kind, name = owner(pod)
    if kind not in ("StatefulSet", "ReplicaSet"):
        return True
    made = api.find("ReplicaSet", name) if kind == "ReplicaSet" else None
    above = owner(made) if made else (kind, name)
    found = next((item for item in workloads if (item["kind"], item["metadata"]["name"]) == above), None)
    if not found or found.get("status", {}).get("observedGeneration") != found["metadata"]["generation"]:
        return None
    if kind == "StatefulSet":
        return pod["metadata"]["labels"].get("controller-revision-hash") == found["status"].get("updateRevision")
    return bool(made) and revision(made) == revision(found)


def revision(item: dict) -> str:
    """Returns the number that a Deployment's controller gives to each of its templates."""
    return item["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision", "")
