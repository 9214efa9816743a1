"""Records end anywhere: their writer may be killed, the disk may fill, another version may have written them. Whoever reads them goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as checked
from hypothesis import strategies as some

from boulder_k8s.commands import status
from boulder_k8s.diagnose import bundle, cause
from boulder_k8s.host import lock
from boulder_k8s.host.settings import Settings
from boulder_k8s.run import aftermath, directory, record, retention
from boulder_k8s.run.directory import Run

RECORD = {
    "arguments": ["--unit", "-p", "./va"],
    "began": 1700000000.5,
    "checkout": "/boulder",
    "cluster": "unit",
    "config": {"kept": {}, "failed": {}, "written": []},
    "ended": 1700000010.5,
    "exit_code": 1,
    "failure": "Problem: no",
    "phases": {"tests": 3.0},
    "restarts": [{"service": "bconsul", "exit_code": 1, "reason": "Error", "ended": "x", "began": "x"}],
    "revision": "abc",
    "versions": {"docker": "28"},
}
OBJECTS = [{"kind": "Pod", "metadata": {"name": "x"}, "status": {}}]
HOLDER = {"what": "./tk8s.sh", "pid": 1, "since": 1700000000.5}
values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def cut(record: object) -> some.SearchStrategy[str]:
    """A record that ends anywhere."""
    text = json.dumps(record)
    return some.integers(0, len(text)).map(lambda length: text[:length])


def changed(record: dict) -> some.SearchStrategy[str]:
    """A record in which one key has any value, or that is something else altogether."""
    pairs = some.tuples(some.sampled_from(sorted(record)), values)
    return pairs.map(lambda pair: json.dumps({**record, pair[0]: pair[1]})) | values.map(json.dumps)


@contextmanager
def kept(settings: Settings, name: str, text: str) -> Iterator[Path]:
    """A run directory in which one file has a text."""
    run = settings.runs / "20260101T000000Z-t"
    run.mkdir(parents=True, exist_ok=True)
    path = run / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, errors="surrogatepass")
    yield run
    path.unlink()


def quickly(test):
    """Each example takes the same directories, and has them clean."""
    allowed = [HealthCheck.function_scoped_fixture]
    return checked(max_examples=80, deadline=None, suppress_health_check=allowed)(test)


@quickly
@given(text=cut(RECORD) | changed(RECORD))
@example(text='{"cluster": "unit", "arguments": ["x"]}')
@example(text='{"cluster": "unit", "arguments": null, "began": 1e400}')
def test_a_run_json_of_any_shape_is_read(settings: Settings, capsys, text: str) -> None:
    with kept(settings, "run.json", text) as run:
        found = directory.last_run(settings)
        status.show(status.Status("unit", "absent", last_run=found))
        cause.summary(bundle.gather_facts(settings, run))
        retention.goes_on(run)
        retention.kind(record.read(run))
    capsys.readouterr()


@quickly
@given(text=cut(OBJECTS) | values.map(json.dumps))
def test_a_snapshot_of_any_shape_is_read(settings: Settings, text: str) -> None:
    with kept(settings, "cluster/objects.json", text) as run:
        assert "Probably: " in cause.summary(bundle.gather_facts(settings, run))


@quickly
@given(text=cut(HOLDER) | changed(HOLDER))
def test_the_note_of_a_lock_of_any_shape_is_read(settings: Settings, text: str) -> None:
    settings.lock.parent.mkdir(parents=True, exist_ok=True)
    settings.lock.write_text(text, errors="surrogatepass")
    said, held = lock.look(settings)
    assert not held and bool(said) == bool(text)


@quickly
@given(text=cut(RECORD["config"]) | changed(RECORD["config"]))
def test_what_a_run_wrote_to_its_configuration_is_read(settings: Settings, capsys, text: str) -> None:
    with kept(settings, "config.json", text) as run:
        aftermath.configuration(replace(Run(run), record={"failure": "Problem: no"}))
    capsys.readouterr()


@quickly
@given(
    text=cut({"key": None, "answer": {"path": "/x", "node": "y", "checkout": [1]}})
    | values.map(json.dumps)
    | values.map(lambda value: json.dumps({"key": None, "answer": value}))
)
def test_what_is_known_of_a_cluster_is_read(settings: Settings, text: str) -> None:
    settings.file("cluster").parent.mkdir(parents=True, exist_ok=True)
    settings.file("cluster").write_text(text, errors="surrogatepass")
    assert settings.known_checkout in (None, Path("/x")) or isinstance(settings.known_checkout, Path)


def test_a_parity_that_has_ended_is_not_running(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from boulder_k8s.parity import command

    monkeypatch.setattr(command.tools, "find", lambda _: None)
    monkeypatch.setattr(command.checkouts, "of_command", lambda *_: command.Checkout(settings.root))
    monkeypatch.setattr(command, "compared", lambda *_: 1)
    assert command.parity(settings, command.ParityOptions(("static",)), {}) == 1
    found = directory.last_run(settings)
    assert (found["arguments"], found["exit_code"], found["seconds"] is None) == (["parity", "static"], 1, False)
