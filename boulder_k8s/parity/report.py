"""A parity report as text, JSON, JUnit and Markdown."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, dataclass, field

from ..host.progress import visible
from ..manifests.differences import Difference, Intended

MOST = 200  # rows of a Markdown table: GitHub accepts 1 MiB as a step's summary
WIDEST = 300  # characters of a value shown in a table; report.json has all


@dataclass
class Part:
    """What one part of the comparison found."""

    name: str
    compared: int  # facts
    different: list[Difference] = field(default_factory=list)  # not in intended.yaml: makes the exit code 1
    intended: list[tuple[Difference, Intended]] = field(default_factory=list)
    flaky: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Report:
    """Everything that one `invoke parity` found."""

    revision: str
    overlay: str  # config or config-next
    parts: list[Part] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """1 if there is a difference that is neither intended nor flaky, else 0."""
        return int(any(part.different for part in self.parts))

    def as_json(self) -> str:
        """Returns the report as JSON."""
        parts = [
            {
                "name": part.name,
                "compared": part.compared,
                "different": [asdict(item) for item in part.different],
                "flaky": [asdict(item) for item in part.flaky],
                "intended": [{**asdict(item), "reason": entry.reason} for item, entry in part.intended],
                "notes": part.notes,
            }
            for part in self.parts
        ]
        document = {"revision": self.revision, "overlay": self.overlay, "same": not self.exit_code, "parts": parts}
        return json.dumps(document, indent=2) + "\n"

    def as_text(self) -> str:
        """Returns the report as text for a terminal."""
        lines = [f"Parity of Compose and Kubernetes for {self.revision}, {self.overlay}"]
        for part in self.parts:
            lines.append(f"\n{part.name}: {summary(part)}")
            lines += [f"  {note}" for note in part.notes]
            lines += [f"  different: {described(item)}" for item in part.different]
            lines += [f"  flaky: {described(item)}" for item in part.flaky]
            lines += [f"  intended: {described(item)}\n      {entry.reason}" for item, entry in part.intended]
        lines.append(f"\n{'No unlisted difference.' if not self.exit_code else 'There are unlisted differences.'}")
        return "\n".join(lines)

    def as_markdown(self) -> str:
        """Returns the report as Markdown for a CI summary, at most about half a MiB."""
        lines = [f"## Parity of Compose and Kubernetes\n\nBoulder `{self.revision}`, `{self.overlay}`\n"]
        lines += ["| part | facts compared | different | flaky | intended |", "| --- | --- | --- | --- | --- |"]
        for part in self.parts:
            lines.append(
                f"| {part.name} | {part.compared} | {len(part.different)} | {len(part.flaky)} | {len(part.intended)} |"
            )
        for part in self.parts:
            lines += [f"\n{note}" for note in part.notes]
            for title, found in (
                ("Different", part.different),
                ("Flaky", part.flaky),
                ("Intended", [item for item, _ in part.intended]),
            ):
                if found:
                    lines += [f"\n### {title}: {part.name}\n", "| what | Compose | Kubernetes |", "| --- | --- | --- |"]
                    lines += [row(item) for item in found[:MOST]]
                if len(found) > MOST:
                    lines.append(f"\n{len(found) - MOST} more are in report.json.")
        return "\n".join(lines) + "\n"

    def as_junit(self) -> str:
        """Returns the report as JUnit XML, one test suite for each part.

        A difference is a failure; an intended or flaky one is skipped, with its reason.
        """
        suites = ElementTree.Element("testsuites", name="parity")
        for part in self.parts:
            skipped = [(item, "flaky") for item in part.flaky] + [(item, entry.reason) for item, entry in part.intended]
            cases = len(part.different) + len(skipped) or 1
            suite = ElementTree.SubElement(
                suites,
                "testsuite",
                name=part.name,
                tests=str(cases),
                failures=str(len(part.different)),
                errors="0",
                skipped=str(len(skipped)),
            )
            for item in part.different:
                case = ElementTree.SubElement(suite, "testcase", classname=f"parity.{part.name}", name=name(item))
                ElementTree.SubElement(case, "failure", message=described(item))
            for item, reason in skipped:
                case = ElementTree.SubElement(suite, "testcase", classname=f"parity.{part.name}", name=name(item))
                ElementTree.SubElement(case, "skipped", message=f"{reason}: {described(item)}")
            if not part.different and not skipped:
                ElementTree.SubElement(suite, "testcase", classname=f"parity.{part.name}", name=summary(part))
        ElementTree.indent(suites)
        return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def summary(part: Part) -> str:
    """Returns the numbers of a part, in a line."""
    return f"{part.compared} facts compared, {len(part.different)} different, {len(part.flaky)} flaky, {len(part.intended)} intended"


def name(item: Difference) -> str:
    """Returns what a difference is about."""
    return visible(f"{item.subject}: {item.aspect}")


def described(item: Difference) -> str:
    """Returns a difference in a line, with its clipped values."""
    return f"{name(item)}: Compose {clipped(item.compose)!r}, Kubernetes {clipped(item.kubernetes)!r}"


def row(item: Difference) -> str:
    """Returns a difference as a row of a Markdown table."""
    cells = (name(item), clipped(item.compose), clipped(item.kubernetes))
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def clipped(value: str) -> str:
    """Returns a value, cut off after WIDEST characters."""
    return value if len(value) <= WIDEST else f"{value[:WIDEST]}..."
