"""The sentence on top of a bundle names what probably happened."""

from __future__ import annotations

import pytest

from boulder_k8s.diagnose.cause import Facts, cause, summary
from boulder_k8s.diagnose.findings import Findings
from boulder_k8s.diagnose.output import parse

PHASES = {"cluster": 1.0, "images": 0.1, "dependencies": 2.0}


def pod(name: str, **container: object) -> dict:
    status = {"containerStatuses": [{"name": "c", "state": {"running": {}}} | container]}
    return {"kind": "Pod", "metadata": {"name": name}, "status": status}


OOM = pod("bvitess-0", restartCount=2, lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}})
EVICTED = {"kind": "Pod", "metadata": {"name": "b-x"}, "status": {"reason": "Evicted", "message": "low on disk"}}
SAID = parse(["--- FAIL: TestOne (0.0s)", "FAIL\texample/va\t1s", "FAILURE while running unit"], Findings())


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (Facts({"failure": "Problem: Port 4001 is taken."}), ["Port 4001 is taken"]),
        (
            Facts({"failure": "Problem: x (container c) cannot start: y.", "phases": PHASES}),
            ["cannot start", "dependencies"],
        ),
        (Facts({"failure": "killed: OOMKilled, the pod ran out of memory"}), ["OOMKilled"]),
        (Facts({"exit_code": 1}, objects=[OOM]), ["bvitess-0 (c) ended with 137 (OOMKilled)", "restarted 2 times"]),
        (Facts({"exit_code": 1}, objects=[EVICTED]), ["b-x: Evicted, low on disk"]),
        (Facts({"exit_code": 1}, free={"/": 5 << 20}), ["the disk of / has 5 MiB left"]),
        (Facts({"exit_code": 1}, said=SAID), ["exit code 1 in its stage unit", "1 package failed: example/va"]),
        (Facts({"failure": "Interrupted: 2"}), ["it was interrupted"]),
        (Facts({}, objects=[pod("b-x", restartCount=1)]), ["b-x (c) restarted 1 times"]),
        (Facts({"exit_code": 0, "ended": 1.0}), ["nothing: the run ended with 0"]),
        (Facts(), ["nothing is known"]),
        (Facts({"began": 1.0}), ["it still runs, or its wrapper was killed"]),
    ],
)
def test_the_cause(facts: Facts, words: list[str]) -> None:
    assert [word for word in words if word not in cause(facts)] == [], cause(facts)


def test_the_page_has_the_run_its_phases_and_what_speaks_for_it() -> None:
    record = {
        "arguments": ["--unit"],
        "began": 0.0,
        "ended": 61.5,
        "exit_code": 1,
        "phases": PHASES,
        "versions": {"kind": "0.33.0"},
    }
    crashing = pod("bjaeger-x", state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}})
    text = summary(Facts(record, 1, SAID, [crashing]))
    for words in (
        "Probably: the tests failed",
        "run       --unit, began 1970-01-01 00:00:00 UTC",
        "exit code 1 after 61.5 s",
        "phase     dependencies: 2.0 s",
        "version   kind: 0.33.0",
        "bjaeger-x (c) waits: CrashLoopBackOff back-off",
        "What failed:\n  1 package failed: example/va\n  example/va TestOne: failed\n",
    ):
        assert words in text, text


BEGAN = 1_790_000_000.0  # 2026-09-21
DAYS_AGO, MEANWHILE = "2026-09-18T10:00:00Z", "2026-09-22T10:00:00Z"


def oom(at: str) -> dict:
    ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": at}
    return pod("bvitess-0", restartCount=2, lastState={"terminated": ended})


def evicted(at: str) -> dict:
    conditions = [{"type": "DisruptionTarget", "status": "True", "lastTransitionTime": at}]
    return {**EVICTED, "status": {**EVICTED["status"], "phase": "Failed", "conditions": conditions}}


def warning(reason: str, about: str, at: str) -> dict:
    metadata = {"kind": "Event", "type": "Warning", "metadata": {"name": "e"}, "lastTimestamp": at}
    return {**metadata, "reason": reason, "message": "m", "involvedObject": {"name": about}}


@pytest.mark.parametrize("make", [oom, evicted, lambda at: warning("SystemOOM", "node", at)])
def test_what_had_happened_before_the_run_is_no_cause(make) -> None:
    record = {"began": BEGAN, "ended": BEGAN + 9, "exit_code": 1}
    assert "the tests failed" in cause(Facts(record, 1, objects=[make(DAYS_AGO)]))
    assert "nothing out of the ordinary" in summary(Facts(record, 1, objects=[make(DAYS_AGO)]))
    assert "nothing out of the ordinary" not in summary(Facts(record, 1, objects=[make(MEANWHILE)]))


def test_a_pod_that_had_to_wait_and_is_ready_is_not_worth_a_line() -> None:
    well = {**pod("bredis-1-0"), "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    late = [warning("FailedScheduling", "bredis-1-0", MEANWHILE), warning("FailedScheduling", "bmariadb-0", MEANWHILE)]
    text = summary(Facts({"began": BEGAN}, objects=[well, *late]))
    assert "FailedScheduling bmariadb-0" in text and "FailedScheduling bredis-1-0" not in text
