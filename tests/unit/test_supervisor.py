"""The pod's supervisor, for real: its record is the only verdict."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.pods import FIXTURE, Pod, eventually

MakePod = Callable[..., Pod]


def bash(script: str) -> list[str]:
    return ["bash", "-c", script]


def follow(pod: Pod, *offsets: int) -> tuple[bytes, bytes]:
    """What pod/follow.py brings of each stream."""
    command = [sys.executable, pod.path / "pod/follow.py", pod.path, *map(str, offsets)]
    data = subprocess.run(command, capture_output=True, check=True, timeout=30).stdout
    streams = {1: b"", 2: b""}
    while data:
        number, length = struct.unpack(">BI", data[:5])
        streams[number] += data[5 : 5 + length]
        data = data[5 + length :]
    return streams[1], streams[2]


def supervisor(pod: Pod) -> int:
    """The process id of the supervisor, as this machine sees it."""
    return int(subprocess.run(["pgrep", "-P", str(pod.child.pid)], capture_output=True, text=True).stdout.split()[0])


@pytest.mark.parametrize("code", [0, 1, 2, 3, 42, 126, 127, 130, 137, 143, 255])
def test_the_record_is_the_exit_code(make_pod: MakePod, code: int) -> None:
    assert make_pod().start(bash(f"exit {code}")).code() == code


def test_an_end_by_a_signal_is_128_and_its_number(make_pod: MakePod) -> None:
    assert make_pod().start(bash("kill -KILL $$")).code() == 137
    assert make_pod("second").start(bash("kill -TERM $$")).code() == 143


def test_a_command_that_cannot_be_started_has_a_shells_code(make_pod: MakePod) -> None:
    pod = make_pod().start(["/no/such/program"])
    assert (pod.code(), b"/no/such/program" in pod.read("stderr")) == (127, True)
    assert make_pod("second").start(["/etc/passwd"]).code() == 126


def test_streams_are_apart_and_byte_for_byte(make_pod: MakePod) -> None:
    script = FIXTURE / "test.sh"
    actions = ["--bytes=20000000", "--stderr-bytes=300001", "--long-line=100000"]
    pod = make_pod().start([str(script), *actions])
    expected = subprocess.run([script, *actions], capture_output=True, check=True)
    assert pod.code() == 0
    assert pod.read("stdout") == expected.stdout
    assert pod.read("stderr") == expected.stderr


def test_reopening_stderr_truncates_nothing(make_pod: MakePod) -> None:
    pod = make_pod().start(bash("echo one >&2; echo two > /dev/stderr; echo three >&2"))
    assert (pod.code(), pod.read("stderr")) == (0, b"one\ntwo\nthree\n")


def test_what_the_tests_leave_behind_is_ended_and_does_not_hold_the_record(make_pod: MakePod) -> None:
    pod = make_pod().start(
        bash("sleep 987654 & setsid sleep 987654 & (trap '' TERM INT HUP; sleep 987654) & echo done")
    )
    assert (pod.code(), pod.read("stdout")) == (0, b"done\n")
    assert subprocess.run(["pgrep", "-f", "^sleep 987654"], capture_output=True).stdout == b""


def test_commands_run_in_order_until_one_fails(make_pod: MakePod) -> None:
    pod = make_pod().start(bash("echo a"), bash("echo b; exit 3"), bash("echo c"))
    assert (pod.code(), pod.read("stdout")) == (3, b"a\nb\n")


def test_stdin_is_for_the_last_command_alone(make_pod: MakePod) -> None:
    pod = make_pod()
    data = os.urandom(1_000_000)
    pod.start(["cat"], ["sha256sum"])
    with open(pod.path / "stdin", "ab", buffering=0) as file:
        for start in range(0, len(data), 100_000):
            file.write(data[start : start + 100_000])
            time.sleep(0.01)
    (pod.path / "stdin.end").touch()
    assert pod.code() == 0
    expected = subprocess.run(["sha256sum"], input=data, capture_output=True).stdout
    assert pod.read("stdout") == expected
    assert int(pod.read("stdin.taken")) == len(data)


def test_signals_reach_the_process_group(make_pod: MakePod) -> None:
    pod = make_pod().start(
        bash(
            "(trap 'echo child; exit' INT; echo ready; while :; do sleep 0.05; done) & trap 'wait; echo parent; exit 7' INT; wait"
        )
    )
    eventually(lambda: b"ready" in pod.read("stdout"), "the tests' start")
    pod.signal(1, "INT")
    assert pod.code() == 7
    assert pod.read("stdout") == b"ready\nchild\nparent\n"


def test_a_deleted_pod_has_no_record_even_if_the_tests_end_well(make_pod: MakePod) -> None:
    pod = make_pod().start(bash("trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done"))
    eventually(lambda: b"ready" in pod.read("stdout"), "the tests' start")
    os.kill(supervisor(pod), 15)
    assert pod.child.wait(20) != 0
    assert pod.run.exit_code() is None


# Those that a process can send to another one; KILL and STOP too, which the kernel keeps from a namespace's first process.
EVERY_SIGNAL = sorted(signal.valid_signals() - {signal.SIGCHLD})


def test_whatever_the_tests_send_to_the_first_process_they_decide(make_pod: MakePod) -> None:
    script = f"import os, time\nfor n in {[int(n) for n in EVERY_SIGNAL]}:\n    os.kill(1, n)\n    time.sleep(0.02)\nprint('done', flush=True)"
    pod = make_pod().start([sys.executable, "-c", script + "; os._exit(42)"])
    assert (pod.code(), pod.read("stdout")) == (42, b"done\n")


def test_signals_that_the_tests_pretend_to_come_from_outside_change_nothing(make_pod: MakePod) -> None:
    """sigqueue(3) lets a program write the sender's id itself; F_SETOWN makes the kernel send them."""
    script = """
import ctypes, fcntl, os, signal, struct, time
forged = (ctypes.c_int * 32)(signal.SIGTERM, 0, -1)  # si_signo, si_errno, SI_QUEUE; si_pid 0
assert ctypes.CDLL(None).syscall(129, 1, signal.SIGTERM, forged) == 0  # rt_sigqueueinfo
reading, writing = os.pipe()
fcntl.fcntl(reading, fcntl.F_SETOWN, 1)
fcntl.fcntl(reading, 10, signal.SIGTERM)  # F_SETSIG
fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC)
os.write(writing, b"x")
time.sleep(0.3)
os._exit(3)
"""
    pod = make_pod().start([sys.executable, "-c", script])
    assert pod.code() == 3, pod.read("stderr")


def test_tests_that_send_signals_without_end_are_followed_as_ever(make_pod: MakePod) -> None:
    pod = make_pod().start(bash("(while :; do kill -TERM 1; kill -INT 1; done) & echo said; sleep 0.5; exit 5"))
    assert (pod.code(), pod.read("stdout")) == (5, b"said\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGRTMIN + 3])
def test_a_stop_signal_from_outside_ends_a_pod_that_waits_and_one_that_runs(make_pod: MakePod, number: int) -> None:
    waiting, running = make_pod("waiting").start(standby=True), make_pod("running").start(bash("echo go; sleep 100"))
    eventually(lambda: (waiting.path / "waiting").exists() and b"go" in running.read("stdout"), "both")
    for pod in (waiting, running):
        os.kill(supervisor(pod), number)
        assert pod.child.wait(20) == 143
        assert pod.run.exit_code() is None


def test_the_tests_have_signals_as_any_program_has(make_pod: MakePod) -> None:
    pod = make_pod().start(["grep", "^Sig[BI]", "/proc/self/status"])
    assert pod.code() == 0
    masks = dict(line.split() for line in pod.read("stdout").decode().splitlines())
    assert {name: int(mask, 16) for name, mask in masks.items()} == {"SigBlk:": 0, "SigIgn:": 0}


@pytest.mark.parametrize("terminal", [False, True])
def test_what_only_helps_a_reader_does_not_change_the_record(make_pod: MakePod, terminal: bool) -> None:
    """The copy of /var/log and the owner of the files fail in ways that nobody expects."""
    pod = make_pod()
    processes = pod.path / "pod/processes.py"
    processes.write_text(processes.read_text() + "\n\ndef give_to_owner(_):\n    raise ValueError('odd')\n")
    code = "import shutil\n\ndef copytree(*_, **__):\n    raise RecursionError('deep')\n\nshutil.copytree = copytree\n"
    processes.write_text(code + processes.read_text())
    assert pod.start(bash("exit 42"), terminal=terminal).code() == 42
    pod.end()


def test_the_record_says_how_long_the_streams_are(make_pod: MakePod) -> None:
    pod = make_pod().start(bash("head -c 100 /dev/zero; exit 0"), bash("head -c 70000 /dev/zero >&2; exit 3"))
    assert pod.code() == 3
    assert json.loads((pod.path / "record.json").read_text()) == {"exit_code": 3, "stdout": 100, "stderr": 70000}


def test_a_second_pod_in_the_same_run_directory_runs_nothing(make_pod: MakePod) -> None:
    """As after a request that was sent twice, or if a node starts a container again."""
    pod = make_pod().start(bash("echo one; sleep 1; echo two; exit 3"))
    eventually(lambda: pod.read("stdout"), "the first one's start")
    first, pod.child = pod.child, None
    second = pod.start(bash("echo another"))
    assert second.child.wait(20) == 74
    assert b"File exists" in second.child.stderr.read()
    eventually(lambda: pod.run.exit_code() is not None, "the first one's record")
    assert (pod.run.exit_code(), pod.read("stdout")) == (3, b"one\ntwo\n")
    second.child.stderr.close()
    pod.child = first


def test_a_run_directory_that_is_removed_meanwhile_leaves_no_record_and_says_so(make_pod: MakePod) -> None:
    pod = make_pod().start(bash("echo said; read -r line; exit 0"))
    eventually(lambda: pod.read("stdout"), "the tests' start")
    (pod.path / "stdin").write_bytes(b"x\n")
    shutil.rmtree(pod.path)
    assert pod.child.wait(30) == 74
    assert b"No such file" in pod.child.stderr.read()


def test_the_tests_do_not_see_that_they_run_in_kubernetes(make_pod: MakePod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.77.0.1")
    pod = make_pod().start(["env"])
    assert pod.code() == 0
    assert b"KUBERNETES" not in pod.read("stdout")


def test_a_terminal_is_an_xterm_as_with_docker_and_without_one_nothing_is_said(make_pod: MakePod, monkeypatch) -> None:
    monkeypatch.delenv("TERM", raising=False)
    pod = make_pod("with").start(["sh", "-c", "echo TERM is ${TERM-unset}."], terminal=True)
    assert pod.code() == 0
    assert b"TERM is xterm." in pod.read("stdout")
    without = make_pod("without").start(["sh", "-c", "echo TERM is ${TERM-unset}."])
    assert without.code() == 0
    assert b"TERM is unset." in without.read("stdout")


def test_a_terminal_has_a_size_and_passes_ctrl_c_on(make_pod: MakePod) -> None:
    pod = make_pod()
    (pod.path / "window").write_text("33 77")
    pod.start(
        ["true"], bash("test -t 0 && test -t 1 && stty size; read -r line; echo got $line; sleep 100"), terminal=True
    )
    eventually(lambda: b"33 77" in pod.read("stdout"), "the size, for the second command too")
    (pod.path / "stdin").write_bytes(b"typed\n")
    eventually(lambda: b"got typed" in pod.read("stdout"), "what was typed")
    with open(pod.path / "stdin", "ab") as file:
        file.write(b"\x03")
    assert pod.code() == 130
    assert pod.read("stdout").startswith(b"33 77\r\n")


def test_a_full_disk_leaves_no_record(make_pod: MakePod, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("needs root to mount a small file system: sudo ./check")
    (tmp_path / "run").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", tmp_path / "run"], check=True)
    try:
        pod = make_pod()
        recording = pod.path / "pod/recording.py"
        recording.write_text(recording.read_text().replace("NO_SPACE_PATIENCE = 10.0", "NO_SPACE_PATIENCE = 0.5"))
        pod.start(bash("head -c 2000000 /dev/zero; exit 0"))
        assert pod.child.wait(30) == 74
        assert pod.run.exit_code() is None
    finally:
        pod.end()
        subprocess.run(["umount", tmp_path / "run"], check=True)


def test_a_file_system_that_has_owners_of_its_own_takes_the_record(make_pod: MakePod) -> None:
    pod = make_pod()
    recording = pod.path / "pod/recording.py"
    recording.write_text(
        recording.read_text() + "\n\ndef refuse(*_, **__):\n    raise PermissionError(1, 'no')\n\n\nos.chown = refuse\n"
    )
    assert pod.start(bash("exit 3")).code() == 3


def test_a_full_disk_that_gets_room_again_loses_nothing(make_pod: MakePod, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("needs root to mount a small file system: sudo ./check")
    (tmp_path / "run").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path / "run"], check=True)
    try:
        pod = make_pod()
        (pod.path / "filler").write_bytes(b"x" * 600_000)
        pod.start(bash("head -c 700000 /dev/zero; exit 4"))
        eventually(lambda: len(pod.read("stdout")) > 200_000, "a full disk")
        time.sleep(0.2)
        (pod.path / "filler").unlink()
        assert (pod.code(), len(pod.read("stdout"))) == (4, 700_000)
    finally:
        pod.end()
        subprocess.run(["umount", tmp_path / "run"], check=True)


def test_following_ends_with_the_record_and_misses_nothing(make_pod: MakePod) -> None:
    pod = make_pod().start(
        bash("for i in $(seq 200); do echo line $i; echo err $i >&2; sleep 0.002; done; printf end; exit 5")
    )
    out, err = follow(pod, 0, 0)
    assert (out, err) == (pod.read("stdout"), pod.read("stderr"))
    assert pod.run.exit_code() == 5
    assert follow(pod, 1000, len(err) - 3) == (out[1000:], err[-3:])


def test_the_record_comes_after_the_streams(make_pod: MakePod) -> None:
    """A last burst by a child that outlives the tests' shell is not cut off."""
    pod = make_pod().start(bash("head -c 3000000 /dev/zero | tr '\\0' x"))
    sizes: list[int] = []
    eventually(lambda: pod.run.exit_code() is not None and not sizes.append(len(pod.read("stdout"))), "the record")
    assert sizes[0] == 3_000_000


def test_what_is_still_in_the_pipe_when_the_tests_end_is_recorded(make_pod: MakePod) -> None:
    """A pipe made larger than one read holds most of what was said when the program is already gone."""
    script = (
        "import fcntl, os; fcntl.fcntl(1, 1031, 1 << 20); os.write(1, b'x' * (1 << 20)); os._exit(5)"  # F_SETPIPE_SZ
    )
    pod = make_pod().start([sys.executable, "-c", script])
    assert pod.code() == 5
    assert len(pod.read("stdout")) == 1 << 20
