"""Is it certain that a pod will not get ready, and who is to blame: pod statuses as kubelets report them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.programs import Programs

from boulder_k8s.cluster import rollout
from boulder_k8s.cluster.kubectl import Kubectl
from boulder_k8s.cluster.watch import watching
from boulder_k8s.host.errors import Problem


def container(name: str = "bconsul", restarts: int = 0, ready: bool = False, last: dict | None = None, **state) -> dict:
    """One entry of containerStatuses; `state` is running=, waiting= or terminated=."""
    ended = {"terminated": last} if last else {}
    return {"name": name, "restartCount": restarts, "ready": ready, "state": state, "lastState": ended}


def pod(*containers: dict, init: tuple[dict, ...] = (), phase: str = "Pending", ready: bool = False, **status) -> dict:
    return {
        "kind": "Pod",
        "metadata": {"name": "bconsul-5f7-x2", "labels": {rollout.NAME: "bconsul"}},
        "spec": {"containers": [{"name": "bconsul"}]},
        "status": {
            "phase": phase,
            "initContainerStatuses": list(init),
            "containerStatuses": list(containers),
            "conditions": [{"type": "Ready", "status": str(ready)}],
            **status,
        },
    }


def waiting(reason: str, message: str = "", **more) -> dict:
    return container(waiting={"reason": reason, "message": message}, **more)


CRASH = {"exitCode": 1, "reason": "Error"}
DONE = {"exitCode": 0, "reason": "Completed"}
INIT_FAILED = container("address", restarts=1, last=CRASH, terminated=CRASH)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (pod(waiting("ErrImageNeverPull", "no such image")), "ErrImageNeverPull: no such image"),
        (pod(waiting("InvalidImageName", "bad")), "InvalidImageName: bad"),
        (pod(waiting("CreateContainerConfigError", 'secret "x" not found')), 'ConfigError: secret "x" not found'),
        (pod(waiting("ImagePullBackOff")), "ImagePullBackOff"),
        (pod(waiting("CrashLoopBackOff", restarts=2, last=CRASH)), "ended 2 times, last with exit code 1 (Error)"),
        (pod(container(restarts=1, last=CRASH, terminated=CRASH)), "ended 2 times"),
        (pod(waiting("PodInitializing"), init=(INIT_FAILED,)), "ended 2 times"),
        (pod(phase="Failed", reason="Evicted"), "Evicted"),
        (pod(phase="Failed", message="Pod was rejected"), "Pod was rejected"),
    ],
)
def test_a_pod_that_cannot_get_ready_is_named_with_its_reason(status: dict, reason: str) -> None:
    found = rollout.culprit(status)
    assert found is not None
    assert found.pod == "bconsul-5f7-x2"
    assert reason in found.reason


@pytest.mark.parametrize(
    "status",
    [
        pod(),  # not scheduled: the whole timeout is its
        pod(waiting("ContainerCreating")),
        pod(waiting("PodInitializing"), init=(container("address", running={}),)),
        pod(waiting("PodInitializing"), init=(container("address", ready=True, terminated=DONE),)),
        pod(container(running={}), phase="Running"),
        pod(container(ready=True, running={}, restarts=3, last=CRASH), phase="Running", ready=True),
        # A service may lose one race with what it depends on.
        pod(waiting("CrashLoopBackOff", restarts=1, last=CRASH)),
        pod(container(terminated=CRASH)),
        pod(container(restarts=1, last=CRASH, running={}), phase="Running"),
        pod(waiting("ErrImagePull")),
    ],
)
def test_a_pod_that_may_still_get_ready_is_waited_for(status: dict) -> None:
    assert rollout.culprit(status) is None


def test_restarts_with_the_node_are_not_crashes() -> None:
    """What the kubelet reports after the machine was restarted for the third time, until the probe succeeds."""
    lost = {"exitCode": 255, "reason": "Unknown"}
    again = container("address", restarts=3, ready=True, last=lost, terminated=DONE)
    assert rollout.culprit(pod(container(restarts=3, last=lost, running={}), init=(again,), phase="Running")) is None


def test_ready_means_ready_and_not_being_deleted() -> None:
    good = pod(ready=True)
    assert rollout.ready(good)
    assert not rollout.ready(pod())
    assert not rollout.ready(good | {"metadata": {**good["metadata"], "deletionTimestamp": "now"}})


def workload(name: str = "bconsul", generation: int = 2, **status: int) -> dict:
    standard = {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
    return {
        "metadata": {"name": name, "generation": generation},
        "spec": {"replicas": 1},
        "status": standard | status,
    }


@pytest.fixture
def kubectl(programs: Programs) -> Kubectl:
    path = programs.answer("kubectl", "logs", "echo the last line")
    return Kubectl(path, Path("/nonexistent/kubeconfig"), "none")


def tell(programs: Programs, workloads: list[dict], events: list[dict | str]) -> None:
    """What `get deployments` answers, and the watches one after the other; the last one stays open."""
    (programs.directory / "workloads").write_text(json.dumps({"items": workloads}))
    programs.answer("kubectl", "get deployments,statefulsets", "cat $cd/workloads")
    for number, event in enumerate(events, 1):
        text = event if isinstance(event, str) else json.dumps({"type": "ADDED", "object": event}) + "\n"
        (programs.directory / f"watch.{number}").write_text(text)
    script = f"echo >> $cd/n; n=$(wc -l < $cd/n); cat $cd/watch.$n; [ $n -lt {len(events)} ] || exec sleep 1000"
    programs.answer("kubectl", "get pods --watch", script)


@pytest.mark.parametrize(
    ("status", "settled"),
    [
        ({}, True),
        ({"observedGeneration": 1}, False),  # the controller has not seen the new template
        ({"updatedReplicas": 0}, False),  # ready, but the old one
        ({"replicas": 2}, False),  # the old one is still there
        ({"readyReplicas": 0}, False),
    ],
)
def test_only_the_newest_template_counts(programs: Programs, kubectl: Kubectl, status: dict, settled: bool) -> None:
    tell(programs, [workload(**status)], [""])
    assert rollout.settled(rollout.objects(kubectl)) == ({"bconsul"} if settled else set())


def test_what_is_settled_is_not_watched(programs: Programs, kubectl: Kubectl) -> None:
    tell(programs, [workload()], [""])
    rollout.wait(kubectl, ["bconsul"], 10, "it")
    assert not programs.called("kubectl", "--watch")


def test_a_culprit_ends_the_wait_with_its_last_lines(programs: Programs, kubectl: Kubectl) -> None:
    tell(programs, [workload(readyReplicas=0)], [pod(waiting("CrashLoopBackOff", restarts=2, last=CRASH))])
    with pytest.raises(Problem) as caught:
        rollout.wait(kubectl, ["bconsul"], 600, "it")
    assert "bconsul-5f7-x2 (container bconsul) cannot start: ended 2 times" in caught.value.message
    assert caught.value.detail == "the last line"
    assert "invoke logs" in caught.value.fix


def test_a_wait_that_takes_too_long_says_what_each_pod_waits_for(programs: Programs, kubectl: Kubectl) -> None:
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    tell(programs, [workload(readyReplicas=0)], [pod(conditions=[unscheduled])])
    with pytest.raises(Problem) as caught:
        rollout.wait(kubectl, ["bconsul"], 0.5, "it")
    assert caught.value.message == "Not ready after 0 s: bconsul."
    assert "bconsul-5f7-x2: 0/1 nodes are available" in caught.value.detail


def seen(kubectl: Kubectl, number: int) -> list[str]:
    """The pods that a watch knows after `number` changes."""
    with watching(kubectl) as watch:
        for _ in range(number):
            watch.take(watch.changes.get(timeout=5))
        return sorted(watch.pods)


def event(kind: str, name: str) -> str:
    return json.dumps({"type": kind, "object": {"kind": "Pod", "metadata": {"name": name}}}) + "\n"


def test_a_watch_knows_what_was_added_and_forgets_what_was_deleted(programs: Programs, kubectl: Kubectl) -> None:
    error = json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410}}) + "\n"
    tell(programs, [], [event("ADDED", "a") + event("MODIFIED", "b") + event("DELETED", "a") + error])
    assert seen(kubectl, 4) == ["b"]


def test_a_watch_that_was_cut_begins_anew_with_what_is_there(programs: Programs, kubectl: Kubectl) -> None:
    tell(programs, [], [event("ADDED", "a") + event("ADDED", "b"), event("ADDED", "b")])
    assert seen(kubectl, 4) == ["b"]  # two, the end, and what the second connection lists


def test_a_watch_that_was_cut_within_an_event_begins_anew(programs: Programs, kubectl: Kubectl) -> None:
    tell(programs, [], [event("ADDED", "a") + event("ADDED", "b")[:30], event("ADDED", "b")])
    assert seen(kubectl, 3) == ["b"]
