"""The tasks around a run, on a machine of fakes: logs, bundles, what is refused, what is said about it."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import tarfile
import time

import pytest
from support.machine import Machine, refused


def test_what_is_typed_and_cannot_be_meant_is_two_lines(machine: Machine) -> None:
    refused(machine, machine.run(BOULDER_K8S_TIMEOUT="ten"), "BOULDER_K8S_TIMEOUT=ten is not a number", "Write")
    for words in (
        ["up", "--timeout", "ten"],
        ["test", "--args", "'x"],
        ["logs", "--tail", "x"],
        ["logs", "--since", "x"],
        ["logs", "--follow", "--previous"],
        ["logs", "--", "nonsense"],
        ["parity", "--reruns", "x"],
        ["revisions", "--since", "some day"],
        ["revisions", "--limit", "x"],
        ["matrix", "--timeout", "x"],
        ["matrix", "--cpu", "much"],
        ["matrix", "--row", "'"],
        ["matrix", "--rows", "nonsense"],
        ["matrix", "--kubeconfig", "config"],
        ["matrix", "--attach", "nothing"],
        ["matrix", "--clean"],
        ["matrix", "--context", "nowhere"],
    ):
        result = machine.invoke(*words)
        assert (result.returncode, "Traceback" in result.stderr) == (2, False), result.stderr
        assert result.stderr.count("boulder-k8s: ") == 2, result.stderr


def test_failures_of_the_machine_point_at_the_doctors_line(machine: Machine) -> None:
    machine.tell("docker-down")
    assert "More: `invoke doctor`, its line docker-engine." in machine.run().stderr
    (machine.state / "docker-down").unlink()
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert "its line host-ports." in machine.run(BOULDER_PORTS=f"{other.getsockname()[1]}:4001").stderr


def test_a_reader_that_has_enough_is_no_defect(machine: Machine) -> None:
    command = [machine.project / ".venv/bin/invoke", "render"]
    child = subprocess.Popen(
        command,
        env=machine.environment(),
        cwd=machine.project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    child.stdout.close()
    _, err = child.communicate(timeout=60)
    assert (child.returncode, "Traceback" in err, "defect" in err) == (141, False, False), err


def test_the_list_of_tasks_is_a_line_a_task(machine: Machine) -> None:
    shown = machine.invoke("--list").stdout.splitlines()
    tasks = [line for line in shown if line.startswith("  ")]
    assert {line.split()[0] for line in tasks} >= {"up", "down", "logs", "bundle", "doctor", "status"}
    assert [line for line in tasks if line.startswith("   ")] == []  # none goes on in a second line


def test_logs_of_a_cluster_that_does_not_run(machine: Machine) -> None:
    (machine.state / "node").unlink(missing_ok=True)
    result = machine.invoke("logs")
    assert (result.returncode, "There is no cluster boulder" in result.stderr) == (2, True)
    machine.run("-h")
    node = json.loads((machine.state / "node").read_text())
    node["State"]["Running"] = False
    machine.tell("node", json.dumps(node))
    result = machine.invoke("logs", "--follow")
    assert (result.returncode, "does not run" in result.stderr) == (2, True)


def test_status_shows_the_clusters_own_ports(machine: Machine) -> None:
    machine.run("-h")
    result = machine.invoke("status", "--json", BOULDER_PORTS="24999:4001")
    assert result.returncode in (0, 1), result.stderr
    shown = json.loads(result.stdout)
    assert (shown["ports"], shown["directory_url"]) == (
        ["127.0.0.1:24811 -> 4001"],
        "http://localhost:24811/directory",
    )


def test_a_failure_of_ours_leaves_a_bundle_without_secrets(machine: Machine) -> None:
    keys = machine.checkout / "test/certs/ipki"
    for path in keys.rglob("*key.pem"):
        path.write_text(f"-----BEGIN PRIVATE KEY-----\n{'hidden' * 20}\n-----END PRIVATE KEY-----\n")
    machine.run("-h")  # renders Secrets of these
    machine.tell("no-image", "letsencrypt/boulder-tools:t")
    result = machine.run("--unit")
    assert result.returncode == 2
    assert "bundle.tar.gz has everything about it" in result.stderr
    with tarfile.open((machine.project / ".runs/latest").resolve() / "bundle.tar.gz") as found:
        held = {item.name: found.extractfile(item).read() for item in found}
    assert b"Probably: Image letsencrypt/boulder-tools:t cannot be pulled" in held["boulder-k8s/summary.txt"]
    assert b"kind: Deployment" in held["boulder-k8s/rendered.yaml"]
    everything = b"".join(b"".join(held.values()).split())  # however long base64's lines are
    assert b"hidden" not in everything
    assert base64.b64encode((keys / "redis/key.pem").read_bytes())[40:120] not in everything


def test_what_failed_is_run_again_as_it_was(machine: Machine) -> None:
    (machine.checkout / "va").mkdir(exist_ok=True)
    machine.tell("exit-code", "1")
    package = "github.com/letsencrypt/boulder/va"
    machine.tell("stdout", f"Running Unit Tests\n--- FAIL: TestOne (0.00s)\n    x_test.go:5: no\nFAIL\t{package}\t1s\n")
    result = machine.run("-uv", wrapper="tnk8s.sh", USE_VITESS="true")
    assert (result.returncode, "`invoke rerun --failed` runs what failed" in result.stderr) == (1, True)
    machine.tell("exit-code", "0")
    assert machine.invoke("rerun", "--failed").returncode == 0
    latest = machine.project / ".runs/latest"
    words = ["-n", "--unit", "--verbose", "--unit-test-package=./va", "--filter=^(TestOne)$"]
    assert json.loads((latest / "command.json").read_text())["commands"][-1][2:] == words
    assert json.loads((latest / "run.json").read_text())["environment"] == {"USE_VITESS": "true"}
    result = machine.invoke("rerun", "--failed")
    assert (result.returncode, "Nothing failed in " in result.stderr) == (2, True)


def test_up_records_its_revision_and_dates_that_people_read(machine: Machine) -> None:
    machine.tell("no-image", "letsencrypt/boulder-tools:t")
    assert machine.invoke("up").returncode == 2
    record = json.loads((machine.project / ".runs/latest/run.json").read_text())
    assert (record["arguments"], record["revision"]) == (["up"], "unknown")  # the checkout is not git's
    assert record["began_at"][:4] == record["ended_at"][:4] == time.strftime("%Y")


def test_tests_that_fail_leave_a_bundle_behind_the_wrapper(machine: Machine) -> None:
    machine.tell("exit-code", "3")
    machine.tell(
        "stdout", "--- FAIL: TestOne (0.00s)\n    x_test.go:5: expected 3 widgets, got 2\nFAIL\texample/va\t1s\n"
    )
    result = machine.run("--unit")
    assert result.returncode == 3
    told = [line.removeprefix("boulder-k8s: ") for line in result.stderr.splitlines()]
    at = told.index("1 package failed: example/va")
    assert told[at + 1] == "  example/va/x_test.go:5 TestOne: expected 3 widgets, got 2"
    assert told[at + 2].startswith("`invoke rerun --failed`")
    assert told[at + 3].startswith("exit code 3; everything about this run is in ")
    bundle = (machine.project / ".runs/latest").resolve() / "bundle.tar.gz"
    deadline = time.monotonic() + 30
    while not bundle.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with tarfile.open(bundle) as found:
        text = found.extractfile("boulder-k8s/summary.txt").read().decode()
    assert text.startswith("Probably: the tests failed: exit code 3; 1 package failed: example/va; "), text
    assert bundle.with_name("summary.txt").read_text() == text


@pytest.mark.parametrize(
    "words", [["logs"], ["exec", "--", "ls"], ["shell"], ["status"], ["bundle"], ["down"], ["up"], ["render"]]
)
def test_a_cluster_of_the_same_name_that_is_not_ours_is_asked_nothing(machine: Machine, words: list[str]) -> None:
    """Its context has our name; what tells it is that its node does not mount our run directories."""
    machine.tell("node", json.dumps({"Id": "theirs", "State": {"Running": True}, "Mounts": [], "HostConfig": {}}))
    (machine.project / ".state/boulder").mkdir(parents=True)
    (machine.project / ".state/boulder/kubeconfig").write_text("")
    result = machine.invoke(*words)
    if words[0] not in ("bundle", "render"):  # a bundle is made without the cluster; render needs none
        assert (result.returncode, "was not made by boulder-k8s" in result.stderr) == (2, True), result.stderr
    assert not [call for call in machine.calls("kubectl") if call[0] not in ("version", "kustomize")]
    assert not [call for call in machine.calls("kind") if call != ["version"]]
    assert not [call for call in machine.calls("docker") if call[0] in ("exec", "start", "rm", "run")]
