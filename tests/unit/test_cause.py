"""The sentence on top of a bundle names what probably happened."""

from __future__ import annotations

import pytest

from boulder_k8s.diagnose.cause import Facts, cause, summary

PHASES = {"cluster": 1.0, "images": 0.1, "dependencies": 2.0}


def pod(name: str, **container: object) -> dict:
    status = {"containerStatuses": [{"name": "c", "state": {"running": {}}} | container]}
    return {"kind": "Pod", "metadata": {"name": name}, "status": status}


OOM = pod("bvitess-0", restartCount=2, lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}})
EVICTED = {"kind": "Pod", "metadata": {"name": "b-x"}, "status": {"reason": "Evicted", "message": "low on disk"}}
SAID = (
    "ok x\n--- FAIL: TestOne (0.0s)\nFAIL\texample/va\t1s\n\x1b[31mFAILURE\x1b[0m while running \x1b[31munit\x1b[0m\n"
)


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
        (Facts({"exit_code": 1}, said=SAID), ["exit code 1 in its stage unit", "FAIL\texample/va"]),
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
        "--- FAIL: TestOne",
    ):
        assert words in text, text
