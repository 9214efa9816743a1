"""`invoke trace`: the address of Jaeger's page for a run."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from boulder_k8s.commands import trace
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import Settings


def test_the_page_is_about_the_time_of_the_run(settings: Settings, monkeypatch, capsys) -> None:
    with pytest.raises(Problem, match="no run of the tests"):
        trace.trace(settings)
    for day, began in (("01", 1000.5), ("02", 2000.25)):
        path = settings.runs / f"202601{day}T000000Z-t"
        path.mkdir(parents=True)
        record = {
            "cluster": settings.cluster,
            "arguments": ["--unit"],
            "began": began,
            "ended": began + 10,
            "exit_code": 1,
        }
        (path / "run.json").write_text(json.dumps({**record, "phases": {"tests": 1.0}}))
    asked = []

    def forwarded(settings: Settings, words: list[str], chosen_is) -> int:
        asked.append(words)
        chosen_is(16687)
        return 130

    monkeypatch.setattr(trace.forward, "port_forward", forwarded)
    for name, start in (("", 2000250000), ("20260101T000000Z-t", 1000500000)):
        assert trace.trace(settings, name) == 130
        address = urlsplit(capsys.readouterr().err.split(": ")[-1].strip())
        query = {key: value for key, (value,) in parse_qs(address.query).items()}
        assert (address.netloc, address.path) == ("localhost:16687", "/search")
        assert (int(query["start"]), int(query["end"])) == (start, start + 10_000_000)
    assert asked == [["bjaeger"], ["bjaeger"]]
