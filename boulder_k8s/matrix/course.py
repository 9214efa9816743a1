"""Follows the rows of a matrix until each has a verdict, and brings what each leaves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..cluster.api import Api
from ..cluster.errors import ApiError
from ..cluster.logs import text as log_text
from ..cluster.times import unix
from ..cluster.watch import Watch, watching
from ..host.files import private_directory, write_whole
from .archive import bring
from .job import MATRIX, ROW, TEXT
from .objects import Matrix
from .verdict import (
    ERROR,
    FAILED,
    PASSED,
    QUEUED,
    Look,
    Verdict,
    condition,
    is_disrupted,
    look,
    newest,
    stuck,
    verdict,
)

TICK = 0.5  # seconds between looks if nothing changes
PAUSE = 3.0  # seconds between questions after rows that the watch does not show
END_OF_LOG = 20  # lines


@dataclass
class Course:
    """One row on its way.

    job: its Job's name. text: as a workflow writes it. pod: its newest. disrupted: uids of the pods that the cluster ended. missing: what of
    its results could not be brought. log: the last lines of what failed before or beside the tests. began: when we have seen it first.
    scheduled: when its last pod got its node.
    """

    name: str
    text: str
    directory: Path
    job: str = ""
    look: Look = Look(QUEUED)
    pod: str = ""
    disrupted: set[str] = field(default_factory=set)
    verdict: Verdict | None = None
    missing: str = ""
    log: str = ""
    began: float = field(default_factory=time.time)
    scheduled: float | None = None
    ended: float = 0.0

    @property
    def state(self) -> str:
        """What people read: the verdict, or what it does."""
        return self.verdict.kind if self.verdict else self.look.state

    @property
    def told(self) -> tuple:
        """What people are told of if it changes: not each init container, but why a row waits for a node."""
        waits = self.look.detail if self.look.state == QUEUED else ""
        return self.state, self.look.node, len(self.disrupted), waits

    def summary(self) -> dict:
        """Returns what verdict.json holds."""
        found = self.verdict
        return {
            "row": self.text,
            "verdict": found.kind if found else None,
            "exit_code": found.code if found else None,
            "why": found.why if found else "",
            "node": self.look.node,
            "disruptions": len(self.disrupted),
            "missing": self.missing,
            "began": self.began,
            "scheduled": self.scheduled,
            "ended": self.ended or None,
            "tests_began": found.record.began if found and found.record else None,
            "tests_ended": found.record.ended if found and found.record else None,
        }


def exit_code(courses: Sequence[Course]) -> int:
    """Returns the exit code of a matrix: 2 if a row has no verdict, else 1 if tests failed, else 0."""
    kinds = {course.verdict.kind if course.verdict else ERROR for course in courses}
    return 2 if ERROR in kinds else 1 if FAILED in kinds else 0


def of_job(job: dict, directory: Path) -> Course:
    """Returns the course of a row. directory: that of the matrix."""
    metadata = job["metadata"]
    name = metadata["labels"][ROW]
    return Course(name, metadata.get("annotations", {}).get(TEXT, name), directory / name, metadata["name"])


def follow(matrix: Matrix, courses: Sequence[Course], tell: Callable[[Course], None]) -> None:
    """Follows every row to its verdict. tell: called with a row whenever its state changes. Raises ApiError, OSError."""
    api = matrix.api
    waiting = {course.job: course for course in courses if not course.verdict}
    asked = time.monotonic()
    with watching(api, "Job", labels=matrix.selector) as jobs, watching(api, labels=matrix.selector) as pods:
        while waiting:
            jobs.next(TICK)
            pods.next(0.01)
            gone: set[str] = set()
            # Deleted, or a watch has begun again.
            if waiting.keys() - jobs.objects.keys() and time.monotonic() - asked > PAUSE:
                gone = waiting.keys() - {job["metadata"]["name"] for job in api.list("Job", labels=matrix.selector)}
                asked = time.monotonic()
            for course in [*waiting.values()]:
                before = course.told
                if course.job in gone:
                    finish(api, course, Verdict(ERROR, why="somebody has deleted its Job"), None)
                elif job := jobs.objects.get(course.job):
                    step(api, course, job, pods)
                if course.verdict:
                    del waiting[course.job]
                if before != course.told:
                    tell(course)


def step(api: Api, course: Course, job: dict, pods: Watch) -> None:
    """Takes in what the watches know of a row. Raises ApiError, OSError."""
    own = [pod for pod in pods.objects.values() if pod["metadata"].get("labels", {}).get(ROW) == course.name]
    course.disrupted |= {pod["metadata"]["uid"] for pod in own if is_disrupted(pod)}
    # Else the watch has begun again, or the next pod comes.
    if own or not course.pod or job.get("spec", {}).get("suspend"):
        course.look = look(job, own)
    course.pod = newest(own)["metadata"]["name"] if own else course.pod
    if condition(job, "Complete", "Failed"):
        own = api.list("Pod", labels=selector(job))  # the watch may be behind
        course.look = look(job, own)
        finish(api, course, verdict(job, own), newest(own))
        return
    pod = newest(own)
    if pod and (found := stuck(pod)):
        finish(api, course, found, pod)
        api.delete("Job", course.job)  # it would wait for ever, and hold its place


def selector(job: dict) -> str:
    """Returns what selects the pods of a row."""
    labels = job["metadata"]["labels"]
    return ",".join(f"{key}={labels[key]}" for key in (MATRIX, ROW))


def finish(api: Api, course: Course, found: Verdict, pod: dict | None) -> None:
    """Keeps a row's verdict, and brings what it has left. A 0 whose output is not whole is none. Raises OSError."""
    course.ended = time.time()
    private_directory(course.directory)
    if pod:
        course.scheduled = unix(pod.get("status", {}).get("startTime"))
        course.missing = bring(api, pod, course.directory, found.record)
        if found.container:
            course.log = end_of_log(api, pod["metadata"]["name"], found.container)
    if course.missing and found.kind == PASSED:
        found = Verdict(
            ERROR,
            found.code,
            f"the tests ended with 0, but not all that they wrote is here: {course.missing}",
            "",
            found.record,
        )
    course.verdict = found
    write_whole(course.directory / "verdict.json", json.dumps(course.summary(), indent=2) + "\n")


def end_of_log(api: Api, pod: str, container: str) -> str:
    """Returns the last lines of a container's log, or of its run before; "" if there are none."""
    for previous in ("false", "true"):
        try:
            if text := log_text(api, pod, container, tail=END_OF_LOG, previous=previous).strip():
                return text
        except ApiError:
            continue
    return ""
