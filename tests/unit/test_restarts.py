"""A dependency that ended while tests ran: it is named, although the kubelet has started it again."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from support.api_server import ApiServer

from boulder_k8s.cluster.api import Api
from boulder_k8s.host.settings import Settings
from boulder_k8s.run import restarts
from boulder_k8s.run.directory import Run
from boulder_k8s.run.restarts import Restarts


def stamp(seconds: float = 0) -> str:
    """The time `seconds` from now, as Kubernetes writes it."""
    return datetime.fromtimestamp(time.time() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ended(number: int, at: str, code: int = 137) -> dict:
    state = {"exitCode": code, "reason": "Error", "startedAt": at, "finishedAt": at, "containerID": f"c://{number}"}
    return {"containerStatuses": [{"name": "c", "restartCount": number, "lastState": {"terminated": state}}]}


def add(server: ApiServer, service: str, status: dict, name: str = "", **more: str) -> None:
    labels = {"app.kubernetes.io/name": service, "app.kubernetes.io/part-of": "boulder", **more}
    server.add(
        {
            "kind": "Pod",
            "metadata": {"name": name or f"{service}-0", "labels": labels},
            "spec": {"containers": [{"name": "c"}]},
        }
    )
    server.change("Pod", name or f"{service}-0", {"status": status})


@pytest.fixture
def run(settings: Settings) -> Run:
    return Run.create(settings, ["t"], {})


def test_what_ended_meanwhile_is_recorded_and_said_in_one_line(
    api: Api, server: ApiServer, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    add(server, "bconsul", ended(1, stamp(-60)))  # before the tests
    add(server, "bredis-1", {})
    add(server, "boulder", ended(1, stamp(5)), "boulder-tests")  # the tests' own pod
    job = {"batch.kubernetes.io/job-name": "bnew-init"}
    add(server, "bnew-init", ended(2, stamp(5), 0), **job)  # what is to end
    with Restarts(api) as found:
        server.change("Pod", "bredis-1-0", {"status": ended(1, stamp())})
    found.report(run)
    (only,) = run.record["restarts"]
    assert (only["service"], only["exit_code"], only["reason"]) == ("bredis-1", 137, "Error")
    assert only["ended"] == only["began"] and only["ended"].endswith("Z")
    (line,) = capsys.readouterr().err.splitlines()
    assert "bredis-1 ended" in line and "exit code 137" in line and "Compose" in line


def test_each_end_of_a_container_that_ends_more_than_once(
    api: Api, server: ApiServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API has the last one only."""
    monkeypatch.setattr(restarts, "QUICK", 0.0)
    add(server, "bredis-1", {})
    with Restarts(api) as found:
        for number in (1, 2, 3):
            server.change("Pod", "bredis-1-0", {"status": ended(number, stamp(), 100 + number)})
            deadline = time.monotonic() + 20
            while len(found.found) < number:
                assert time.monotonic() < deadline, found.found
                time.sleep(0.02)
    found.report(run)
    assert [item["exit_code"] for item in run.record["restarts"]] == [101, 102, 103]


def test_nothing_is_said_when_nothing_ended_or_nobody_answers(
    api: Api, server: ApiServer, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    add(server, "bredis-1", {})
    with Restarts(api) as found:
        pass
    found.report(run)
    assert (run.record["restarts"], capsys.readouterr().err) == ([], "")
    server.fail("GET", "pods", 503, None)
    found.report(run)
    assert (run.record["restarts"], capsys.readouterr().err) == ([], "")
