"""The picture of a run's phases."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from boulder_k8s.run import picture

SPACE = "{http://www.w3.org/2000/svg}"


def test_bars_follow_each_other_and_are_as_long_as_their_phases(tmp_path: Path) -> None:
    phases = {"cluster": 10.0, "dependencies": 5.0, "tests": 25.0}
    picture.draw({"arguments": ["--filter", "a<b>&\x1b[31m"], "phases": phases}, tmp_path)
    svg = ElementTree.parse(tmp_path / picture.NAME).getroot()
    bars = [{key: float(bar.get(key)) for key in ("x", "width")} for bar in svg.findall(f"{SPACE}rect")[1:]]
    assert [round(bar["width"] / bars[1]["width"], 1) for bar in bars] == [2.0, 1.0, 5.0]
    assert all(abs(one["x"] + one["width"] - two["x"]) < 0.2 for one, two in zip(bars, bars[1:], strict=False))
    words = [item.text for item in svg.findall(f"{SPACE}text")]
    assert words == ["--filter a<b>&[31m: 40.0 s", "cluster", "10.0 s", "dependencies", "5.0 s", "tests", "25.0 s"]


def test_a_short_run_has_no_picture(tmp_path: Path) -> None:
    for phases in ({}, {"phases": {}}, {"phases": {"pod": 0.2, "tests": 3}}):
        picture.draw({"arguments": ["x"], **phases}, tmp_path)
    assert list(tmp_path.iterdir()) == []
