"""Signals on the host's side, in real processes: the exit code, the end within 2 s, and what another program inherits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from boulder_k8s.host.settings import ROOT
from boulder_k8s.host.signals import CAUGHT, OTHERS

PROGRAM = """
import os, signal, socket, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from boulder_k8s.commands.cli import guarded
from boulder_k8s.host import become, process

def ready(times=1):
    os.write(1, b"ready\\n" * times)

def action(settings, signals):
{body}

code = guarded(action)
{after}
sys.stdout.flush()
os._exit(code)
"""
Start = Callable[..., subprocess.Popen]


@pytest.fixture
def start() -> Iterator[Start]:
    children = []

    def begin(body: str, after: str = "", wrapped: tuple[str, ...] = (), **options: object) -> subprocess.Popen:
        text = PROGRAM.format(body="\n".join(f"    {line}" for line in body.splitlines()), after=after)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        children.append(
            subprocess.Popen(
                [*wrapped, sys.executable, "-c", text],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
                **{"env": environment, **options},
            )
        )
        return children[-1]

    yield begin
    for child in children:
        child.kill()
        child.communicate()


def send(child: subprocess.Popen, number: int) -> None:
    assert child.stdout.readline() == "ready\n"
    child.send_signal(number)


@pytest.mark.parametrize("number", [*CAUGHT, *(one for one in OTHERS if one not in (signal.SIGCONT, signal.SIGTSTP))])
def test_whatever_interrupts_a_command_is_its_code(start: Start, number: int) -> None:
    child = start("try:\n    ready(); time.sleep(60)\nfinally:\n    print('cleaned up')")
    send(child, number)
    out, err = child.communicate(timeout=20)
    assert (child.returncode, out) == (128 + number, "cleaned up\n")
    assert "Traceback" not in err


def test_an_interruption_that_python_drops_comes_again(start: Start) -> None:
    child = start(
        "class Dropped:\n    def __del__(self):\n        os.kill(os.getpid(), signal.SIGTERM)\n        time.sleep(0.01)\n"
        "Dropped()\nwhile True: time.sleep(0.01)"
    )
    assert child.wait(20) == 143
    assert "Traceback" not in child.stderr.read()


def test_a_command_can_be_stopped_and_goes_on(start: Start) -> None:
    child = start("ready(); sys.stdin.read(); time.sleep(0.3)\nreturn 42")
    send(child, signal.SIGTSTP)
    assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
    child.send_signal(signal.SIGCONT)
    assert child.wait(20) == 42


WAITING = {
    "a read of a server that does not answer": "one, two = socket.socketpair()\nready(); one.recv(1)",
    "cleaning up": "try:\n    ready(); time.sleep(60)\nfinally:\n    ready(); time.sleep(60)",
    "cleaning up that is not to be disturbed": "with signals.deferred():\n    ready(2); time.sleep(60)",
    "a thread": "with ThreadPoolExecutor(1) as pool:\n    pool.submit(time.sleep, 60)\n    ready(2)",
    "a child that ignores it": (
        "with process.started(['sh', '-c', 'trap \"\" INT TERM; echo ready; echo ready; exec sleep 60']):\n"
        "    time.sleep(60)"
    ),
}


@pytest.mark.parametrize("where", WAITING)
def test_a_second_ctrl_c_ends_it_within_2_seconds_wherever_it_waits(start: Start, where: str) -> None:
    child = start(WAITING[where])
    send(child, signal.SIGINT)
    if where.startswith("a read"):
        assert child.wait(2) == 130
        return
    time.sleep(0.5)  # not pressed twice at the same time
    begun = time.monotonic()
    send(child, signal.SIGINT)
    assert child.wait(20) == 130
    assert time.monotonic() - begun < 2
    assert "Traceback" not in child.stderr.read()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGPWR])
@pytest.mark.parametrize(
    "where", ["time.sleep(60)", "one, two = socket.socketpair(); one.recv(1)", "process.run(['sleep', '60'])"]
)
def test_a_signal_that_does_not_wake_the_main_thread_is_heeded(start: Start, where: str, number: int) -> None:
    """It may arrive just before the main thread begins to wait, or in another thread: a system call then is not interrupted."""
    body = f"""
def elsewhere():
    time.sleep(0.5)
    signal.pthread_kill(threading.get_ident(), {number:d})
    time.sleep(60)
threading.Thread(target=elsewhere, daemon=True).start()
try:
    {where}
finally:
    print("cleaned up")
"""
    child = start(body)
    out, err = child.communicate(timeout=20)
    assert (child.returncode, out, "Traceback" in err) == (128 + number, "cleaned up\n", False), err


def test_a_signal_after_the_verdict_does_not_change_it(start: Start) -> None:
    child = start("return 42", "ready(); sys.stdin.read(); time.sleep(0.5)")
    send(child, signal.SIGINT)
    out, err = child.communicate(timeout=20)
    assert (child.returncode, err) == (42, "")


def test_timeout_sends_it_to_the_child_and_to_its_group_and_means_one(start: Start) -> None:
    body = "with signals.collecting():\n    while not signals.received: time.sleep(0.01)\n    time.sleep(0.5)\n    print(sorted(signals.received))\n    return 9"
    child = start(body, wrapped=("timeout", "--signal=QUIT", "5"))
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (124, f"[{signal.SIGQUIT:d}, {signal.SIGCONT:d}]\n"), err


@pytest.mark.parametrize("ignored", [(), (signal.SIGHUP,), (signal.SIGINT, signal.SIGQUIT), (signal.SIGUSR1,)])
@pytest.mark.parametrize("kuberc", [None, "on"])
def test_another_program_gets_what_the_user_gave_us(
    start: Start, tmp_path: Path, ignored: tuple[int, ...], kuberc: str | None
) -> None:
    def before() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])

    environment = {**os.environ, "PYTHONPATH": str(ROOT), **({"KUBERC": kuberc} if kuberc else {})}
    shown = tmp_path / "shown"
    # dash changes no signal, unlike Python.
    shown.write_text("#!/bin/sh\ngrep -E 'SigBlk|SigIgn' /proc/self/status; env | grep -v ^PYTHONPATH= | sort\n")
    shown.chmod(0o755)
    options = {"env": environment, "preexec_fn": before}
    child = start(f"become.become([{str(shown)!r}])", **options)
    ours = child.communicate(timeout=20)
    direct = subprocess.run([shown], capture_output=True, text=True, **options)
    assert ours == (direct.stdout, direct.stderr)


def test_a_program_that_is_not_there_leaves_us_as_we_were(start: Start) -> None:
    child = start("try:\n    become.become(['/nowhere'])\nexcept OSError:\n    ready(); time.sleep(60)")
    send(child, signal.SIGTERM)
    assert child.wait(20) == 143


def test_a_signal_is_not_lost_where_python_drops_exceptions(start: Start) -> None:
    """Once the exception was dropped in a callback of a fork, and the wrapper was still there after 400 s."""
    body = """
class Dropping:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
Dropping()
ready()
time.sleep(60)
"""
    child = start(body)
    _, err = child.communicate(timeout=30)
    assert (child.returncode, "Traceback" in err) == (143, False), err


def test_a_signal_in_a_callback_of_a_fork_leaves_no_lock_held(start: Start) -> None:
    """Seen: `logging` never got its lock back, and the thread that imports the client waited for ever."""
    body = """
import logging
hook = sys.unraisablehook
sys.unraisablehook = lambda found: (print("dropped", flush=True), hook(found))
def between():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.05)
os.register_at_fork(before=between)
try:
    process.run(["true"])
    time.sleep(60)
finally:
    free = []
    other = threading.Thread(target=lambda: (logging.getLogger("new"), free.append(True)), daemon=True)
    other.start()
    other.join(5)
    print(free)
"""
    child = start(body)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (143, "[True]\n"), err
