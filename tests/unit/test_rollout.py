"""Is it certain that a pod will not get ready, and who is to blame: pod statuses as kubelets report them."""

from __future__ import annotations

import copy
import threading

import pytest
from support.api_server import ApiServer

from boulder_k8s.cluster import culprit, rollout
from boulder_k8s.cluster.api import Api
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.names import NAME


def container(name: str = "bconsul", restarts: int = 0, ready: bool = False, last: dict | None = None, **state) -> dict:
    """One entry of containerStatuses; `state` is running=, waiting= or terminated=."""
    ended = {"terminated": last} if last else {}
    return {"name": name, "restartCount": restarts, "ready": ready, "state": state, "lastState": ended}


def pod(*containers: dict, init: tuple[dict, ...] = (), phase: str = "Pending", ready: bool = False, **status) -> dict:
    return {
        "kind": "Pod",
        "metadata": {"name": "bconsul-5f7-x2", "labels": {NAME: "bconsul"}},
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
KILLED = {"exitCode": 137, "reason": "Error"}
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
        (pod(waiting("CrashLoopBackOff", restarts=2, last={**KILLED, "reason": "OOMKilled"})), "code 137 (OOMKilled)"),
        (pod(phase="Failed", reason="Evicted"), "Evicted"),
        (pod(phase="Failed", message="Pod was rejected"), "Pod was rejected"),
    ],
)
def test_a_pod_that_cannot_get_ready_is_named_with_its_reason(status: dict, reason: str) -> None:
    found = culprit.culprit(status)
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
        # A node that was stopped, or somebody with `kill`, ended it; and not for the first time.
        pod(container(restarts=2, last=KILLED, terminated=KILLED)),
        pod(container(restarts=4, last={"exitCode": 143, "reason": "Error"}, running={}), phase="Running"),
        # A service may lose one race with what it depends on.
        pod(waiting("CrashLoopBackOff", restarts=1, last=CRASH)),
        pod(container(terminated=CRASH)),
        pod(container(restarts=1, last=CRASH, running={}), phase="Running"),
        pod(waiting("ErrImagePull")),
    ],
)
def test_a_pod_that_may_still_get_ready_is_waited_for(status: dict) -> None:
    assert culprit.culprit(status) is None


def test_restarts_with_the_node_are_not_crashes() -> None:
    """What the kubelet reports after the machine was restarted for the third time, until the probe succeeds."""
    lost = {"exitCode": 255, "reason": "Unknown"}
    again = container("address", restarts=3, ready=True, last=lost, terminated=DONE)
    assert culprit.culprit(pod(container(restarts=3, last=lost, running={}), init=(again,), phase="Running")) is None


def test_ready_means_ready_and_not_being_deleted() -> None:
    good = pod(ready=True)
    assert culprit.ready(good)
    assert not culprit.ready(pod())
    assert not culprit.ready(good | {"metadata": {**good["metadata"], "deletionTimestamp": "now"}})


def workload(name: str = "bconsul", generation: int = 2, **status: int) -> dict:
    standard = {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
    return {
        "metadata": {"name": name, "generation": generation},
        "spec": {"replicas": 1},
        "status": standard | status,
    }


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
def test_only_the_newest_template_counts(status: dict, settled: bool) -> None:
    assert rollout.settled([workload(**status)]) == ({"bconsul"} if settled else set())


LABELS = {NAME: "bconsul"}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "bconsul"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "bconsul", "image": "i"}]}},
    },
}


def the_pod(server: ApiServer) -> str:
    """The name of the workload's pod."""
    return next(item["metadata"]["name"] for item in server.store.list("Pod", "boulder") if item["metadata"]["labels"])


def test_what_is_settled_is_not_watched(api: Api, server: ApiServer) -> None:
    server.add(DEPLOYMENT)
    assert not rollout.wait(api, ["bconsul"], 10, "it")
    assert not [request for request in server.asked("GET") if "watch" in request.query]


def test_a_wait_ends_when_the_newest_template_is_ready(api: Api, server: ApiServer) -> None:
    server.controller.delay = 0.5
    server.add(DEPLOYMENT)
    assert rollout.wait(api, ["bconsul"], 20, "it")
    assert rollout.settled(rollout.objects(api)) == {"bconsul"}


def test_a_culprit_ends_the_wait_with_its_last_lines(api: Api, server: ApiServer) -> None:
    server.controller.crashes["bconsul"] = 1
    server.add(DEPLOYMENT)
    server.say(the_pod(server), "bconsul", "the last line")
    with pytest.raises(Problem) as caught:
        rollout.wait(api, ["bconsul"], 600, "it")
    assert f"{the_pod(server)} (container bconsul) cannot start: ended 2 times" in caught.value.message
    assert caught.value.detail == "the last line"
    assert "invoke logs" in caught.value.fix


def test_of_a_container_that_was_restarted_and_has_said_nothing_the_run_before_is_shown(api, server) -> None:
    server.controller.crashes["bconsul"] = 1
    server.add(DEPLOYMENT)
    server.say(the_pod(server), "bconsul", "words before", previous=True)
    with pytest.raises(Problem) as caught:
        rollout.wait(api, ["bconsul"], 600, "it")
    assert caught.value.detail == "words before"


def test_a_wait_that_takes_too_long_says_what_each_pod_waits_for(api: Api, server: ApiServer) -> None:
    server.controller.unready.add("bconsul")
    server.add(DEPLOYMENT)
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    server.change("Pod", the_pod(server), {"status": {"conditions": [unscheduled]}})
    with pytest.raises(Problem) as caught:
        rollout.wait(api, ["bconsul"], 0.5, "it")
    assert caught.value.message == "Not ready after 0 s: bconsul."
    assert f"{the_pod(server)}: 0/1 nodes are available" in caught.value.detail


STATEFUL = {**DEPLOYMENT, "kind": "StatefulSet"}


def with_image(workload: dict, image: str) -> dict:
    changed = copy.deepcopy(workload)
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return {**changed, "metadata": {**changed["metadata"], "namespace": "boulder"}}


def test_a_stateful_set_that_a_bad_configuration_broke_gets_well_with_the_right_one(api: Api, server) -> None:
    """kubernetes/kubernetes#67250: it waits for its broken pod before it makes one of the new template."""
    server.controller.crashes["bconsul"] = 1
    api.apply([with_image(STATEFUL, "bad")])
    with pytest.raises(Problem, match="cannot start"):
        rollout.wait(api, ["bconsul"], 20, "it")
    server.controller.crashes.clear()
    api.apply([with_image(STATEFUL, "good")])
    (broken,) = server.store.list("Pod", "boulder")
    assert broken["spec"]["containers"][0]["image"] == "bad"
    assert rollout.wait(api, ["bconsul"], 20, "it")
    assert [pod["spec"]["containers"][0]["image"] for pod in server.store.list("Pod", "boulder")] == ["good"]


@pytest.mark.parametrize("state", [{"running": {}}, {"waiting": {"reason": "CrashLoopBackOff"}}])
def test_crashes_of_before_this_command_do_not_count(api: Api, server: ApiServer, state: dict) -> None:
    """Boulder's build was broken, `up` said so, and the build is repaired."""
    server.controller.unready.add("bconsul")
    server.add(DEPLOYMENT)
    (before,) = server.store.list("Pod", "boulder")
    server.change("Pod", the_pod(server), {"status": pod(container(restarts=4, last=CRASH, **state))["status"]})
    known = rollout.objects(api)
    threading.Timer(1.5, lambda: (server.controller.unready.clear(), server.controller.settle_all())).start()
    assert rollout.wait(api, ["bconsul"], 20, "it", known)
    (after,) = server.store.list("Pod", "boulder")
    is_new = before["metadata"]["uid"] != after["metadata"]["uid"]
    assert is_new == ("waiting" in state)  # Kubernetes would let it wait for up to five minutes


@pytest.mark.parametrize("status", [pod(phase="Failed", reason="Evicted"), pod(waiting("ErrImageNeverPull"))])
def test_what_kept_a_pod_from_starting_before_this_command_does_not_count(api, server, status: dict) -> None:
    server.controller.unready.add("bconsul")
    server.add(DEPLOYMENT)
    server.change("Pod", the_pod(server), {"status": status["status"]})
    server.controller.unready.clear()
    assert rollout.wait(api, ["bconsul"], 20, "it")


def made_by(kind: str, name: str, **labels: str) -> dict:
    return {
        "kind": "Pod",
        "metadata": {"name": "p", "labels": labels, "ownerReferences": [{"kind": kind, "name": name}]},
    }


@pytest.mark.parametrize(
    ("number", "seen", "newest"), [("2", 5, True), ("1", 5, False), ("2", 4, None), ("1", 4, None)]
)
def test_only_pods_of_a_deployments_newest_template_are_to_blame(api, server, number, seen, newest) -> None:
    numbered = {"annotations": {"deployment.kubernetes.io/revision": number}}
    owners = {"ownerReferences": [{"kind": "Deployment", "name": "bconsul", "uid": "x"}]}
    spec = {"replicas": 1}
    server.add(
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "r", **numbered, **owners}, "spec": spec}
    )
    deployment = {
        "kind": "Deployment",
        "metadata": {"name": "bconsul", "generation": 5, "annotations": {"deployment.kubernetes.io/revision": "2"}},
        "status": {"observedGeneration": seen},
    }
    assert culprit.of_newest_template(api, made_by("ReplicaSet", "r"), [deployment]) is newest


def test_a_job_and_a_pod_of_nobodys_are_always_to_blame(api: Api) -> None:
    assert culprit.of_newest_template(api, made_by("Job", "bminio-init"), [])
    assert culprit.of_newest_template(api, pod(), [])


def test_pods_with_another_label_of_their_own_are_seen(api: Api, server: ApiServer) -> None:
    """CoreDNS's have k8s-app=kube-dns."""
    labels = {"k8s-app": "kube-dns"}
    system = api.within("kube-system")
    coredns = copy.deepcopy(DEPLOYMENT)
    coredns["metadata"] = {"name": "coredns", "namespace": "kube-system"}
    coredns["spec"] |= {"selector": {"matchLabels": labels}}
    coredns["spec"]["template"]["metadata"]["labels"] = labels
    server.controller.crashes["coredns"] = 1
    server.remove("Deployment", "coredns", "kube-system")
    server.add(coredns, "kube-system")
    with pytest.raises(Problem, match="coredns.* cannot start: ended 2 times"):
        rollout.wait(system, ["coredns"], 20, "the cluster's DNS", labels="k8s-app=kube-dns")
