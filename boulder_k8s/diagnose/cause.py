"""What probably happened, according to a run's record, the output of its tests, and what the cluster knew."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..cluster import times
from ..cluster.culprit import statuses
from . import ending as endings
from .findings import Findings

PHASES = (
    "cluster",
    "images",
    "certificates",
    "dependencies",
    "stop boulder",
    "pod",
    "tests",
)  # in the order in which they come
TELLING = {"OOMKilling", "SystemOOM", "Evicted", "FailedMount", "FailedScheduling", "NodeHasDiskPressure", "BackOff"}
OF_A_START = {"FailedMount", "FailedScheduling", "BackOff"}  # overcome by a pod that has started
SCARCE = 2**30  # bytes: a disk with less free is mentioned


@dataclass
class Facts:
    """What is known about a run.

    record: run.json. code: the recorded exit code. said: what the tests' output says of the failure. objects: pods and
    events. free: bytes left, by disk.
    """

    record: dict = field(default_factory=dict)
    code: int | None = None
    said: Findings = field(default_factory=Findings)
    objects: list[dict] = field(default_factory=list)
    free: dict[str, int] = field(default_factory=dict)

    @property
    def recent(self) -> list[dict]:
        """The objects without what had happened to them before the run began: an end of days ago is no cause of today's."""
        began = self.record.get("began", 0)
        return [since(item, began) for item in self.objects if when(item) >= began]


def since(item: dict, began: float) -> dict:
    """Returns an object; of a pod the ends of containers before `began`, Unix time, are left out, and how often those
    that ended then were restarted.
    """
    status = item.get("status", {})
    changed = {}
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind, []):
            last = container.get("lastState", {}).get("terminated") or {}
            if "finishedAt" in last and unix(last["finishedAt"]) < began:
                container = {**container, "lastState": {}, "restartCount": 0}
            changed.setdefault(kind, []).append(container)
    return {**item, "status": {**status, **changed}} if changed else item


def when(item: dict) -> float:
    """Returns when an event came last or a pod failed, as Unix time; of anything else it is always now."""
    if item.get("kind") == "Event":
        text = item.get("lastTimestamp") or (item.get("series") or {}).get("lastObservedTime") or item.get("eventTime")
        return unix(text) if text else time.time()
    if item.get("kind") == "Pod" and item.get("status", {}).get("phase") == "Failed":
        changes = [text for one in item["status"].get("conditions", []) if (text := one.get("lastTransitionTime"))]
        return max(map(unix, changes), default=time.time())
    return time.time()


def unix(text: str) -> float:
    """Returns Kubernetes' time as Unix time; now, if it is none."""
    found = times.unix(text)
    return time.time() if found is None else found


def summary(facts: Facts) -> str:
    """Returns a text for people: the most likely cause first, then the facts."""
    record = facts.record
    lines = [f"Probably: {cause(facts)}", ""]
    if record:
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record.get("began", 0)))
        lines.append(f"run       {' '.join(record.get('arguments', [])) or '(no arguments)'}, began {began} UTC")
        lines.append(f"ended     {ending(facts)}")
        lines.append(f"checkout  {record.get('checkout', '')} at {record.get('revision', 'unknown')}")
        lines += [
            f"phase     {name}: {record['phases'][name]} s" for name in PHASES if name in record.get("phases", {})
        ]
        lines += [f"version   {name}: {version}" for name, version in record.get("versions", {}).items()]
    seen = [*containers(facts.recent), *events(facts.recent), *scarce(facts.free)]
    lines += [
        "",
        "Seen on the cluster and its disks:",
        *(f"  {line}" for line in seen or ["nothing out of the ordinary"]),
    ]
    if failed := endings.page(facts.said):
        lines += ["", "What failed:", *(f"  {line}" for line in failed.splitlines())]
    return "\n".join(lines) + "\n"


def cause(facts: Facts) -> str:
    """Returns the most likely cause, in a sentence."""
    failure = facts.record.get("failure", "")
    for line in containers(facts.recent):
        if "OOMKilled" in line or "Evicted" in line:
            return f"{line}."
    if failure:
        kind, _, words = failure.partition(": ")
        what = words if kind in ("Problem", "Failed") else failure
        if kind == "Interrupted":
            return "it was interrupted."
        phase = next((name for name in reversed(PHASES) if name in facts.record.get("phases", {})), "")
        return f"{what.rstrip('.')}{f' (while at: {phase})' if phase else ''}."
    if scarce(facts.free):
        return f"{scarce(facts.free)[0]}."
    code = facts.record.get("exit_code", facts.code)
    if code:
        failed = endings.sentence(facts.said)
        where = f" in its stage {facts.said.stage}" if facts.said.stage else ""
        return f"the tests failed: exit code {code}{where}{f'; {failed}' if failed else ''}."
    if restarted := containers(facts.recent):
        return f"{restarted[0]}."
    if code == 0:
        return "nothing: the run ended with 0."
    return (
        "nothing is known of a failure."
        if not facts.record or "ended" in facts.record
        else "it still runs, or its wrapper was killed."
    )


def ending(facts: Facts) -> str:
    """Returns how the run ended, for people."""
    record = facts.record
    if "failure" in record:
        return record["failure"]
    if "ended" not in record:
        return "not yet, or its wrapper was killed"
    took = f" after {record['ended'] - record['began']:.1f} s" if "began" in record else ""
    return f"exit code {record.get('exit_code', facts.code)}{took}"


def containers(objects: list[dict]) -> list[str]:
    """Returns a line for each pod or container that did not start and run without trouble, the worst first."""
    found: list[tuple[int, str]] = []
    for pod in (item for item in objects if item.get("kind") == "Pod"):
        name, status = pod["metadata"]["name"], pod.get("status", {})
        if status.get("reason"):
            found.append((0, f"{name}: {status['reason']}, {status.get('message', '')}".rstrip(", ")))
        for item in statuses(pod):
            found += [(rank, f"{name} ({item['name']}) {text}") for rank, text in trouble(item)]
    return [text for _, text in sorted(found)]


def trouble(status: dict) -> Iterator[tuple[int, str]]:
    """Yields the lines about one container status, each with its rank: 0 is the worst."""
    state = status.get("state", {})
    ended = state.get("terminated") or status.get("lastState", {}).get("terminated") or {}
    if waiting := state.get("waiting", {}):
        if waiting.get("reason") not in ("ContainerCreating", "PodInitializing", None):
            yield 1, f"waits: {waiting['reason']} {waiting.get('message', '')}".rstrip()
    if ended.get("exitCode"):
        rank = 0 if ended.get("reason") == "OOMKilled" else 2
        times = f", restarted {status['restartCount']} times" if status.get("restartCount") else ""
        yield (
            rank,
            f"ended with {ended['exitCode']} ({ended.get('reason', '')}) at {ended.get('finishedAt', '?')}{times}",
        )
    elif status.get("restartCount"):
        yield 2, f"restarted {status['restartCount']} times"


def events(objects: list[dict]) -> list[str]:
    """Returns the cluster's last warnings, at most 20: one for each reason and object, but none about the start of a pod that has
    started since.
    """
    well = {item["metadata"].get("name") for item in objects if item.get("kind") == "Pod" and is_ready(item)}
    found = {}
    for item in objects:
        if item.get("kind") == "Event" and item.get("type") == "Warning" and item.get("reason") in TELLING:
            about = item.get("involvedObject", {}).get("name", "")
            if item["reason"] not in OF_A_START or about not in well:
                found[(item["reason"], about)] = f"{item['reason']} {about}: {item.get('message', '')}"
    return list(found.values())[-20:]


def is_ready(pod: dict) -> bool:
    """Returns whether a pod has started, or has run to its end."""
    status = pod.get("status", {})
    ready = any(item.get("type") == "Ready" and item.get("status") == "True" for item in status.get("conditions", []))
    return ready or status.get("phase") == "Succeeded"


def scarce(free: dict[str, int]) -> list[str]:
    """Returns a line for each disk with less than SCARCE bytes left. free: bytes left, by disk."""
    return [f"the disk of {name} has {left / 2**20:.0f} MiB left" for name, left in free.items() if left < SCARCE]
