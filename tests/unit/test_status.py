"""What `invoke status` makes of the cluster's objects and the run directories."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from boulder_k8s.cluster.errors import ApiError
from boulder_k8s.commands import live, status
from boulder_k8s.host.errors import Interrupted
from boulder_k8s.host.settings import Settings
from boulder_k8s.run.directory import last_run


def text(found: status.Status) -> str:
    return "\n".join(map(str, status.lines(found)))


def workload(name: str, ready: bool = True, replicas: int = 1, env: list[dict] | None = None) -> dict:
    count = replicas if ready else 0
    container = {"name": name, "image": f"{name}:1", "env": env or []}
    return {
        "kind": "Deployment",
        "metadata": {"name": name, "generation": 1},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [container]}}},
        "status": {"observedGeneration": 1, "updatedReplicas": count, "readyReplicas": count, "replicas": count},
    }


def pod(name: str, service: str, restarts: int = 0, waiting: str = "") -> dict:
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": service}},
        "spec": {},
        "status": {"phase": "Running", "containerStatuses": [{"restartCount": restarts, "state": state}]},
    }


@pytest.mark.parametrize(
    ("phase", "counts", "ready"),
    [("Running", {"active": 1}, False), ("Succeeded", {"succeeded": 1}, True), ("Failed", {"failed": 1}, False)],
)
def test_a_service_that_runs_once_shows_how_far_it_is(phase: str, counts: dict, ready: bool) -> None:
    """It has no replicas, and at its name there is no address but the pod's own."""
    job = workload("bnew") | {"kind": "Job", "status": counts}
    del job["spec"]["replicas"]
    once = pod("bnew-x", "bnew")
    once["status"]["phase"] = phase
    network = {"kind": "Service", "metadata": {"name": "bnew"}, "spec": {"clusterIP": "None"}}
    (found,) = status.services([job, once, network], {})
    assert (found.state, found.ready, found.address) == (phase, ready, "")


def test_a_service_shows_readiness_restarts_address_and_why_it_waits() -> None:
    network = {
        "kind": "Service",
        "metadata": {"name": "bconsul"},
        "spec": {"clusterIP": "10.77.77.10", "ports": [{"port": 53, "protocol": "UDP"}, {"port": 8500}]},
    }
    objects = [
        workload("bconsul"),
        pod("bconsul-x", "bconsul", restarts=2),
        network,
        workload("bjaeger", ready=False),
        pod("bjaeger-x", "bjaeger", waiting="ImagePullBackOff"),
        workload("boulder", replicas=0),
    ]
    bconsul, bjaeger, boulder = status.services(objects, {"bjaeger-x": 5, "another": 7})
    assert (bconsul.ready, bconsul.restarts, bconsul.address, bconsul.image) == (True, 2, "10.77.77.10", "bconsul:1")
    assert (bconsul.state, bconsul.ports) == ("Running", ["53/udp", "8500/tcp"])
    assert (bjaeger.ready, bjaeger.state, bjaeger.memory) == (False, "ImagePullBackOff", 5)
    assert (boulder.ready, boulder.state) == (False, "scaled down")


def test_the_configuration_is_the_deployments() -> None:
    env = [{"name": "FAKE_DNS", "value": "x"}, {"name": "BOULDER_CONFIG_DIR", "value": "test/config-next"}]
    assert status.configuration([workload("bconsul"), workload("boulder", env=env)]) == "test/config-next"
    assert status.configuration([workload("bconsul")]) == ""


def test_the_last_run_is_this_clusters_newest_that_ran_tests(settings: Settings) -> None:
    assert last_run(settings) == {}
    runs = [
        (
            "20260101T000000Z-t",
            {"cluster": settings.cluster, "arguments": ["-i"], "began": 1.0, "ended": 3.5, "exit_code": 7},
        ),
        ("20260102T000000Z-up", {"cluster": settings.cluster, "arguments": ["up"], "began": 2.0}),
        ("20260103T000000Z-t", {"cluster": "another", "arguments": ["-u"], "began": 3.0}),
    ]
    for name, record in runs:
        (settings.runs / name).mkdir(parents=True)
        (settings.runs / name / "run.json").write_text(json.dumps(record))
    (settings.runs / "20260104T000000Z-t").mkdir()  # of a wrapper that was killed early
    found = last_run(settings)
    assert (found["arguments"], found["exit_code"], found["seconds"]) == (["-i"], 7, 2.5)


def test_a_dependency_that_ended_during_the_last_run_is_named() -> None:
    ended = {"service": "bredis-1", "exit_code": 137, "reason": "OOMKilled", "ended": "2026-01-01T00:00:00Z"}
    last = {"began": 1.0, "arguments": ["-i"], "failure": None, "seconds": 2.0, "exit_code": 0, "directory": "d"}
    said = text(status.Status("c", "running", last_run={**last, "restarts": [ended]}))
    assert "bredis-1 ended at 2026-01-01T00:00:00Z with exit code 137 (OOMKilled)" in said


def test_plain_lines_name_what_is_not_ready() -> None:
    one = status.Service("bjaeger", False, 3, "CrashLoopBackOff", "i:1", "10.77.77.134", ["1/tcp"] * 6, 300 << 20)
    said = text(status.Status("c", "running", "/b", "0123456789abc", "test/config", "http://x", ["p"], [one]))
    assert "\x1b" not in said
    for word in ("bjaeger", "CrashLoopBackOff", "and 2 more", "012345678,", "not ready", "300 MiB"):
        assert word in said


def test_it_is_shown_anew_when_it_has_changed_until_a_signal(settings: Settings, monkeypatch, capsys) -> None:
    """Without a terminal; an API server that does not answer is said, and asked again."""
    one = status.Service("bjaeger", False, 0, "Pending", "i:1", "", [])
    seen: list[object] = [
        [one],
        [one],
        ApiError("refused"),
        [replace(one, ready=True, state="Running")],
        Interrupted(2),
    ]

    def look(_: Settings) -> status.Status:
        found = seen.pop(0)
        if isinstance(found, BaseException):
            raise found
        return status.Status("c", "running", services=found)

    monkeypatch.setattr(live, "look", look)
    monkeypatch.setattr(live, "OFTEN", 0)
    assert live.follow(settings) == 130
    said = capsys.readouterr().out
    assert [said.count(word) for word in ("Pending", "does not answer: refused", "Running")] == [1, 1, 1]
