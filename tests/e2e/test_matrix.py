"""`invoke matrix` on a real cluster: rows side by side, each with a checkout, services and a verdict of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.e2e import LIMIT, ROOT, Project, eventually

SMALL = ("--cpu", "100m", "--memory", "64Mi")  # of a row, so that the node takes several at once
OURS = "--selector=app.kubernetes.io/part-of=boulder-matrix"


@pytest.fixture
def matrix(stack: Project) -> Iterator[Project]:
    yield stack
    left = namespaces(stack)
    stack.invoke("matrix", "--clean")
    assert left == [] and namespaces(stack) == []


def namespaces(project: Project) -> list[str]:
    """The namespaces of matrices that are on the cluster."""
    return project.kubectl("get", "namespaces", OURS, "--output=name").split()


def rows(*texts: str) -> list[str]:
    return [word for text in texts for word in ("--row", text)]


def newest() -> Path:
    """The directory of the matrix that was started last."""
    return max((ROOT / ".runs").glob("matrix-*"), key=lambda path: path.stat().st_mtime)


def verdicts() -> dict[str, dict]:
    """What the rows of the last matrix say of themselves."""
    return {path.parent.name: json.loads(path.read_text()) for path in newest().glob("*/verdict.json")}


def run(project: Project, *words: str) -> subprocess.CompletedProcess[bytes]:
    found = project.invoke("matrix", *words)
    print(found.stdout.decode(), found.stderr.decode())
    return found


class Started:
    """A matrix in the background."""

    def __init__(self, project: Project, *words: str) -> None:
        self.project, before = project, {*(ROOT / ".runs").glob("matrix-*")}
        self.child = project.start_invoke("matrix", *words)
        eventually(lambda: {*(ROOT / ".runs").glob("matrix-*")} - before or self.child.poll(), "the matrix", LIMIT)
        assert self.child.poll() is None, self.child.stderr.read().decode()
        self.name = newest().name.removeprefix("matrix-")
        self.namespace = f"boulder-matrix-{self.name}"

    def pod(self, row: str) -> str:
        return self.project.kubectl(
            f"--namespace={self.namespace}", "get", "pods", f"--selector=boulder-k8s/row={row}", "--output=name"
        ).strip()

    def said(self, row: str, text: str) -> None:
        """Waits until a row's tests have said something."""

        def there() -> bool:
            pod = self.pod(row)
            log = ("logs", pod, "--container=boulder")
            try:
                return bool(pod) and text in self.project.kubectl(f"--namespace={self.namespace}", *log)
            except subprocess.CalledProcessError:  # it has not started
                return False

        try:
            eventually(there, f"{text!r} of {row}", LIMIT)
        except AssertionError as error:
            error.add_note(self.project.kubectl(f"--namespace={self.namespace}", "describe", "pods"))
            raise

    def end(self) -> tuple[int, str, str]:
        out, err = self.child.communicate(timeout=LIMIT)
        print(out.decode(), err.decode())
        return self.child.returncode, out.decode(), err.decode()


def test_rows_of_every_kind_pass_side_by_side(matrix: Project) -> None:
    """Those of the workflow; the probe asks every service by its names and addresses."""
    result = run(matrix, *SMALL)
    assert result.returncode == 0
    found = verdicts()
    assert {*found} == {"t-integration", "tn-integration", "t-start-py", "vitess-t-integration"}
    assert {item["verdict"] for item in found.values()} == {"passed"}
    assert re.search(rb"[0-9]+ passed, 0 failed", (newest() / "tn-integration/stdout").read_bytes())
    assert b"vitess" not in (newest() / "t-integration/stderr").read_bytes()
    for row in found:
        assert (newest() / row / "services/bmariadb.log").stat().st_size > 0
        assert json.loads((newest() / row / "record.json").read_text())["exit_code"] == 0
    assert result.stdout.count(b"passed") == 4


def test_tests_that_fail_are_1_and_the_others_go_on(matrix: Project) -> None:
    result = run(matrix, *SMALL, *rows("--exit=3", "--ticks=3"))
    assert result.returncode == 1
    found = verdicts()
    assert (found["t-exit-3"]["verdict"], found["t-exit-3"]["exit_code"]) == ("failed", 3)
    assert found["t-ticks-3"]["verdict"] == "passed"
    assert (newest() / "t-ticks-3/stdout").read_text() == "tick 1\ntick 2\ntick 3\n"
    assert (newest() / "t-ticks-3/stderr").read_text() == "err 1\nerr 2\nerr 3\n"


def test_output_of_any_size_and_kind_arrives_whole(matrix: Project) -> None:
    result = run(matrix, *SMALL, *rows("--bytes=3000000 --stderr-bytes=70000"))
    assert result.returncode == 0
    sizes = {
        name: (newest() / "t-bytes-3000000-stderr-bytes-70000" / name).stat().st_size for name in ("stdout", "stderr")
    }
    assert sizes == {"stdout": 3000000, "stderr": 70000}


def test_certificates_that_cannot_be_made_are_no_failure_of_tests(matrix: Project) -> None:
    (matrix.checkout / "test/certs/fail-generate").touch()
    result = run(matrix, *SMALL, *rows("--integration"))
    assert result.returncode == 2
    assert b"bsetup ended with 3 before the tests" in result.stdout
    assert b"generate: told to fail by fail-generate" in result.stderr


def test_a_row_sees_the_working_tree_as_it_was(matrix: Project) -> None:
    (matrix.checkout / "test/planted").touch()  # untracked, and TestPlanted fails
    started = Started(matrix, *SMALL, *rows("--unit -p test --sleep=1", "--sleep=1 --unit"))
    (matrix.checkout / "test/planted").unlink()
    code, out, _ = started.end()
    assert code == 1 and out.count("failed") == 2
    assert b"--- FAIL: TestPlanted" in (newest() / "t-sleep-1-unit/stdout").read_bytes()


def test_a_row_that_the_cluster_evicts_is_run_again(matrix: Project) -> None:
    started = Started(matrix, *SMALL, *rows("--sleep=8"))
    started.said("t-sleep-8", "sleeping")
    pod = started.pod("t-sleep-8").removeprefix("pod/")
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": started.namespace}}
    path = matrix.checkout.parent / "eviction.json"
    path.write_text(json.dumps(body))
    address = f"/api/v1/namespaces/{started.namespace}/pods/{pod}/eviction"
    matrix.kubectl("create", "--raw", address, "--filename", str(path))
    code, out, _ = started.end()
    assert code == 0 and "run 2 times, because the cluster ended it" in out


def test_a_pod_that_somebody_deletes_is_no_failure_of_tests(matrix: Project) -> None:
    started = Started(matrix, *SMALL, *rows("--sleep=100", "--sleep=1"))
    started.said("t-sleep-100", "sleeping")
    matrix.kubectl(f"--namespace={started.namespace}", "delete", started.pod("t-sleep-100"))
    code, out, _ = started.end()
    assert code == 2 and "error" in out
    assert verdicts()["t-sleep-1"]["verdict"] == "passed"


def test_a_row_that_never_ends_is_ended(matrix: Project) -> None:
    result = run(matrix, *SMALL, "--timeout", "40", *rows("--sleep=1000"))
    assert result.returncode == 2 and b"DeadlineExceeded" in result.stdout


def test_ctrl_c_removes_all_of_it(matrix: Project) -> None:
    started = Started(matrix, *SMALL, *rows("--sleep=1000"))
    started.said("t-sleep-1000", "sleeping")
    os.killpg(started.child.pid, signal.SIGINT)
    code, _, _ = started.end()
    assert code == 130 and namespaces(matrix) == []


def test_a_client_that_is_killed_is_followed_by_another_one(matrix: Project) -> None:
    started = Started(matrix, *SMALL, *rows("--sleep=10 --ticks=2"))
    started.said("t-sleep-10-ticks-2", "sleeping")
    os.killpg(started.child.pid, signal.SIGKILL)
    result = run(matrix, "--attach", started.name)
    assert result.returncode == 0 and b"passed" in result.stdout
    assert (newest() / "t-sleep-10-ticks-2/stdout").read_text() == "sleeping\ntick 1\ntick 2\n"


def test_what_a_killed_client_leaves_is_cleaned_and_what_another_follows_is_not(matrix: Project) -> None:
    killed = Started(matrix, *SMALL, *rows("--sleep=1000"))
    killed.said("t-sleep-1000", "sleeping")
    os.killpg(killed.child.pid, signal.SIGKILL)
    other = Started(matrix, *SMALL, *rows("--sleep=15"))
    assert run(matrix, "--clean").returncode == 0
    assert namespaces(matrix) == [f"namespace/{other.namespace}"]
    assert other.end()[0] == 0


def test_a_matrix_that_is_detached_is_found_again(matrix: Project) -> None:
    result = run(matrix, *SMALL, "--detach", *rows("--ticks=5"))
    assert result.returncode == 0
    name = newest().name.removeprefix("matrix-")
    time.sleep(1)
    assert run(matrix, "--attach", name).returncode == 0
    assert verdicts()["t-ticks-5"]["verdict"] == "passed"
    assert b"There is no matrix" in run(matrix, "--attach", name).stderr


def test_rows_that_the_node_cannot_hold_at_once_wait(matrix: Project) -> None:
    result = run(matrix, "--cpu", "900m", "--memory", "64Mi", *rows("--sleep=1", "--sleep=2", "--sleep=3"))
    assert result.returncode == 0
    assert b"queued" in result.stderr or b"Insufficient cpu" in result.stderr
    spans = sorted((item["tests_began"], item["tests_ended"]) for item in verdicts().values())
    cpus = int(matrix.node("nproc"))
    if cpus <= 2:  # Kubernetes' own pods ask for the rest
        assert all(before[1] < after[0] for before, after in zip(spans, spans[1:], strict=False))


def test_rows_run_beside_up(matrix: Project) -> None:
    assert matrix.invoke("up").returncode == 0
    assert run(matrix, *SMALL, *rows("--integration")).returncode == 0
    assert matrix.kubectl("get", "deployment", "boulder", "--output=jsonpath={.status.readyReplicas}") == "1"
