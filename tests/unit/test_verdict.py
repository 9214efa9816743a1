"""How a row ended, from its Job and its pods: the record and the exit code must agree, and a disruption is no failure."""

from __future__ import annotations

import json

import pytest

from boulder_k8s.matrix import verdict as verdicts
from boulder_k8s.matrix.course import Course, exit_code
from boulder_k8s.matrix.verdict import ERROR, FAILED, PASSED, Verdict, look, record_of, stuck, verdict

BEGAN, OVER = "2026-01-01T00:01:00Z", "2026-01-01T00:09:00Z"


def record(code: int, **others: object) -> str:
    return json.dumps({"exit_code": code, "stdout": 5, "stderr": 0, "began": 1.0, "ended": 2.5, **others})


def job(*conditions: str, reason: str = "", **spec: object) -> dict:
    found = [{"type": name, "status": "True", "reason": reason, "message": ""} for name in conditions]
    return {"metadata": {"name": "t"}, "spec": spec, "status": {"conditions": found} if found else {}}


def ended(code: int, message: str = "", reason: str = "Error") -> dict:
    return {
        "terminated": {
            "exitCode": code,
            "message": message,
            "reason": reason,
            "startedAt": BEGAN,
            "finishedAt": OVER,
        }
    }


def pod(main: dict | None = None, init: list[dict] | None = None, node: str = "n1", at: str = "1", **status) -> dict:
    names = [item["name"] for item in init or []]
    return {
        "metadata": {"name": f"t-{at}", "uid": at, "creationTimestamp": at},
        "spec": {
            "nodeName": node,
            "containers": [{"name": "boulder"}],
            "initContainers": [{"name": name} for name in names],
        },
        "status": {
            "phase": "Pending",
            "containerStatuses": [{"name": "boulder", "state": main}] if main else [],
            "initContainerStatuses": init or [],
            **status,
        },
    }


DISRUPTED = {"conditions": [{"type": "DisruptionTarget", "status": "True"}]}


def of(job: dict, *pods: dict) -> tuple[str, int | None, str]:
    found = verdict(job, pods)
    return found.kind, found.code, found.why


def test_tests_that_ended_with_0_passed() -> None:
    assert of(job("Complete"), pod(ended(0, record(0)))) == (PASSED, 0, "")


@pytest.mark.parametrize("code", [1, 2, 3, 127, 137, 143, 255])
def test_tests_that_ended_with_another_code_failed(code: int) -> None:
    assert of(job("Failed"), pod(ended(code, record(code)))) == (FAILED, code, "")


@pytest.mark.parametrize(("recorded", "code", "condition"), [(0, 1, "Failed"), (1, 0, "Complete"), (1, 137, "Failed")])
def test_a_record_that_does_not_agree_is_no_verdict(recorded: int, code: int, condition: str) -> None:
    kind, found, why = of(job(condition), pod(ended(code, record(recorded))))
    assert (kind, found) == (ERROR, None)
    assert why == f"the record says that the tests ended with {recorded}, and the container ended with {code}"


def test_a_0_of_a_job_that_failed_is_no_verdict() -> None:
    kind, _, why = of(job("Failed", reason="DeadlineExceeded"), pod(ended(0, record(0))))
    assert (kind, why) == (ERROR, "the tests ended with 0, and the Job failed: DeadlineExceeded")


@pytest.mark.parametrize(
    "message", ["", "disk full", "{", "[]", "1", record(256), record(-1), record(1, stdout="x"), record(True)]
)
@pytest.mark.parametrize("code", [0, 1])
def test_without_a_record_there_is_no_verdict(message: str, code: int) -> None:
    assert of(job("Complete" if not code else "Failed"), pod(ended(code, message)))[0] == ERROR


@pytest.mark.parametrize(
    ("main", "status", "words"),
    [
        (ended(137, reason="OOMKilled"), {}, "the pod ran out of memory"),
        (ended(74, "stdout: No space left on device"), {}, "No space left on device"),
        (ended(143), {"reason": "DeadlineExceeded", "message": "Pod was active"}, "DeadlineExceeded: Pod was active"),
        (ended(137), {"reason": "Evicted", "message": "low on memory"}, "Evicted: low on memory"),
    ],
)
def test_why_there_is_no_record_is_said(main: dict, status: dict, words: str) -> None:
    kind, code, why = of(job("Failed"), pod(main, **status))
    assert (kind, code) == (ERROR, None) and words in why


def test_an_init_container_that_fails_is_an_error_with_its_log() -> None:
    init = [
        {"name": "checkout", "state": {"terminated": {"exitCode": 0}}},
        {"name": "bsetup", "state": {"terminated": {"exitCode": 3}}},
        {"name": "bconsul", "state": {"waiting": {"reason": "PodInitializing"}}},
    ]
    found = verdict(job("Failed"), [pod(init=init, phase="Failed")])
    assert (found.kind, found.container, found.why) == (ERROR, "bsetup", "bsetup ended with 3 before the tests")


def test_tests_that_never_began_and_nobody_says_why() -> None:
    assert of(job("Failed", reason="BackoffLimitExceeded"), pod())[2] == "the tests never began: BackoffLimitExceeded"
    assert of(job("Failed"), pod(reason="Evicted"))[2] == "the tests never began: Evicted"
    assert of(job("Failed", reason="BackoffLimitExceeded"))[2] == "its pod is gone (BackoffLimitExceeded)"


def crash(at: str, code: int = 139) -> dict:
    last = {"terminated": {"exitCode": code, "reason": "Error", "finishedAt": at}}
    return {"name": "bredis-1", "restartCount": 1, "started": True, "state": {"running": {}}, "lastState": last}


def test_a_service_that_ends_while_tests_fail_is_the_reason() -> None:
    found = verdict(job("Failed"), [pod(ended(1, record(1)), [crash("2026-01-01T00:05:00Z")])])
    assert (found.kind, found.container) == (ERROR, "bredis-1")
    assert found.why == "bredis-1 ended with 139 (Error) while the tests ran, which ended with 1"


@pytest.mark.parametrize("at", ["2026-01-01T00:00:30Z", "2026-01-01T00:10:00Z"])
def test_a_service_that_ends_before_or_after_the_tests_is_none(at: str) -> None:
    assert of(job("Failed"), pod(ended(1, record(1)), [crash(at)]))[0] == FAILED


def test_services_that_the_end_of_the_pod_ends_are_none() -> None:
    init = [{"name": "bminio", "restartCount": 0, "started": False, "state": ended(137)}]
    assert of(job("Failed"), pod(ended(1, record(1)), init))[0] == FAILED
    assert of(job("Complete"), pod(ended(0, record(0)), [crash("2026-01-01T00:05:00Z")]))[0] == PASSED


def test_the_newest_pod_counts_after_a_disruption() -> None:
    before = pod(ended(143), at="1", **DISRUPTED)
    assert verdict(job(), [before]) is None
    assert of(job("Complete"), before, pod(ended(0, record(0)), at="2"))[0] == PASSED
    assert verdicts.is_disrupted(before) and not verdicts.is_disrupted(pod())


def test_a_row_says_what_it_does() -> None:
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available:\n too few cpu"}
    assert look(job(), []).state == "queued"
    suspended = job("Suspended", suspend=True)
    assert look(suspended, []).state == "queued"
    found = look(job(), [pod(node="", conditions=[unscheduled])])
    assert (found.state, found.detail) == ("queued", "0/1 nodes are available: too few cpu")
    init = [
        {"name": "checkout", "state": {"terminated": {"exitCode": 0}}},
        {"name": "bconsul", "state": {"running": {}}},
    ]
    found = look(job(), [pod(init=init)])
    assert (found.state, found.node, found.detail) == ("starting", "n1", "bconsul")
    assert look(job(), [pod({"running": {"startedAt": BEGAN}})]).state == "running"
    assert look(job(), [pod(ended(0))]).state == "ending"


def test_a_pod_that_can_never_start_is_an_error_at_once() -> None:
    waits = {"waiting": {"reason": "ErrImageNeverPull", "message": "no image"}}
    found = stuck(pod(init=[{"name": "bconsul", "state": waits}]))
    assert (found.kind, found.why) == (ERROR, "bconsul cannot start: ErrImageNeverPull: no image")
    assert stuck(pod(init=[{"name": "bconsul", "state": {"waiting": {"reason": "PodInitializing"}}}])) is None
    assert stuck(pod(phase="Failed")) is None  # the Job says it


@pytest.mark.parametrize(
    ("kinds", "code"),
    [((PASSED, PASSED), 0), ((PASSED, FAILED), 1), ((FAILED, ERROR), 2), ((PASSED, None), 2), ((PASSED, ERROR), 2)],
)
def test_the_exit_code_is_of_all_rows(tmp_path, kinds: tuple, code: int) -> None:
    courses = [Course("t", "./t.sh", tmp_path, verdict=Verdict(kind) if kind else None) for kind in kinds]
    assert exit_code(courses) == code


def test_a_record_is_read_whole() -> None:
    found = record_of(record(3))
    assert (found.code, found.lengths, found.ended - found.began) == (3, {"stdout": 5, "stderr": 0}, 1.5)
