"""Stdin on its way to the tests: all of it, or no verdict."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.pods import Pod, eventually

from boulder_k8s.run import feeder as module
from boulder_k8s.run.feeder import Feeder


@pytest.fixture
def typed() -> Iterator[int]:
    """Descriptor 0 is a pipe; yields the end to write to."""
    before = os.dup(0)
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)
    yield writing
    os.dup2(before, 0)
    os.close(before)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 1 MB."""
    if os.geteuid():
        pytest.skip("needs root to mount a small file system: sudo ./check")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


def fill(directory: Path) -> Path:
    """Takes all the room of a file system, to the last byte; returns the file that has it."""
    filler = directory / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (1 << 16, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


@pytest.fixture
def keyboard() -> Iterator[int]:
    """Descriptor 0 is a raw terminal; yields its other side."""
    before = os.dup(0)
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    os.dup2(theirs, 0)
    yield ours
    os.dup2(before, 0)
    for descriptor in (before, ours, theirs):
        os.close(descriptor)


def test_a_key_that_nobody_hears_is_a_signal_if_it_is_pressed_again(tmp_path: Path, keyboard: int) -> None:
    insisted: list[int] = []
    feeder = Feeder(Pod(tmp_path / "run").path, insisted.append)  # without a supervisor, as on a node that is paused
    feeder.start()
    os.write(keyboard, b"words\x03")
    time.sleep(1)
    assert insisted == []
    begun = time.monotonic()
    os.write(keyboard, b"\x03")
    eventually(lambda: insisted == [signal.SIGINT], "the signal")
    assert time.monotonic() - begun < 1
    assert (feeder.directory / "stdin").read_bytes() == b"words\x03\x03"


def test_keys_that_the_tests_get_are_theirs(tmp_path: Path, keyboard: int) -> None:
    insisted: list[int] = []
    pod = Pod(tmp_path / "run").start(["bash", "-c", "trap 'echo int' INT; while :; do read; done"], terminal=True)
    eventually(lambda: (pod.path / "started").exists(), "the tests")
    Feeder(pod.path, insisted.append).start()
    for count in range(1, 6):
        os.write(keyboard, b"\x03\n")
        eventually(lambda count=count: pod.read("stdout").count(b"int") >= count, "the tests' own trap")
    assert insisted == []
    pod.end()


def test_stdin_on_a_disk_that_gets_room_again_arrives_whole(small: Path, typed: int) -> None:
    data = os.urandom(400_000)
    pod = Pod(small / "run").start(["sha256sum"])
    filler = fill(small)
    Feeder(pod.path).start()
    with open(typed, "wb") as file:
        file.write(data[:50_000])
        file.flush()
        time.sleep(0.5)  # the feeder meets the full disk
        filler.unlink()
        file.write(data[50_000:])
    assert pod.code() == 0
    assert pod.read("stdout").split()[0].decode() == hashlib.sha256(data).hexdigest()
    pod.end()


@pytest.mark.parametrize("data", [b"x" * 50_000, b""], ids=["bytes", "only its end"])
def test_stdin_on_a_full_disk_is_given_up_and_said(small: Path, typed: int, monkeypatch, data: bytes) -> None:
    monkeypatch.setattr(module, "NO_SPACE_PATIENCE", 0.3)
    pod = Pod(small / "run")
    if not data:  # no room for another file
        full = os.open("/dev/full", os.O_WRONLY)
        monkeypatch.setattr(Path, "touch", lambda *_, **__: os.write(full, b"x"))
    fill(small)
    feeder = Feeder(pod.path)
    feeder.start()
    with open(typed, "wb") as file:
        file.write(data)
    feeder.join(10)
    assert not feeder.is_alive()
    assert feeder.failure == "they were not given all of stdin: No space left on device"


def test_stdin_that_cannot_be_read_is_said(tmp_path: Path, typed: int) -> None:
    os.dup2(os.open("/proc/self/mem", os.O_RDONLY), 0)  # nothing is mapped at its beginning
    feeder = Feeder(Pod(tmp_path / "run").path)
    feeder.start()
    feeder.join(10)
    assert feeder.failure == "they were not given all of stdin: Input/output error"
    assert not (tmp_path / "run/stdin.end").exists()
    os.close(typed)


@pytest.mark.parametrize("how", ["./tk8s.sh < .", "./tk8s.sh <&-"])
def test_a_stdin_that_is_none_ends_at_once(tmp_path: Path, typed: int, how: str) -> None:
    os.dup2(os.open(tmp_path, os.O_RDONLY), 0) if how.endswith(".") else os.close(0)
    feeder = Feeder(Pod(tmp_path / "run").path)
    feeder.run()
    assert (feeder.failure, (tmp_path / "run/stdin.end").exists()) == ("", True)
    os.close(typed)


def test_tests_that_are_given_stdin_while_the_disk_is_full_go_on(small: Path) -> None:
    """The supervisor tells how much they took, which the full disk does not take."""
    pod = Pod(small / "run")
    (pod.path / "stdin").write_bytes(b"line\n")
    pod.start(["bash", "-c", "sleep 0.5; read -r line; sleep 0.5; exit 7"])
    eventually(lambda: (pod.path / "started").exists(), "the start")
    filler = fill(small)
    time.sleep(1)
    filler.unlink()
    assert pod.code() == 7
    pod.end()
