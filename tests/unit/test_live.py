"""The rows while they run, for people."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.api_server import ApiServer
from support.matrix import Rows
from support.pods import eventually

from boulder_k8s.cluster.api import Api
from boulder_k8s.matrix import live
from boulder_k8s.matrix.course import Course
from boulder_k8s.matrix.live import Tally, lines
from boulder_k8s.matrix.verdict import ENDING, ERROR, FAILED, PASSED, QUEUED, RUNNING, STARTING, Look, Verdict


def course(name: str, look: Look, verdict: Verdict | None = None) -> Course:
    return Course(name, f"./t.sh --{name}", Path("/x"), look=look, verdict=verdict)


ROWS = [
    course("a", Look(QUEUED, detail="0/1 nodes are available")),
    course("b", Look(STARTING, "node-1", "bconsul", "2026-01-01T00:00:00Z")),
    course("c", Look(RUNNING, "node-1", since="nonsense")),
    course("d", Look(ENDING, "node-1"), Verdict(FAILED, 3)),
    course("e", Look(QUEUED), Verdict(ERROR, why="[bold]its Job is gone")),
    course("f", Look(ENDING, "node-2"), Verdict(PASSED, 0)),
]


def test_every_row_is_a_line_with_what_there_is_to_say() -> None:
    found = [text.plain for text in lines(ROWS, {"c": "3 passed, 1 failed"}, 40)]
    assert found[0] == "6 rows: 1 failed, 1 error, 1 running, 1 starting, 1 queued, 1 passed"
    assert found[1].split() == ["queued", "./t.sh", "--a", "0/1", "nodes", "are", "available"]
    assert found[2].startswith("starting ") and found[2].endswith("waits for bconsul") and "node-1" in found[2]
    assert found[3].endswith("node-1  3 passed, 1 failed")
    assert found[4].endswith("node-1  exit code 3") and "[bold]its Job is gone" in found[5]


def test_a_table_that_does_not_fit_shows_what_is_wrong_first() -> None:
    many = [course(f"p{number}", Look(ENDING), Verdict(PASSED, 0)) for number in range(1000)]
    found = [text.plain for text in lines([*many, *ROWS], {}, 10)]
    assert len(found) == 10 and found[-1] == "and 998 more"
    assert [text.split()[0] for text in found[1:-1]][:5] == ["failed", "error", "running", "starting", "queued"]


def test_tests_are_counted_as_they_come(
    server: ApiServer, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "AGAIN", 0.05)
    rows = Rows(server, api, tmp_path, "one")
    running = {"name": "boulder", "state": {"running": {}}}
    rows.pod("one", "one-1", containerStatuses=[running])
    found = rows.courses["one"]
    tally = Tally(rows.matrix.api, found)
    tally.start()
    found.pod = "one-1"
    server.say("one-1", "boulder", "--- PASS: TestOne (0s)", "    --- FAIL: TestTwo/sub (0s)", "no --- PASS: test")
    eventually(lambda: tally.text == "1 passed, 1 failed", "both tests")
    found.verdict = Verdict(PASSED, 0)
    server.disconnect()
    tally.join(10)
    assert not tally.is_alive()


def test_without_a_terminal_each_change_is_a_line(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    with live.shown(api, ROWS) as changed:
        changed(ROWS[1])
    assert capsys.readouterr().err == "boulder-k8s: b: starting on node-1 (waits for bconsul)\n"


def test_on_a_terminal_the_table_is_shown_in_its_place(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(live, "interactive", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    with live.shown(api, ROWS[:2]) as changed:
        changed(ROWS[0])
    assert "2 rows: 1 starting, 1 queued" in capsys.readouterr().err
