"""A matrix on a small API server: what is made, how the rows are followed, what they leave, and that nothing stays."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.api_server import ApiServer
from support.matrix import NAMESPACE, Rows
from support.pods import eventually

from boulder_k8s.cluster.api import Api
from boulder_k8s.host.errors import Problem
from boulder_k8s.matrix import course, table
from boulder_k8s.matrix.job import MATRIX, ROW
from boulder_k8s.matrix.objects import Matrix, new_name
from boulder_k8s.matrix.verdict import ERROR, FAILED, PASSED


@pytest.fixture
def rows(server: ApiServer, api: Api, tmp_path: Path) -> Iterator[Rows]:
    (tmp_path / "runs").mkdir()
    yield Rows(server, api, tmp_path / "runs", "one", "two")


def test_rows_pass_and_fail_each_for_itself(rows: Rows) -> None:
    rows.start().ended("two", 3)
    rows.ended("one", 0)
    found = rows.end()
    assert (found["one"].verdict.kind, found["two"].verdict.kind) == (PASSED, FAILED)
    assert course.exit_code([*found.values()]) == 1
    assert (rows.directory / "one/stdout").read_text() == "output"
    assert (rows.directory / "one/services/bconsul.log").read_text() == "consul says\n"
    assert json.loads((rows.directory / "two/verdict.json").read_text())["exit_code"] == 3
    assert json.loads((rows.directory / "two/pod.json").read_text())["metadata"]["name"] == "two-1"
    assert "two: failed exit code 3, 1 s" in rows.told
    assert table.text([*found.values()]).splitlines()[0].split() == [
        "passed",
        "./t.sh",
        "--one",
        "exit",
        "code",
        "0,",
        "1",
        "s",
    ]
    assert "| `./t.sh --two` | failed | node-1 |" in table.markdown([*found.values()])


def test_a_row_that_waits_for_room_says_so_once(rows: Rows, server: ApiServer) -> None:
    metadata = {"name": "one-0", "labels": {MATRIX: "m1", ROW: "one"}}
    server.add({"kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "boulder"}]}}, NAMESPACE)
    waits = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}
    server.change("Pod", "one-0", {"status": {"phase": "Pending", "conditions": [waits]}}, NAMESPACE)
    line = "one: queued (0/1 nodes are available: 1 Insufficient cpu.)"
    rows.start()
    eventually(lambda: line in rows.told, "the scheduler's words")
    rows.ended("two", 0)
    rows.ended("one", 0)
    rows.end()
    assert rows.told.count(line) == 1


def test_a_0_whose_output_is_not_whole_is_no_verdict_and_a_failure_stays_one(rows: Rows) -> None:
    rows.start().ended("one", 0, send=False)
    rows.ended("two", 1, send=False)
    found = rows.end()
    assert found["one"].verdict.kind == ERROR and "not all that they wrote is here" in found["one"].verdict.why
    assert found["two"].verdict.kind == FAILED and "bytes of stdout" in found["two"].missing
    assert (rows.directory / "one/services/boulder.log").read_text() == "the tests' own log\n"


def test_a_record_that_does_not_agree_is_an_error_with_its_log(rows: Rows) -> None:
    rows.start().ended("one", 0)
    rows.ended("two", 1, recorded=0)
    found = rows.end()
    assert found["two"].verdict.kind == ERROR and found["two"].log == "the tests' own log"
    assert course.exit_code([*found.values()]) == 2


def test_a_disruption_is_counted_and_the_next_pod_decides(rows: Rows) -> None:
    rows.start().ended("two", 0)
    disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    rows.pod("one", "one-0", "Failed", conditions=[disrupted])
    eventually(lambda: rows.courses["one"].disrupted, "the disruption")
    rows.server.remove("Pod", "one-0", NAMESPACE)
    rows.ended("one", 0)
    found = rows.end()
    assert found["one"].verdict.kind == PASSED
    assert "run 2 times, because the cluster ended it" in table.details(found["one"])


def test_a_pod_that_cannot_start_is_an_error_and_leaves_its_place(rows: Rows) -> None:
    rows.start().ended("two", 0)
    waits = {"name": "bconsul", "state": {"waiting": {"reason": "ErrImageNeverPull", "message": "none"}}}
    rows.pod("one", "one-1", "Pending", initContainerStatuses=[waits])
    found = rows.end()
    assert found["one"].verdict.why == "bconsul cannot start: ErrImageNeverPull: none"
    assert rows.server.find("Job", "one", NAMESPACE) is None


def test_a_row_whose_job_somebody_deletes_is_an_error(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "PAUSE", 0.2)
    rows.start().ended("two", 0)
    rows.server.remove("Job", "one", NAMESPACE)
    assert rows.end()["one"].verdict.why == "somebody has deleted its Job"


def test_a_connection_that_breaks_loses_no_row(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "PAUSE", 0.2)
    rows.start().ended("two", 0)
    rows.pod("one", "one-1", containerStatuses=[{"name": "boulder", "state": {"running": {"startedAt": "1"}}}])
    eventually(lambda: rows.courses["one"].state == "running", "the row")
    for _ in range(3):
        rows.server.disconnect()
        time.sleep(0.6)  # a watch begins again after half a second
    rows.ended("one", 0)
    assert {found.verdict.kind for found in rows.end().values()} == {PASSED}
    assert not [line for line in rows.told if "queued" in line]


def test_all_that_is_made_says_whose_it_is_and_goes_with_the_namespace(rows: Rows) -> None:
    labels = {"app.kubernetes.io/part-of": "boulder-matrix", MATRIX: "m1"}
    for kind, name in (("Namespace", NAMESPACE), ("ConfigMap", "checkout-1"), ("Job", "one"), ("Job", "two")):
        found = rows.server.find(kind, name, NAMESPACE)["metadata"]
        assert labels.items() <= found["labels"].items(), (kind, name)
    enforced = rows.server.find("Namespace", NAMESPACE)["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert enforced == "privileged"
    owners = rows.server.find("ConfigMap", "checkout-1", NAMESPACE)["metadata"]["ownerReferences"]
    assert [(item["kind"], item["name"]) for item in owners] == [("Job", "one"), ("Job", "two")]  # it goes with them
    assert rows.matrix.remove()
    assert rows.server.find("Namespace", NAMESPACE) is None


def test_a_namespace_that_is_somebody_elses_is_left_alone(server: ApiServer, api: Api) -> None:
    server.add({"kind": "Namespace", "metadata": {"name": NAMESPACE}})
    with pytest.raises(Problem, match="exists, and this matrix did not make it"):
        Matrix.of("m1", api).claim()


def test_names_of_matrices_are_names_of_namespaces() -> None:
    one, other = new_name(), new_name()
    assert one != other and len(f"boulder-matrix-{one}") < 63 and one.replace("-", "").isalnum()
