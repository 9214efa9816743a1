"""The differences between Compose and Kubernetes, and which of them are intended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from ..host.files import load_yaml

ABSENT = "absent"
CONVERTED = "CONVERTED"  # in intended.yaml: any service that k8s/base does not know
Fact = tuple[str, tuple[str, str]]  # an aspect, and what Compose and Kubernetes say of it
FILE = Path(__file__).with_name("intended.yaml")


@dataclass(frozen=True)
class Difference:
    """One fact that is not the same. part: static, probe or results. subject: such as a service. aspect: such as an
    environment variable.
    """

    part: str
    subject: str
    aspect: str
    compose: str
    kubernetes: str


@dataclass(frozen=True)
class Intended:
    """A difference that is intended, and why. All fields but part and reason are patterns as in a shell (fnmatch).

    subject and aspect may be several patterns: the entry is about each of them.
    """

    part: str
    subject: str | tuple[str, ...]
    aspect: str | tuple[str, ...]
    reason: str
    compose: str = "*"
    kubernetes: str = "*"

    def covers(self, difference: Difference) -> bool:
        """Returns whether this entry matches a difference."""
        return self.part == difference.part and all(
            any(fnmatchcase(getattr(difference, field), pattern) for pattern in patterns(getattr(self, field)))
            for field in ("subject", "aspect", "compose", "kubernetes")
        )


def patterns(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """Returns the patterns of a field."""
    return (value,) if isinstance(value, str) else value


def read_intended(path: Path = FILE) -> list[Intended]:
    """Returns the list of intended differences. Raises OSError."""
    entries = load_yaml(path)
    return [Intended(**{key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()}) for entry in entries]


def about(intended: list[Intended], names: Iterable[str]) -> list[Intended]:
    """Returns the list with names in place of the word CONVERTED. names: of the services that k8s/base does not know, and their aliases."""
    there = tuple(names)

    def filled(value: str | tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            text.replace(CONVERTED, name)
            for text in patterns(value)
            for name in (there if CONVERTED in text else ("",))
        )

    found = [replace(entry, subject=filled(entry.subject), aspect=filled(entry.aspect)) for entry in intended]
    return [entry for entry in found if entry.subject and entry.aspect]


def partition(
    differences: Iterable[Difference], intended: list[Intended]
) -> tuple[list[Difference], list[tuple[Difference, Intended]]]:
    """Splits differences into those on no list and the intended ones, each of these with its entry."""
    unlisted, listed = [], []
    for difference in differences:
        if entry := next((entry for entry in intended if entry.covers(difference)), None):
            listed.append((difference, entry))
        else:
            unlisted.append(difference)
    return unlisted, listed


def unused(part: str, listed: Iterable[tuple[Difference, Intended]], intended: list[Intended]) -> list[Intended]:
    """Returns the entries about a part that cover none of the differences found there: the cluster may be the same now."""
    used = {entry for _, entry in listed}
    return [entry for entry in intended if entry.part == part and entry not in used]


def title(entry: Intended) -> str:
    """Returns what an entry is about, in a line."""
    return f"{', '.join(patterns(entry.subject))}: {', '.join(patterns(entry.aspect))}"


def as_markdown(intended: list[Intended]) -> str:
    """Returns the list as docs/parity.md has it: `python -m boulder_k8s.manifests.differences`."""
    lines = ["| part | what | Compose | Kubernetes | why |", "| --- | --- | --- | --- | --- |"]
    for entry in intended:
        cells = (entry.part, title(entry), entry.compose, entry.kubernetes, entry.reason)
        quoted = [cells[0], *(f"`{cell}`" for cell in cells[1:4]), cells[4]]
        lines.append("| " + " | ".join(quoted) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(as_markdown(read_intended()), end="")
