"""Waits until workloads are ready, and names what prevents it as soon as that is certain."""

from __future__ import annotations

import time

from ..host.errors import Problem
from ..host.names import NAME, WORKLOAD_KINDS
from ..host.progress import step
from . import logs
from .api import PATIENCE, Api
from .culprit import IMAGE_LOST, Culprit, culprit, is_broken, of_newest_template, owner, ready, restarts, statuses
from .errors import ApiError
from .watch import watching


class ImageLost(Problem):
    """The node lacks an image that it was given."""


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


def wait(
    api: Api, names: list[str], timeout: float, what: str, known: list[dict] | None = None, labels: str = ""
) -> bool:
    """Waits until every workload of `names` runs its newest template and is ready. Returns whether it had to wait.

    Pods that an earlier configuration or build broke are made anew: only what happens from now on, to pods of the newest
    template, is a reason to give up. what: the workloads, for people. known: what `objects` returned a moment ago.
    labels: the label KEY=VALUE of the one workload's pods, if it is not our own. Raises Problem naming the culprit, with the
    end of its log, as soon as one cannot get ready, or after `timeout` seconds; raises ApiError.
    """
    wanted = set(names)
    found = objects(api) if known is None else known
    if not (missing := wanted - settled(found)):
        return False
    deadline = time.monotonic() + timeout
    key, _, value = labels.partition("=")

    def whose(pod: dict) -> str:
        own = pod["metadata"].get("labels", {})
        return (names[0] if own.get(key) == value else "") if labels else own.get(NAME, "")

    pods = [item for item in found if item["kind"] == "Pod" and whose(item) in wanted]
    before = restarts(pods)
    renew(api, [pod for pod in pods if is_broken(pod)])
    selector = labels or f"{NAME} in ({','.join(sorted(wanted))})"
    with step(f"waiting for {what}") as show, watching(api, labels=selector) as watch:
        while missing:
            changed = watch.next(min(1.0, max(0.0, deadline - time.monotonic())))
            pods = list(watch.objects.values())
            suspects = [pod for pod in pods if culprit(pod, before)]
            waiting = wanted - {whose(pod) for pod in pods if ready(pod) or completed(pod)}
            if suspects or not waiting or not changed:
                # A ready pod may still be the old one; the workloads tell.
                found = objects(api)
                missing = waiting = wanted - settled(found)
                for pod in suspects if missing else ():
                    if of_newest_template(api, pod, found):
                        raise failure(api, culprit(pod, before))
                renew(api, [pod for pod in pods if is_left_behind(api, pod, found)])
            show(", ".join(sorted(waiting)))
            if missing and time.monotonic() > deadline:
                raise late(
                    api, {name: [pod for pod in pods if whose(pod) == name] for name in sorted(missing)}, timeout
                )
    return True


def is_left_behind(api: Api, pod: dict, found: list[dict]) -> bool:
    """Returns whether a StatefulSet's pod is of an older template and not ready: Kubernetes then waits for it for ever
    (https://github.com/kubernetes/kubernetes/issues/67250).
    """
    return owner(pod)[0] == "StatefulSet" and not ready(pod) and of_newest_template(api, pod, found) is False


def renew(api: Api, pods: list[dict]) -> None:
    """Deletes these very pods; their workloads make new ones. Raises ApiError."""
    for pod in pods:
        if "deletionTimestamp" not in pod["metadata"]:
            api.delete("Pod", pod["metadata"]["name"], uid=pod["metadata"].get("uid", ""))


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


def late(api: Api, missing: dict[str, list[dict]], timeout: float) -> Problem:
    """Returns the Problem for a wait that took too long: what each pod that is not ready was waiting for. missing: the
    pods of each workload that is not ready.
    """
    lines = []
    for pod in (pod for pods in missing.values() for pod in pods if not ready(pod)):
        status = pod["status"]
        reasons = [
            item["state"]["waiting"].get("reason", "") for item in statuses(pod) if item.get("state", {}).get("waiting")
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
