"""`invoke matrix` around the rows: what it prints, what it leaves on the cluster, and what other commands find of it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest
import yaml
from support.api_server import ApiServer
from support.matrix import NAMESPACE, Rows, job
from support.pods import eventually

from boulder_k8s.cluster import api as door
from boulder_k8s.cluster.api import Api
from boulder_k8s.cluster.errors import ApiError
from boulder_k8s.commands import matrices
from boulder_k8s.commands import matrix as command
from boulder_k8s.commands.arguments import Options
from boulder_k8s.commands.matrices import Made
from boulder_k8s.commands.matrix import MatrixOptions
from boulder_k8s.host.errors import Interrupted, Problem
from boulder_k8s.host.settings import ROOT, Settings
from boulder_k8s.host.signals import Signals
from boulder_k8s.host.tools import Tools
from boulder_k8s.matrix import course
from boulder_k8s.matrix.objects import Matrix, names
from boulder_k8s.matrix.target import Target, following, remember


@pytest.fixture
def rows(server: ApiServer, api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Rows:
    """A matrix that is on the cluster, and which nobody follows."""
    monkeypatch.setattr(matrices, "server", lambda *_: api)
    monkeypatch.setattr(door, "PAUSE", 0.02)
    return Rows(server, api, remember(settings, "m1", Target()), "one", "two")


def attached(settings: Settings, signals: Signals) -> int:
    return matrices.attach(settings, signals, "m1", Target())


def test_a_matrix_that_nobody_follows_is_followed_to_its_end_and_removed(
    rows: Rows, settings: Settings, signals: Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    rows.ended("one", 0)
    rows.ended("two", 1)
    assert attached(settings, signals) == 1
    out, err = capsys.readouterr()
    assert [line.split()[:3] for line in out.splitlines()] == [
        ["passed", "./t.sh", "--one"],
        ["failed", "./t.sh", "--two"],
    ]
    assert "one: passed exit code 0" in err and "everything about these rows is in" in err
    assert rows.server.find("Namespace", NAMESPACE) is None
    assert "| `./t.sh --two` | failed |" in (rows.directory / "summary.md").read_text()


def test_what_failed_beside_the_tests_is_shown(
    rows: Rows, settings: Settings, signals: Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    rows.ended("one", 0)
    rows.ended("two", 1, recorded=0)
    assert attached(settings, signals) == 2
    assert "two: boulder said last:\n    the tests' own log" in capsys.readouterr().err


def test_a_name_that_no_matrix_has_is_said(rows: Rows, settings: Settings, signals: Signals) -> None:
    with pytest.raises(Problem, match="There is no matrix m2 on the cluster kind-unit"):
        matrices.attach(settings, signals, "m2", Target())


def test_a_matrix_is_followed_once(rows: Rows, settings: Settings, signals: Signals) -> None:
    with following(rows.directory), pytest.raises(Problem, match="Another command follows"):
        attached(settings, signals)


def test_a_signal_removes_what_was_made(rows: Rows, settings: Settings, signals: Signals) -> None:
    rows.ended("one", 0)

    def interrupt() -> None:
        eventually(lambda: (rows.directory / "one/verdict.json").exists(), "the first verdict")
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Interrupted):
        attached(settings, signals)
    assert rows.server.find("Namespace", NAMESPACE) is None


def test_a_cluster_that_answers_no_more_keeps_its_rows(
    rows: Rows,
    settings: Settings,
    signals: Signals,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows.ended("one", 0)
    rows.server.fail("GET", "/pods", 503, times=None)  # the list after the Job has ended
    monkeypatch.setattr("boulder_k8s.cluster.api.Api.ask", lambda self, request, _: self.once(request))
    with pytest.raises(ApiError):
        attached(settings, signals)
    assert "`invoke matrix --attach m1` follows them" in capsys.readouterr().err
    assert rows.server.find("Namespace", NAMESPACE)


def test_clean_removes_what_nobody_follows(rows: Rows, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with following(rows.directory):
        matrices.clean(settings, Target())
    assert rows.server.find("Namespace", NAMESPACE)
    assert "the matrix m1 stays: a command follows it" in capsys.readouterr().err
    matrices.clean(settings, Target())
    assert rows.server.find("Namespace", NAMESPACE) is None
    assert rows.server.find("Namespace", "default")


def test_clean_leaves_rows_of_others_that_have_not_ended(
    rows: Rows, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["rm", "-r", rows.directory], check=True)
    matrices.clean(settings, Target())
    assert "the matrix m1 stays: its rows have not ended" in capsys.readouterr().err
    for name in ("one", "two"):
        rows.over(name, "Complete")
    matrices.clean(settings, Target())
    assert rows.server.find("Namespace", NAMESPACE) is None


def test_what_cannot_be_removed_is_said(rows: Rows, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    rows.server.fail("DELETE", "/namespaces", 403, times=None)
    with pytest.raises(Problem, match="The cluster has not removed everything"):
        matrices.clean(settings, Target())
    assert "is still in the namespace boulder-matrix-m1: `invoke matrix --clean` removes it" in capsys.readouterr().err


def test_a_namespace_of_somebody_else_is_neither_used_nor_removed(
    server: ApiServer, api: Api, signals: Signals
) -> None:
    server.add({"kind": "Namespace", "metadata": {"name": NAMESPACE}})
    server.add({"kind": "ConfigMap", "metadata": {"name": "theirs"}}, NAMESPACE)
    with pytest.raises(Problem, match="exists, and this matrix did not make it"):
        matrices.start(signals, Matrix.of("m1", api), Made([], [job("one")]))
    assert server.find("ConfigMap", "theirs", NAMESPACE) and server.asked("DELETE") == []


def test_what_was_made_before_something_failed_is_removed(server: ApiServer, api: Api, signals: Signals) -> None:
    server.fail("POST", "/jobs", 422)
    with pytest.raises(ApiError):
        matrices.start(signals, Matrix.of("m1", api), Made([], [job("one")]))
    assert server.find("Namespace", NAMESPACE) is None


def test_matrices_in_a_namespace_that_is_there_do_not_meet(server: ApiServer, api: Api, signals: Signals) -> None:
    for name in ("20260101-000001-aaaa", "20260101-000002-bbbb"):
        thing = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "checkout-1"}}
        jobs = matrices.start(signals, Matrix.of(name, api, "boulder"), Made([thing], [job("one")]))
        prefix = f"m{name[9:]}-"
        assert [item["metadata"]["name"] for item in jobs] == [f"{prefix}one"]
        found = server.find("Job", f"{prefix}one")["spec"]["template"]["spec"]["volumes"][0]
        assert found["configMap"]["name"] == f"{prefix}checkout-1" and server.find("ConfigMap", f"{prefix}checkout-1")
        assert course.of_job(jobs[0], Path("/x")).name == "one"
    assert names(api, "boulder") == ["20260101-000001-aaaa", "20260101-000002-bbbb"] and names(api) == []
    one = Matrix.of("20260101-000001-aaaa", api, "boulder")
    assert one.remove()
    assert server.find("Namespace", "boulder") and server.find("Job", "m000002-bbbb-one")
    assert (
        server.find("Job", "m000001-aaaa-one") is None and server.find("ConfigMap", "m000001-aaaa-checkout-1") is None
    )
    with pytest.raises(Problem, match="There is no namespace nowhere on the cluster kind-unit"):
        matrices.start(signals, Matrix.of("m1", api, "nowhere"), Made([], []))


@pytest.mark.usefixtures("docker_compose")
def test_what_is_applied_can_be_read(
    checkout: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:

    (settings.root / "k8s").symlink_to(ROOT / "k8s")
    monkeypatch.setenv("BOULDER_DIR", str(checkout))
    kubectl = ROOT / ".venv/bin/kubectl"
    monkeypatch.setattr(command.tools, "find", lambda _: Tools(Path("kind"), kubectl))
    monkeypatch.setattr(command.tools, "find_kubectl", lambda _: kubectl)
    wanted = MatrixOptions(["--unit"], ["vitess"], queue="mine", target=Target("theirs", "/k"))
    command.render(settings, Options(), wanted)
    out = capsys.readouterr().out
    items = [item for item in yaml.safe_load_all(out) if item]
    jobs = {item["metadata"]["name"]: item for item in items if item["kind"] == "Job"}
    assert {*jobs} == {"t-unit", "vitess-t-integration"}
    assert jobs["t-unit"]["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "mine"
    containers = jobs["t-unit"]["spec"]["template"]["spec"]["initContainers"]
    assert {item["imagePullPolicy"] for item in containers} == {"IfNotPresent"}
    assert "a piece of the checkout, as a git pack" in out
    assert {item["metadata"].get("namespace", "boulder-matrix-NAME") for item in items} == {"boulder-matrix-NAME"}


def test_a_request_that_is_no_quantity_is_refused(settings: Settings, signals: Signals) -> None:
    with pytest.raises(Problem, match="is no quantity"):
        command.matrix(settings, signals, Options(), MatrixOptions(["--unit"], requests={"cpu": "much"}))
