"""`invoke up --watch`: which changes start Boulder again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from boulder_k8s.commands import watch as module
from boulder_k8s.commands.arguments import Options
from boulder_k8s.host.errors import Interrupted, Problem
from boulder_k8s.host.settings import Settings
from boulder_k8s.host.signals import Signals


class Watched:
    """`watch` in the test's own thread would never end: the n-th `up` ends it by a signal's exception."""

    def __init__(self) -> None:
        self.ups: list[str] = []
        self.then: list[Callable[[], None]] = []

    def up(self, settings: Settings, signals: object, options: Options, fresh: object = ()) -> None:
        self.ups.append(f"up {len(self.ups)}")
        action = self.then.pop(0) if self.then else self.end
        action()

    def end(self) -> None:
        raise Interrupted(2)


@pytest.fixture
def watched(settings: Settings, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Watched]]:
    """Watches the checkout, while a thread does something to it after the first `up`."""
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "-qmx"],
    ):
        subprocess.run(["git", "-C", checkout, *words], check=True)
    settings.state.mkdir(parents=True)
    monkeypatch.setenv("BOULDER_DIR", str(checkout))
    monkeypatch.setattr(module, "QUIET", 100)
    monkeypatch.setattr(module, "POLL", 200)

    def run(change: Callable[[], object], *then: Callable[[], None]) -> Watched:
        found = Watched()
        timer = threading.Timer(0.7, change)
        found.then = [timer.start, *then]
        monkeypatch.setattr(module, "up", found.up)
        with pytest.raises(Interrupted):
            module.watch(settings, None, Options(False, 10))
        timer.join()
        return found

    yield run


@pytest.mark.parametrize("polls", [False, True])
def test_a_change_starts_boulder_again_by_events_and_by_looking(
    watched, checkout, monkeypatch, capsys, polls: bool
) -> None:
    monkeypatch.setattr(module, "kind_of", lambda _: "9p" if polls else "ext4")
    assert len(watched(lambda: (checkout / "new.go").write_text("package new")).ups) == 2
    said = capsys.readouterr().err
    assert f"watching {checkout}" in said
    assert ("without events (9p)" in said) is polls


def test_what_git_ignores_and_what_a_start_writes_changes_nothing(watched, checkout: Path) -> None:
    (checkout / ".git/info/exclude").write_text("*.log\nbin\n")

    def change() -> None:
        (checkout / "a.log").write_text("x")
        (checkout / "bin").mkdir(exist_ok=True)
        (checkout / "bin/boulder").write_text("x")
        threading.Timer(1.5, (checkout / "b.go").write_text, ["package b"]).start()

    found = watched(change)
    assert len(found.ups) == 2 and (checkout / "b.go").exists()


def test_an_editor_that_saves_by_renaming_is_seen(watched, checkout: Path) -> None:
    def save() -> None:
        (checkout / ".start.py.swp").write_text("# edited\n")
        (checkout / ".start.py.swp").replace(checkout / "start.py")

    assert len(watched(save).ups) == 2


def test_a_git_checkout_of_many_files_is_one_start(watched, checkout: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "QUIET", 2000)  # a busy machine rests between two calls of git
    git = ["git", "-C", checkout, "-c", "user.name=n", "-c", "user.email=e@example.org"]

    def many() -> None:
        subprocess.run([*git, "switch", "-qc", "other"], check=True)
        for number in range(2000):
            (checkout / f"x{number}.go").write_text(f"package x{number}")
        for words in (["add", "-A"], ["commit", "-qmother"], ["switch", "-q", "-"], ["switch", "-q", "other"]):
            subprocess.run([*git, *words], check=True)

    def then() -> None:
        threading.Timer(1.5, (checkout / "last.go").write_text, ["package last"]).start()

    found = watched(many, then)
    assert len(found.ups) == 3 and (checkout / "last.go").exists()


def test_a_checkout_that_is_no_repository_cannot_be_watched(settings: Settings, checkout: Path, monkeypatch) -> None:
    monkeypatch.setenv("BOULDER_DIR", str(checkout))
    monkeypatch.setattr(module, "up", lambda *_: pytest.fail("it has begun"))
    with pytest.raises(Problem, match="nobody can tell when its code changes") as caught:
        module.watch(settings, None, Options(False, 10))
    assert "`invoke restart`" in caught.value.advice()
    for words in re.findall("`git ([^`]*)`", caught.value.advice()):
        subprocess.run(["git", "-C", checkout, *words.split()], check=True)
    with pytest.raises(pytest.fail.Exception, match="it has begun"):
        module.watch(settings, None, Options(False, 10))


def test_code_that_does_not_compile_is_said_and_the_next_change_tries_again(watched, checkout: Path, capsys) -> None:
    def broken() -> None:
        threading.Timer(0.7, (checkout / "a.go").write_text, ["package a"]).start()
        raise Problem("Boulder does not start.", "Correct it.")

    found = watched(lambda: (checkout / "a.go").write_text("pakcage a"), broken)
    assert len(found.ups) == 3
    assert "Boulder does not start." in capsys.readouterr().err


def test_while_tests_have_the_checkout_it_waits(watched, checkout: Path, monkeypatch) -> None:
    free = threading.Event()
    monkeypatch.setattr(module.locks, "look", lambda _: ("tests", not free.is_set()))

    def in_use() -> None:
        threading.Timer(0.5, free.set).start()
        raise Problem("Cluster unit is in use.", "Wait.")

    found = watched(lambda: (checkout / "a.go").write_text("package a"), in_use)
    assert len(found.ups) == 3 and free.is_set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_its_number(watched, settings, checkout: Path, monkeypatch, capsys, number: int) -> None:
    before = {each: signal.getsignal(each) for each in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}}
    signals = Signals()
    try:
        monkeypatch.setattr(module, "up", lambda *_: threading.Timer(1, os.kill, [os.getpid(), number]).start())
        assert module.watch(settings, signals, Options(False, 10)) == 128 + number
    finally:
        signals.close()
        for each, handler in before.items():
            if handler is not None:
                signal.signal(each, handler)
    assert capsys.readouterr().err.splitlines()[-1] == "boulder-k8s: the watch has ended; Boulder stays up"


def test_the_file_system_of_a_path_is_the_nearest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"d / ext4 rw 0 0\nd {tmp_path}/a\\040b fuse.sshfs rw 0 0\nd {tmp_path}/a nfs4 rw 0 0\n")
    found = {name: module.kind_of(tmp_path / name, mounts) for name in ("a b/c", "a/d", "e")}
    assert found == {"a b/c": "fuse", "a/d": "nfs4", "e": "ext4"}
    assert module.kind_of(tmp_path, tmp_path / "none") == ""
