"""What tests that say nothing are at."""

from __future__ import annotations

import json
import time

import pytest
from support.pods import eventually

from boulder_k8s.host.settings import Settings
from boulder_k8s.run import silence
from boulder_k8s.run.directory import Run


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("FIRST", 0.3), ("AGAIN", 0.3), ("LOOK", 0.02), ("SHORTEST", 0.1)):
        monkeypatch.setattr(silence, name, seconds)


@pytest.fixture
def run(settings: Settings, checkout, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(Settings, "known_checkout", checkout)
    old = Run.create(settings, ["old"], {"compiling": 279.4})
    with old.recorded():
        pass
    time.sleep(1.1)  # a name has the second
    return Run.create(settings, ["t"], {})


def test_it_says_that_go_compiles_while_its_cache_grows(quick, settings, checkout, run: Run, capsys) -> None:
    shard = checkout / ".gocache/go-build/0a"
    shard.mkdir(parents=True)
    said = ""

    def compiled() -> bool:
        nonlocal said
        (shard / f"{time.monotonic()}-d").touch()
        said += capsys.readouterr().err
        return said.count("Go is compiling") > 1

    with silence.told(settings, run):
        eventually(compiled, "two lines")
    assert "no output for 0 s: Go is compiling Boulder" in said
    assert "more results in .gocache; it took 4 min 39 s the last time" in said
    assert run.record["compiling"] > 0.1
    run.save()
    assert json.loads((run.path / "run.json").read_text())["compiling"] > 0.1


@pytest.mark.parametrize("what", ["the tests write", "the cache stays"])
def test_it_is_silent_if_there_is_nothing_to_say(quick, settings, checkout, run: Run, capsys, what: str) -> None:
    shard = checkout / ".gocache/go-build/0a"
    shard.mkdir(parents=True)
    with silence.told(settings, run):
        for number in range(40):
            if what == "the tests write":
                (shard / f"{number}-d").touch()
                with open(run.path / "stdout", "a") as stream:
                    stream.write("a line\n")
            time.sleep(0.02)
    assert ("Go is compiling" in capsys.readouterr().err, "compiling" in run.record) == (False, False)
