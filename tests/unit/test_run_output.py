"""`invoke logs boulder` while tests run: what they say, from the run directory."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.pods import eventually

from boulder_k8s.cluster.logs import STAMP
from boulder_k8s.commands import run_output
from boulder_k8s.host.names import NAME
from boulder_k8s.host.settings import Settings


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    path.mkdir()
    (path / "stdout").write_text("one\ntwo\nhalf")
    (path / "stderr").write_text("three\n")
    return path


def pod(name: str, label: str, path: str) -> dict:
    volumes = [{"name": "run", "hostPath": {"path": path}}]
    return {"metadata": {"name": name, "labels": {NAME: label}}, "spec": {"volumes": volumes}}


def test_the_run_is_the_one_whose_pod_is_there(settings: Settings) -> None:
    cluster = SimpleNamespace(settings=settings)
    waiting = pod("boulder-tests", "boulder-standby", "/runs/.standby/unit/x")
    assert run_output.directory(cluster, [waiting, pod("boulder-abc", "boulder", "/runs/a")]) is None
    found = run_output.directory(cluster, [pod("boulder-tests", "boulder", "/runs/a")])
    assert found == settings.runs / "a"
    assert run_output.directory(cluster, [pod("boulder-tests", "boulder", "/elsewhere")]) is None


def test_lines_are_those_of_a_log(run: Path) -> None:
    assert [line[STAMP + 1 :] for line in run_output.lines(run, None)] == [b"one\n", b"two\n", b"half\n", b"three\n"]
    assert [line[STAMP + 1 :] for line in run_output.lines(run, 1)] == [b"half\n", b"three\n"]
    assert [*run_output.lines(run / "gone", None)] == []


def test_what_is_added_follows_until_the_tests_have_ended(run: Path) -> None:
    said: list[bytes] = []
    tail = run_output.Tail(run, 1, lambda: True, lambda line: said.append(line[STAMP + 1 :]))
    tail.start()
    eventually(lambda: said, "the last line")
    with open(run / "stdout", "a") as file:
        file.write(" and half\nfour\n")
    eventually(lambda: len(said) == 3, "what was added")
    (run / "exitcode").write_text("0")
    tail.join(10)
    assert (tail.is_alive(), said) == (False, [b"three\n", b"half and half\n", b"four\n"])


def test_a_pod_that_is_gone_ends_it(run: Path) -> None:
    there = threading.Event()
    said: list[bytes] = []
    tail = run_output.Tail(run, 0, lambda: not there.is_set(), said.append)
    tail.start()
    there.set()
    tail.join(10)
    assert (tail.is_alive(), said) == (False, [])
