"""What a Boulder engineer does every day: tk8s.sh, tnk8s.sh, up, down, logs."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import pty
import select
import subprocess

import pytest
from support.e2e import CLUSTER, ROOT, Project, answers, directory, eventually, finish

REMAINS = ["docker", "ps", "-a", "--filter", f"label=io.x-k8s.kind.cluster={CLUSTER}", "--format", "{{.Names}}"]


@pytest.fixture(scope="session", autouse=True)
def from_nothing(project: Project) -> None:
    """The first call of all is the tests themselves, with no cluster and no certificates: no set-up step before it."""
    assert project.invoke("down").returncode == 0
    project.clean("-qffdx")  # other modules ran before this one
    result = project.run("--integration")
    assert result.returncode == 0, result.stdout.decode() + result.stderr.decode()
    assert b"Generating ipki/..." in result.stdout
    assert b" 0 failed" in result.stdout
    # Its DNS was ready before they began: tests do not wait for names as the entrypoint does.
    record = project.record()
    begun = record["began"] + sum(
        record["phases"][name] for name in ("cluster", "images", "certificates", "dependencies")
    )
    ready = 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].lastTransitionTime}'
    shown = project.kubectl("get", "pods", "--namespace=kube-system", "--selector=k8s-app=kube-dns", "-o", ready)
    assert max(datetime.datetime.fromisoformat(time).timestamp() for time in shown.split()) <= begun + 1


@pytest.mark.root
def test_every_dependency_answers_with_config(stack: Project) -> None:
    result = stack.run("--integration")
    assert (result.returncode, b"SUCCESS" in result.stdout, b"FAIL" in result.stdout) == (0, True, False), (
        result.stdout.decode()
    )
    assert b"Generating" not in result.stdout


def test_every_dependency_answers_with_config_next(stack: Project) -> None:
    result = stack.run("--integration", wrapper="tnk8s.sh")
    assert result.returncode == 0, result.stdout.decode()


def test_use_vitess_reaches_the_tests_as_the_user_set_it(stack: Project) -> None:
    assert stack.run("--integration", USE_VITESS="true").returncode == 0
    assert os.readlink(stack.checkout / "test/secrets/sa_dburl") == "../../test/config/vitess/sa_dburl"


def test_data_persists_from_run_to_run(stack: Project) -> None:
    counters = []
    for _ in range(2):
        out = stack.run("--integration").stdout.decode()
        counters.append(int(next(line.split()[2] for line in out.splitlines() if line.startswith("redis counter"))))
    assert counters[1] == counters[0] + 1


def test_start_py_left_in_the_background_does_not_hold_the_wrapper(stack: Project) -> None:
    result = stack.run("--start-py")
    assert result.returncode == 0
    assert result.stdout.rstrip().endswith(b"\x1b[32mSUCCESS\x1b[0m")


@pytest.mark.parametrize("code", [0, 1, 2, 3, 42, 126, 127, 130, 137, 143, 255])
def test_the_exit_code_is_the_tests_own(stack: Project, code: int) -> None:
    assert stack.run(f"--exit={code}").returncode == code


def test_a_missing_package_fails_as_under_compose(stack: Project) -> None:
    result = stack.run("--unit", "-p", "./no-such-package")
    assert result.returncode == 1
    assert b"no package ./no-such-package" in result.stderr
    eventually(
        lambda: list((stack.latest() / "cluster").glob("bconsul-*.log")), "the services' logs, behind the wrapper"
    )


def test_arguments_pass_untouched(stack: Project) -> None:
    arguments = ["--arguments", "--exit=0 'a b' \"c\" $HOME *", "--long-line=ünïcode\\"]
    assert stack.run(*arguments).stdout.decode().splitlines()[:3] == arguments


def test_streams_stay_apart_and_arrive_byte_for_byte(stack: Project) -> None:
    result = stack.run("--bytes=1000003", "--stderr-bytes=300007", "--long-line=100000", "--exit=5")
    assert result.returncode == 5
    expected = [
        subprocess.run(["bash", ROOT / "tests/fixtures/boulder/test.sh", action], capture_output=True, check=True)
        for action in ("--bytes=1000003", "--stderr-bytes=300007")
    ]
    assert result.stdout[:1000003] == expected[0].stdout
    assert result.stdout[1000003:] == b"x" * 100000 + b"\n"
    assert expected[1].stderr in result.stderr


def test_two_hundred_megabytes_arrive_whole_at_a_slow_reader(stack: Project) -> None:
    size = 200_000_000
    child = stack.start(f"--bytes={size}", "--exit=9")
    digest, length = hashlib.sha256(), 0
    while data := os.read(child.stdout.fileno(), 1 << 20):
        digest.update(data)
        length += len(data)
    assert (finish(child).returncode, length) == (9, size)
    recorded = hashlib.sha256()
    with open(stack.latest() / "stdout", "rb") as file:
        while data := file.read(1 << 20):
            recorded.update(data)
    assert digest.digest() == recorded.digest()


def test_stdin_reaches_the_tests(stack: Project) -> None:
    data = os.urandom(3_000_000)
    assert stack.run("--read", input=data).stdout == data
    assert stack.run("--read", input=b"y\n").stdout == b"y\n"
    assert stack.run("--read").stdout == b""


def test_a_terminal_only_when_stdin_and_stdout_are_terminals(stack: Project) -> None:
    assert stack.run("--tty").stdout == b"0 no terminal\n1 no terminal\n2 no terminal\n"
    master, slave = pty.openpty()
    subprocess.run(["stty", "rows", "41", "columns", "123"], stdin=slave, check=True)
    child = subprocess.Popen(
        [ROOT / "tk8s.sh", "--tty", "--read"],
        stdin=slave,
        stdout=slave,
        stderr=subprocess.DEVNULL,
        env=stack.env(),
        start_new_session=True,
    )
    os.close(slave)
    text = b""
    while b"41 123" not in text:
        assert select.select([master], [], [], 60)[0], text
        text += os.read(master, 4096)
    assert text.count(b" terminal") == 3
    os.write(master, b"typed\n\x03")  # Ctrl-C travels through the terminal, as under Compose
    assert child.wait(60) == 130
    os.close(master)


@pytest.mark.root
def test_run_files_belong_to_the_user_and_say_what_ran(stack: Project) -> None:
    stack.run("--exit=42", USE_VITESS="true")
    run = stack.latest()
    record = stack.record()
    assert record["arguments"] == ["--exit=42"]
    assert record["environment"] == {"USE_VITESS": "true"}
    assert record["exit_code"] == 42
    assert (
        record["revision"]
        == subprocess.run(
            ["git", "-C", stack.checkout, "rev-parse", "HEAD"], capture_output=True, text=True
        ).stdout.strip()
    )
    assert {"cluster", "pod", "tests"} <= set(record["phases"])
    assert {path.stat().st_uid for path in run.rglob("*")} == {os.getuid()}


def test_up_answers_on_the_host_and_a_second_up_changes_nothing(stack: Project) -> None:
    assert stack.invoke("up").returncode == 0
    assert directory(stack)["meta"]["config"] == "test/config"
    before = stack.kubectl(
        "get",
        "deployments,statefulsets,services,configmaps,pods",
        "-o",
        'jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.metadata.generation}{"\\n"}{end}',
    )
    assert stack.invoke("up").returncode == 0
    after = stack.kubectl(
        "get",
        "deployments,statefulsets,services,configmaps,pods",
        "-o",
        'jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.metadata.generation}{"\\n"}{end}',
    )
    assert before == after


def test_a_test_run_gives_the_running_boulder_back(stack: Project) -> None:
    assert stack.invoke("up", "--next").returncode == 0
    assert stack.run("--integration").returncode == 0
    eventually(lambda: answers(stack), "the directory after a test run")
    assert directory(stack)["meta"]["config"] == "test/config-next"


def test_status_exec_render_and_run_on_a_running_stack(stack: Project) -> None:
    assert stack.invoke("up").returncode == 0
    result = stack.invoke("status", "--json")
    shown = json.loads(result.stdout)
    assert (result.returncode, shown["ready"], shown["configuration"]) == (0, True, "test/config")
    assert {service["name"]: service["address"] for service in shown["services"]}["bredis-1"] == "10.77.77.4"
    assert stack.invoke("exec", "--", "sh", "-c", "exit 42").returncode == 42
    assert stack.invoke("exec", "--service", "bredis_2", "--", "hostname").stdout == b"bredis-2-0\n"
    rendered = stack.invoke("render").stdout
    compared = subprocess.run(
        [
            ROOT / ".venv/bin/kubectl",
            f"--kubeconfig={ROOT}/.state/clusters/{CLUSTER}/kubeconfig",
            f"--context=kind-{CLUSTER}",
            "diff",
            "--server-side",
            "--field-manager=boulder-k8s",
            "--filename=-",
        ],
        input=rendered,
        capture_output=True,
    )
    assert (compared.returncode, compared.stdout) == (0, b""), compared.stderr
    assert stack.invoke("run", "--", "sh", "-c", "exit 7").returncode == 7
    shown = json.loads(stack.invoke("status", "--json").stdout)
    assert (shown["last_run"]["exit_code"], shown["last_run"]["arguments"][:2]) == (7, ["run", "sh"])


def test_a_broken_configuration_is_named_with_its_log(stack: Project) -> None:
    (stack.checkout / "test/config/broken.json").write_text("{")
    result = stack.invoke("up")
    assert result.returncode == 2
    assert b"test/config/broken.json does not parse" in result.stderr
    assert b"boulder-" in result.stderr


def test_down_leaves_nothing(stack: Project) -> None:
    assert stack.invoke("down").returncode == 0
    assert subprocess.run(REMAINS, capture_output=True, text=True).stdout == ""
    assert not (ROOT / ".state/clusters" / CLUSTER).exists()
    status = subprocess.run(
        ["git", "-C", stack.checkout, "status", "--porcelain"], capture_output=True, text=True
    ).stdout
    assert status == ""
    assert stack.invoke("down").returncode == 0
    volume = ["docker", "volume", "ls", "--quiet", "--filter", f"label=boulder-k8s.cluster={CLUSTER}"]
    assert subprocess.run(volume, capture_output=True, text=True).stdout.split() == [f"boulder-k8s-{CLUSTER}"]
    assert stack.invoke("down", "--images").returncode == 0
    assert subprocess.run(volume, capture_output=True, text=True).stdout == ""
