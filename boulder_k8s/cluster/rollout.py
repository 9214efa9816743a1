"""Waits until workloads are ready, and names what prevents it as soon as that is certain."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass

from ..host.errors import Problem
from ..host.names import NAME, WORKLOAD_KINDS
from ..host.progress import step
from . import logs
from .api import PATIENCE, Api
from .errors import ApiError
from .watch import watching

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


class ImageLost(Problem):
    """The node lacks an image that it was given."""


@dataclass(frozen=True)
class Culprit:
    """A container that prevents its pod from getting ready."""

    pod: str
    container: str
    reason: str
    crashed: bool  # it ran and ended, so its log has the reason


def culprit(pod: dict) -> Culprit | None:
    """Returns the container because of which this pod will certainly not get ready, or None."""
    if "deletionTimestamp" in pod["metadata"]:
        return None  # a new pod replaces it, so its exit code means nothing
    name = pod["metadata"]["name"]
    status = pod.get("status", {})
    for item in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
        state, last = item.get("state", {}), item.get("lastState", {})
        waiting = state.get("waiting", {}).get("reason", "")
        if waiting in HOPELESS:
            return Culprit(name, item["name"], f"{waiting}: {state['waiting'].get('message', '')}".rstrip(": "), False)
        # The kubelet reports ErrImagePull first and ImagePullBackOff from the second failure on.
        if waiting == "ImagePullBackOff":
            return Culprit(name, item["name"], f"{waiting}: {state['waiting'].get('message', '')}".rstrip(": "), False)
        ended = state.get("terminated") or last.get("terminated") or {}
        failed = item.get("restartCount", 0) + (1 if state.get("terminated", {}).get("exitCode") else 0)
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


def completed(pod: dict) -> bool:
    """Returns whether every container of a pod has ended with 0, as a Job's does."""
    return pod.get("status", {}).get("phase") == "Succeeded"


def log_end(api: Api, pod: str, container: str, lines: int = 20) -> str:
    """Returns the last lines of a container's log, or of the run before if that is empty; "" if there is none."""
    for previous in ("false", "true"):
        try:
            text = logs.text(api, pod, container, tail=lines, previous=previous)
        except ApiError:
            continue
        if text.strip():
            return text
    return ""


def wait(api: Api, names: list[str], timeout: float, what: str, known: list[dict] | None = None) -> bool:
    """Waits until every workload of `names` runs its newest template and is ready. Returns whether it had to wait.

    what: the workloads, for people. known: what `objects` returned a moment ago. Raises Problem naming the culprit,
    with the end of its log, as soon as one cannot get ready, or after `timeout` seconds; raises ApiError.
    """
    wanted = set(names)
    if not (missing := wanted - settled(objects(api) if known is None else known)):
        return False
    deadline = time.monotonic() + timeout
    with (
        step(f"waiting for {what}") as show,
        watching(api, labels=f"{NAME} in ({','.join(sorted(wanted))})") as watch,
    ):
        while missing:
            changed = watch.next(min(1.0, max(0.0, deadline - time.monotonic())))
            for pod in list(watch.objects.values()):
                if found := culprit(pod):
                    raise failure(api, found)
            running = {
                pod["metadata"]["labels"][NAME] for pod in watch.objects.values() if ready(pod) or completed(pod)
            }
            if not (waiting := wanted - running) or not changed:
                # A ready pod may still be the old one; the workloads tell.
                missing = waiting = wanted - settled(objects(api))
            show(", ".join(sorted(waiting)))
            if missing and time.monotonic() > deadline:
                raise late(api, sorted(missing), list(watch.objects.values()), timeout)
    return True


def objects(api: Api, timeout: float = 60, patience: float = PATIENCE) -> list[dict]:
    """Returns every workload and pod. timeout: seconds for one answer. patience: seconds to ask again.
    Raises ApiError.
    """
    return api.list(*WORKLOAD_KINDS, "Pod", timeout=timeout, patience=patience)


def settled(found: list[dict]) -> set[str]:
    """Returns the names of the workloads whose newest template runs and is ready, and of the Jobs that have succeeded."""
    ended = {
        item["metadata"]["name"]
        for item in found
        if item.get("kind") == "Job" and item.get("status", {}).get("succeeded")
    }
    return ended | {
        item["metadata"]["name"]
        for item in found
        if item["spec"].get("replicas")
        and item.get("status", {}).get("observedGeneration") == item["metadata"]["generation"]
        and item["status"].get("updatedReplicas") == item["status"].get("readyReplicas") == item["spec"]["replicas"]
        and item["status"].get("replicas") == item["spec"]["replicas"]
    }


def failure(api: Api, found: Culprit) -> Problem:
    """Returns the Problem that names a culprit, with the end of its log."""
    detail = log_end(api, found.pod, found.container) if found.crashed else ""
    fix = (
        "Its last lines are above; `invoke logs` shows more."
        if detail.strip()
        else "Correct that and run the command again; `invoke down` starts from nothing."
    )
    kind = Problem
    if found.reason.startswith(IMAGE_LOST):
        kind, fix = ImageLost, "Run `invoke up`: it loads what the node lacks."
    return kind(f"{found.pod} (container {found.container}) cannot start: {found.reason}.", fix, detail)


def late(api: Api, missing: list[str], pods: list[dict], timeout: float) -> Problem:
    """Returns the Problem for a wait that took too long: what each pod that is not ready was waiting for."""
    lines = []
    for pod in pods:
        if pod["metadata"]["labels"].get(NAME) in missing and not ready(pod):
            status = pod["status"]
            reasons = [
                item["state"]["waiting"].get("reason", "")
                for item in status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
                if item.get("state", {}).get("waiting")
            ]
            reasons += [
                item.get("message", "")
                for item in status.get("conditions", [])
                if item["type"] == "PodScheduled" and item["status"] != "True"
            ]
            lines.append(f"{pod['metadata']['name']}: {', '.join(filter(None, reasons)) or status.get('phase', '')}")
            lines.append(log_end(api, pod["metadata"]["name"], pod["spec"]["containers"][0]["name"], 10))
    return Problem(
        f"Not ready after {timeout:.0f} s: {', '.join(missing)}.",
        "`invoke logs` shows more; BOULDER_K8S_TIMEOUT=SECONDS gives them longer.",
        "\n".join(lines),
        check="docker-memory",
    )
