"""ck8s.sh on a machine of fakes: Docker Compose's words, typed in the checkout."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from support.machine import Machine, told


def command(machine: Machine) -> list[str]:
    """What ran last in a pod of its own."""
    return json.loads((machine.project / ".runs/latest/command.json").read_text())["commands"][-1]


def pod(machine: Machine) -> dict:
    return json.loads((machine.state / "pod.json").read_text())["spec"]["containers"][0]


def compose(machine: Machine, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return machine.run(*words, wrapper="ck8s.sh", **environment)


def test_run_runs_a_command_and_ends_with_its_code(machine: Machine) -> None:
    machine.tell("exit-code", "7")
    machine.tell("stdout", "go version go1.26\n")
    result = compose(machine, "run", "--rm", "boulder", "go", "version")
    assert (result.returncode, result.stdout) == (7, "go version go1.26\n"), result.stderr
    assert command(machine) == ["test/entrypoint.sh", "go", "version"]
    assert "ports" not in pod(machine)


def test_run_takes_composes_flags(machine: Machine) -> None:
    words = ["run", "--use-aliases", "-e", "FAKE_DNS=10.77.0.80", "-eA=1 2", "-e", "MINE", "--service-ports"]
    result = compose(machine, *words, "boulder", "./start.py", MINE="3")
    assert result.returncode == 0, result.stderr
    assert command(machine) == ["test/entrypoint.sh", "./start.py"]
    environment = {item["name"]: item.get("value") for item in pod(machine)["env"]}
    assert (environment["FAKE_DNS"], environment["A"], environment["MINE"]) == ("64.112.117.1", "1 2", "3")
    assert {item["hostPort"] for item in pod(machine)["ports"]} == {4001, 4003}
    result = compose(machine, "run", "--entrypoint", "sh -c", "-w", "/boulder/va", "boulder", "pwd")
    assert result.returncode == 0, result.stderr
    assert command(machine)[:3] == ["sh", "-c", "sh"] and command(machine)[-2:] == ["/boulder/va", "pwd"]
    assert compose(machine, "run", "--entrypoint", "bash", "boulder").returncode == 0
    assert command(machine) == ["bash"]
    assert compose(machine, "run", "boulder", "true").returncode == 0  # after that the next run's pod is as always
    assert "ports" not in pod(machine)


def test_it_works_through_a_link_in_the_checkout(machine: Machine) -> None:
    shutil.rmtree(machine.checkout / ".git", ignore_errors=True)
    for words in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", "-C", machine.checkout, *words], check=True)
    exclude = machine.checkout / ".git/info/exclude"
    exclude.write_text("*.swp")
    for _ in range(2):
        result = compose(machine, "link")
        assert (result.returncode, "./ck8s.sh are in" in result.stderr) == (0, True), result.stderr
        assert exclude.read_text() == "*.swp\n/tk8s.sh\n/tnk8s.sh\n/ck8s.sh\n"
    shown = subprocess.run(["git", "-C", machine.checkout, "status", "--porcelain"], capture_output=True, text=True)
    assert "k8s.sh" not in shown.stdout
    environment = {key: value for key, value in machine.environment().items() if key != "BOULDER_DIR"}
    result = subprocess.run(
        ["./ck8s.sh", "run", "boulder", "true"],
        cwd=machine.checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads((machine.project / ".runs/latest/run.json").read_text())["checkout"] == str(machine.checkout)
    (machine.checkout / "ck8s.sh").unlink()
    (machine.checkout / "ck8s.sh").write_text("mine")
    result = compose(machine, "link")
    assert (result.returncode, "is there, and is not our wrapper" in result.stderr) == (2, True)
    assert (machine.checkout / "ck8s.sh").read_text() == "mine"


def test_a_directory_without_a_repository_gets_links_too(machine: Machine) -> None:
    assert compose(machine, "link").returncode == 0
    assert (machine.checkout / "tk8s.sh").samefile(machine.project / "tk8s.sh")


@pytest.mark.parametrize(
    ("words", "message", "advice"),
    [
        (["logz"], "There is no logz in Docker Compose.", "Did you mean `logs`?"),
        (["logs", "bconsull"], "There is no service bconsull.", "the nearest first: bconsul,"),
        (["exec", "bconsull", "ls"], "There is no service bconsull.", "the nearest first: bconsul,"),
        (["port", "boulder", "8055"], "boulder publishes no port 8055", "`invoke port-forward boulder 8055`"),
    ],
)
def test_what_is_wrong_is_two_lines(machine: Machine, words: list[str], message: str, advice: str) -> None:
    machine.run("-h")
    result = compose(machine, *words)
    lines = told(result)
    assert (result.returncode, len(lines)) == (2, 2), result.stderr
    assert message in lines[0] and advice in lines[1]


def test_what_only_looks_needs_nothing_but_the_cluster(machine: Machine) -> None:
    assert machine.run("-h").returncode == 0
    assert compose(machine, "port", "boulder", "4001").stdout == "127.0.0.1:24811\n"
    shown = compose(machine, "ps", "bconsul")
    assert (shown.returncode, "bconsul" in shown.stdout, "bredis-1" in shown.stdout) == (0, True, False)
    shown = compose(machine, "ps", "--format", "json")
    assert json.loads(shown.stdout)["services"]
    assert "kind: Deployment" in compose(machine, "config").stdout
    shown = compose(machine, "images").stdout
    assert "bconsul    hashicorp/consul:1.22.6" in shown
    assert compose(machine, "--help").returncode == 0


def test_what_runs_in_a_container_is_asked_for_with_composes_flags(machine: Machine) -> None:
    machine.run("-h")
    compose(machine, "exec", "-T", "-e", "A=1", "bmariadb", "mariadb", "boulder_sa", "-e", "show tables")
    words = machine.calls("kubectl")[-1]
    assert words[words.index("exec") :] == [
        *("exec", "bmariadb-0", "--container=bmariadb", "--stdin", "--"),
        *("env", "A=1", "mariadb", "boulder_sa", "-e", "show tables"),
    ]


def test_pull_and_build_are_composes_own(machine: Machine) -> None:
    compose(machine, "build", "--no-cache", "boulder")
    assert machine.calls("docker")[-1] == ["compose", "build", "--no-cache", "boulder"]
    compose(machine, "pull", "--quiet")
    assert machine.calls("docker")[-1] == ["compose", "pull", "--quiet"]
    assert "nothing is fetched offline" in compose(machine, "pull", BOULDER_K8S_OFFLINE="true").stderr


def test_certificates_are_made_by_run_bsetup(machine: Machine) -> None:
    assert "certificates are there" in compose(machine, "run", "bsetup").stderr
    shutil.rmtree(machine.checkout / "test/certs/ipki")
    result = compose(machine, "run", "--rm", "bsetup")
    assert result.returncode == 0, result.stderr
    latest = machine.project / ".runs/latest"
    assert json.loads((latest / "bsetup/command.json").read_text())["commands"][-1][-1] == "test/certs/generate.sh"


def test_logs_of_boulder_while_tests_run_are_what_they_say(machine: Machine) -> None:
    (machine.state / "exit-code").unlink()
    machine.tell("stdout", "ok  \tgithub.com/letsencrypt/boulder/va\nFAIL\n")
    child = machine.start("--unit")
    try:
        deadline = time.monotonic() + 60
        said = ""
        while "FAIL" not in said:
            assert time.monotonic() < deadline, said
            said = compose(machine, "logs", "boulder").stdout
        assert said.splitlines() == [
            "boulder-tests  | ok  \tgithub.com/letsencrypt/boulder/va",
            "boulder-tests  | FAIL",
        ]
        assert compose(machine, "logs", "--tail", "1", "--no-log-prefix", "boulder").stdout == "FAIL\n"
    finally:
        child.terminate()
        child.communicate(timeout=30)


def test_it_hands_over_to_compose_as_the_other_wrappers_do(machine: Machine) -> None:
    (machine.checkout / "here").touch()
    result = compose(machine, "ps", "--format", "json", BOULDER_CI_ORCH="compose")
    assert result.returncode == 0, result.stderr
    assert machine.calls("docker")[-1] == ["compose", "ps", "--format", "json"]
    assert not Path(machine.project / ".runs").exists()
