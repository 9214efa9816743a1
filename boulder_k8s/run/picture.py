"""phases.svg in a run's directory: where the time went, as bars in the order in which the phases came.

https://www.w3.org/TR/SVG2/: any browser shows it, also as an artifact of a CI row.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..host.files import write_whole

if TYPE_CHECKING:
    from xml.etree import ElementTree

LONG = 10.0  # seconds: a run that took less has no picture
NAME = "phases.svg"
WIDTH, ROW, LABEL, FIGURE = 860, 24, 130, 70  # pixels: the picture, a bar's row, the names' column, the figures' column
COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1")


def draw(record: Mapping, directory: Path) -> None:
    """Writes the picture of a run's phases; does nothing if they took LONG or less. record: run.json. Raises OSError."""
    phases = {name: float(seconds) for name, seconds in record.get("phases", {}).items()}
    if sum(phases.values()) > LONG:
        write_whole(directory / NAME, picture(phases, " ".join(record.get("arguments") or []) or "run"))


def picture(phases: Mapping[str, float], title: str) -> str:
    """Returns the SVG. phases: durations in seconds, by name, one after the other."""
    from xml.etree import ElementTree  # here: a warm run has no time for it (10 ms)

    total = sum(phases.values())
    height = ROW * (len(phases) + 2)
    svg = element(
        None, "svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {height}", width=WIDTH, height=height
    )
    svg.set("font-family", "sans-serif")
    svg.set("font-size", "13")
    element(svg, "rect", width=WIDTH, height=height, fill="white")
    text(svg, 8, 0, f"{title}: {total:.1f} s")
    scale, at = (WIDTH - LABEL - FIGURE) / total, 0.0
    for number, (name, seconds) in enumerate(phases.items()):
        y, left = ROW * (number + 1), LABEL + at * scale
        text(svg, 8, y, name)
        element(
            svg,
            "rect",
            x=f"{left:.1f}",
            y=y + 4,
            width=f"{max(1.0, seconds * scale):.1f}",
            height=ROW - 8,
            fill=COLOURS[number % len(COLOURS)],
        )
        text(svg, left + seconds * scale + 6, y, f"{seconds:.1f} s")
        at += seconds
    return ElementTree.tostring(svg, encoding="unicode") + "\n"


def element(parent: ElementTree.Element | None, tag: str, **attributes: object) -> ElementTree.Element:
    """Adds an element, or makes the first one."""
    from xml.etree import ElementTree

    made = ElementTree.Element(tag) if parent is None else ElementTree.SubElement(parent, tag)
    for name, value in attributes.items():
        made.set(name, str(value))
    return made


def text(parent: ElementTree.Element, x: float, y: float, words: str) -> None:
    """Adds a text, its left end at x, in the row that begins at y. What XML cannot hold, such as an escape sequence, is left out."""
    made = element(parent, "text", x=f"{x:.1f}", y=y + ROW - 7, fill="#222")
    made.text = "".join(char for char in words if char.isprintable())
