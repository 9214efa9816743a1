"""What a row is doing, and how it ended: read from its Job and its pods, and from nothing else.

The supervisor's record travels in the termination message of the container `boulder` (run/pod/row.py). It and the container's exit
code must agree, or there is no verdict.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..cluster.culprit import culprit, statuses
from ..host.names import BOULDER
from ..run.fate import ending

PASSED, FAILED, ERROR = "passed", "failed", "error"
QUEUED, STARTING, RUNNING, ENDING = "queued", "starting", "running", "ending"


@dataclass(frozen=True)
class Record:
    """What the supervisor recorded. code: the tests' exit code. lengths: bytes of stdout and stderr. began, ended: Unix time."""

    code: int
    lengths: dict[str, int]
    began: float
    ended: float


@dataclass(frozen=True)
class Verdict:
    """How a row ended. kind: PASSED, FAILED or ERROR. code: the tests' exit code, None if it is not known. why: of an error.
    container: the one whose log has the reason, "" if none. record: the supervisor's.
    """

    kind: str
    code: int | None = None
    why: str = ""
    container: str = ""
    record: Record | None = None


@dataclass(frozen=True)
class Look:
    """What a row does at this moment. detail: what it waits for. since: when its pod or its container began, as the API writes it."""

    state: str
    node: str = ""
    detail: str = ""
    since: str = ""


def record_of(message: str) -> Record | None:
    """Returns the record in a termination message, None if it has none."""
    try:
        found = json.loads(message)
        code, lengths = found["exit_code"], {name: found[name] for name in ("stdout", "stderr")}
        began, ended = float(found["began"]), float(found["ended"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    whole = all(type(number) is int and number >= 0 for number in (code, *lengths.values()))
    return Record(code, lengths, began, ended) if whole and code < 256 else None


def newest(pods: Iterable[dict]) -> dict | None:
    """Returns the pod that was made last, None if there is none."""
    return max(pods, key=lambda pod: pod["metadata"].get("creationTimestamp", ""), default=None)


def condition(item: dict, *types: str) -> dict | None:
    """Returns the first condition of one of these types that holds."""
    found = item.get("status", {}).get("conditions") or []
    return next((one for one in found if one["type"] in types and one["status"] == "True"), None)


def is_disrupted(pod: dict) -> bool:
    """Returns whether the cluster ended a pod: drained, preempted, evicted, or its node is gone."""
    return condition(pod, "DisruptionTarget") is not None


def state_of(pod: dict, container: str) -> dict:
    """Returns the state of a container, {} if it has none yet."""
    return next((item.get("state", {}) for item in statuses(pod) if item["name"] == container), {})


def look(job: dict, pods: Sequence[dict]) -> Look:
    """Returns what a row does. pods: the Job's."""
    pod = newest(pods)
    if job.get("spec", {}).get("suspend"):
        return Look(QUEUED, detail=reason(condition(job, "Suspended")))
    if not pod:
        return Look(QUEUED)
    node = pod["spec"].get("nodeName", "")
    if not node:
        waits = [one for one in pod.get("status", {}).get("conditions") or [] if one["type"] == "PodScheduled"]
        return Look(QUEUED, detail=reason(waits[0] if waits else None))
    main = state_of(pod, BOULDER)
    if "terminated" in main:
        return Look(ENDING, node, since=main["terminated"].get("finishedAt") or "")
    if "running" in main:
        return Look(RUNNING, node, since=main["running"].get("startedAt") or "")
    return Look(STARTING, node, starting(pod), pod.get("status", {}).get("startTime") or "")


def reason(found: dict | None) -> str:
    """Returns the words of a condition."""
    return " ".join((found.get("message") or found.get("reason") or "").split()) if found else ""


def starting(pod: dict) -> str:
    """Returns the init container that a pod waits for."""
    for item in pod.get("status", {}).get("initContainerStatuses") or []:
        if not (item.get("started") or item.get("state", {}).get("terminated", {}).get("exitCode") == 0):
            return item["name"]
    return ""


def stuck(pod: dict) -> Verdict | None:
    """Returns the verdict for a pod that will certainly never run its tests, None for any other."""
    if pod.get("status", {}).get("phase") != "Pending":
        return None
    found = culprit(pod)
    if not found:
        return None
    why = f"{found.container} cannot start: {found.reason}"
    return Verdict(ERROR, why=why, container=found.container if found.crashed else "")


def verdict(job: dict, pods: Sequence[dict]) -> Verdict | None:
    """Returns how a row ended, None while it can still run. pods: the Job's, all that there are."""
    ended = condition(job, "Complete", "Failed")
    if not ended:
        return None
    pod = newest(pods)
    if not pod:
        return Verdict(ERROR, why=f"its pod is gone ({ended.get('reason', '')})")
    terminated = state_of(pod, BOULDER).get("terminated")
    if not terminated:
        return of_start(pod, ended)
    record = record_of(terminated.get("message") or "")
    code = terminated.get("exitCode")
    if not record:
        return Verdict(ERROR, why=without_record(pod, terminated), container=BOULDER)
    if record.code != code:
        why = f"the record says that the tests ended with {record.code}, and the container ended with {code}"
        return Verdict(ERROR, why=why, container=BOULDER, record=record)
    if code == 0 and ended["type"] == "Complete":
        return Verdict(PASSED, 0, record=record)
    if code == 0:
        why = f"the tests ended with 0, and the Job failed: {reason(ended)}"
        return Verdict(ERROR, 0, why, BOULDER, record)
    if crashed := crashes(pod):
        return Verdict(
            ERROR, code, f"{crashed[0][1]} while the tests ran, which ended with {code}", crashed[0][0], record
        )
    return Verdict(FAILED, code, record=record)


def without_record(pod: dict, terminated: dict) -> str:
    """Returns why the container has ended without a record."""
    status = pod.get("status", {})
    if status.get("reason"):  # DeadlineExceeded, Evicted
        return f"{status['reason']}: {' '.join(status.get('message', '').split())}"
    return ending(terminated)


def of_start(pod: dict, ended: dict) -> Verdict:
    """Returns the verdict for a pod whose tests never began. ended: the Job's condition."""
    for item in pod.get("status", {}).get("initContainerStatuses") or []:
        terminated = item.get("state", {}).get("terminated") or item.get("lastState", {}).get("terminated") or {}
        if terminated.get("exitCode") and not item.get("started"):
            why = f"{item['name']} ended with {terminated['exitCode']} before the tests"
            return Verdict(ERROR, why=why, container=item["name"])
    status = pod.get("status", {})
    words = " ".join(f"{status.get('reason', '')} {status.get('message', '')}".split())
    return Verdict(ERROR, why=f"the tests never began: {words or reason(ended)}")


def crashes(pod: dict) -> list[tuple[str, str]]:
    """Returns each service that ended by itself while the tests ran, and how. A container that ended because the pod did is none."""
    main = state_of(pod, BOULDER).get("terminated", {})
    began, over = main.get("startedAt") or "", main.get("finishedAt") or ""
    found = []
    for item in pod.get("status", {}).get("initContainerStatuses") or []:
        last = item.get("lastState", {}).get("terminated") or {}
        if item.get("restartCount") and began <= (last.get("finishedAt") or "") <= over:
            found.append((item["name"], f"{item['name']} ended with {last.get('exitCode')} ({last.get('reason', '')})"))
    return found
