"""Signals to whole commands: at any moment, and what the programs get that a command becomes."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import termios
import time
from pathlib import Path

import pytest
from support.machine import Machine
from support.pods import eventually

from boulder_k8s.host.signals import CAUGHT

SEED = 16


def left_behind(machine: Machine) -> list[str]:
    """The command lines of processes that know this machine's fakes."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"FAKE_STATE={machine.state}".encode() in (path / "environ").read_bytes().split(b"\0"):
                found.append((path / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # ended meanwhile, or another user's
    return found


@pytest.mark.parametrize("number", CAUGHT)
def test_a_signal_reaches_the_tests_and_leaves_nothing_behind(machine: Machine, number: signal.Signals) -> None:
    (machine.state / "exit-code").unlink()
    child = machine.start("--unit")
    eventually(lambda: any("exec" in call for call in machine.calls("kubectl")), "the tests")
    child.send_signal(number)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 128 + number, err
    assert (machine.project / ".runs/latest/signals/1").read_text() == number.name.removeprefix("SIG")
    eventually(lambda: not left_behind(machine), "the end of all that it started")


@pytest.mark.timeout(300)
def test_a_signal_at_any_moment_is_its_number_or_the_tests_code(machine: Machine) -> None:
    """The tests fail, so that the bundle is made as well."""
    machine.tell("exit-code", "42")
    begun = time.monotonic()
    assert machine.run("t").returncode == 42
    chance = random.Random(SEED)
    longest = min(5.0, time.monotonic() - begun)
    for count in range(25):
        numbers = [chance.choice([*CAUGHT, signal.SIGUSR1]) for _ in range(chance.choice([1, 1, 2]))]
        child = machine.start("t")
        waits = [chance.uniform(0, longest), 0.2]
        for number, wait in zip(numbers, waits, strict=False):
            time.sleep(wait)
            child.send_signal(number)
        _, err = child.communicate(timeout=60)
        allowed = {42, *(128 + number for number in numbers), *(-number for number in numbers)}
        assert child.returncode in allowed, (count, numbers, waits, child.returncode, err)
        assert "Traceback" not in err and "KeyboardInterrupt" not in err and "defect" not in err, (count, numbers, err)


@pytest.mark.parametrize("what", ["GET", "POST", "DELETE"])
def test_a_second_ctrl_c_ends_it_although_the_api_server_does_not_answer(machine: Machine, what: str) -> None:
    assert machine.run("t", BOULDER_K8S_STANDBY="false").returncode == 0  # a cluster is there, and no pod that waits
    (machine.state / "exit-code").unlink()
    before = len(machine.calls("kubectl"))
    if what == "DELETE":  # of the pod, after the tests
        child = machine.start("t")
        eventually(lambda: any("exec" in call for call in machine.calls("kubectl")[before:]), "the tests")
        for method in ("DELETE", "POST", "PATCH", "GET"):
            machine.api.hang(method, "")
    else:
        machine.api.hang(what, "")
        asked = len(machine.api.requests)
        child = machine.start("t")
        eventually(lambda: any(item.method == what for item in machine.api.requests[asked:]), "a request")
    child.send_signal(signal.SIGINT)
    time.sleep(0.5)
    begun = time.monotonic()
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == 130
    assert time.monotonic() - begun < 2
    assert "Traceback" not in child.stderr.read()
    machine.api.heal()
    machine.tell("exit-code", "0")
    assert machine.run("t").returncode == 0  # the next command cleans up


def test_two_ctrl_c_on_a_terminal_end_it_although_neither_the_pod_nor_the_api_server_does_anything(
    machine: Machine,
) -> None:
    """The tests' terminal is raw, so Ctrl-C is a byte; the pod of the fakes takes none. As on a node that is paused."""
    (machine.state / "exit-code").unlink()
    ours, theirs = os.openpty()
    before = termios.tcgetattr(theirs)

    def on_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    child = subprocess.Popen(
        [machine.project / "tk8s.sh", "t"],
        env=machine.environment(TERM="dumb"),
        cwd=machine.state,
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=on_terminal,
    )
    eventually(lambda: any("exec" in call for call in machine.calls("kubectl")), "the tests")
    for method in ("DELETE", "POST", "PATCH", "GET"):
        machine.api.hang(method, "")
    os.write(ours, b"\x03")
    time.sleep(0.7)
    assert child.poll() is None
    begun = time.monotonic()
    os.write(ours, b"\x03")
    assert child.wait(30) == 130
    assert time.monotonic() - begun < 2
    assert b"Traceback" not in child.stderr.read()
    assert termios.tcgetattr(theirs) == before
    for descriptor in (ours, theirs):
        os.close(descriptor)


def test_a_kubectl_that_is_gone_at_the_end_changes_no_verdict(machine: Machine) -> None:
    kubectl = machine.state / "bin/kubectl"
    removing = kubectl.read_text().replace('elif verb == "exec":', 'elif verb == "exec":\n    os.unlink(sys.argv[0])')
    assert "unlink" in removing
    kubectl.write_text(removing)
    machine.tell("exit-code", "42")
    result = machine.run("t")
    assert (result.returncode, kubectl.exists()) == (42, False), result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("verb", "code"), [("version", 2), ("kustomize", 42)])
def test_a_kubectl_that_is_gone_before_the_tests_is_said_and_leaves_no_pod(
    machine: Machine, verb: str, code: int
) -> None:
    """verb: after which it is gone. After `kustomize`, the first stream cannot be started, and the tests run in their pod."""
    kubectl = machine.state / "bin/kubectl"
    kubectl.write_text(kubectl.read_text().replace(
        'if verb == "kustomize":', f'if verb == "{verb}":\n    os.unlink(sys.argv[0])\nif verb == "kustomize":', 1
    ))  # fmt: skip

    def tests(pod: dict) -> None:
        run = (machine.project / ".runs/latest").resolve()
        if pod["metadata"]["name"] == "boulder-tests" and not (run / "exitcode").exists():
            (run / "stdout").write_text("what they say\n")
            (run / "exitcode").write_text("42\n")

    machine.api.controller.on_pod.append(tests)
    result = machine.run("t", BOULDER_K8S_STANDBY="false", KUBECTL=str(kubectl))
    assert (result.returncode, kubectl.exists()) == (code, False), result.stderr
    assert "Traceback" not in result.stderr and ("kubectl cannot be started" in result.stderr or code == 42)
    assert (result.stdout == "what they say\n") == (code == 42)
    eventually(lambda: not machine.api.find("Pod", "boulder-tests"), "its pod is gone")


SHOW = "#!/bin/sh\ngrep -E 'SigBlk|SigIgn' /proc/self/status\nenv | grep -vE '^(_|PWD|OLDPWD|SHLVL)=' | sort\n"


def test_what_a_command_becomes_gets_what_the_user_gave(machine: Machine) -> None:
    """t.sh under BOULDER_CI_ORCH=compose, and kubectl under `invoke exec`."""

    def ignoring() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)

    script = machine.checkout / "t.sh"
    script.write_text(SHOW)
    script.chmod(0o755)
    environment = machine.environment(BOULDER_CI_ORCH="compose", PYTHONPATH="/mine", KUBERC="on")
    options = {"env": environment, "cwd": machine.state, "capture_output": True, "text": True, "preexec_fn": ignoring}
    direct = subprocess.run([script], **options)
    assert subprocess.run([machine.project / "tk8s.sh"], **options).stdout == direct.stdout
    assert machine.run("t").returncode == 0
    kubectl = machine.state / "bin/kubectl"
    real = machine.state / "bin/kubectl.fake"
    kubectl.rename(real)
    kubectl.write_text(f'#!/bin/sh\ncase "$*" in *" exec "*) exec {script};; *) exec {real} "$@";; esac\n')
    kubectl.chmod(0o755)
    done = subprocess.run(
        [machine.project / ".venv/bin/invoke", "exec", "--service", "bconsul", "--", "true"], **options
    )
    assert done.stdout == direct.stdout, done.stderr
    assert os.path.exists(real)
