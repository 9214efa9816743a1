"""What is said at the end of a failed run about what failed, and why: a few lines for the terminal, a page for summary.txt."""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from .findings import LONG, VARYING, Failure, Findings

FEW = 8  # failures on the terminal, each a line
PAGE = 40  # in summary.txt, each with its further lines
ROWS = 3  # lines of packages on the terminal
WIDTH = 160  # characters of a line on the terminal


@dataclass
class Group:
    """Failures that say the same. more: how many besides the first."""

    first: Failure
    more: int = 0

    def __str__(self) -> str:
        """Where it is, its name, and what it says, in a line."""
        failure = self.first
        where = failure.place or failure.package
        name = f"service {failure.name}" if failure.kind == "service" else failure.name
        also = f"and {self.more} more" if self.more else ""
        said = failure.words[:2] if failure.kind == "service" else failure.words[:1]
        words = f"{'panic: ' if failure.kind == 'panic' else ''}{'; '.join(said) or 'failed'}"
        return f"{' '.join(filter(None, (where, name, also)))}: {words}".removeprefix(": ")[: 2 * LONG]


def groups(found: Findings) -> list[Group]:
    """Returns the failures, those that say the same together."""
    there: dict[tuple, Group] = {}
    for number, failure in enumerate(found.ranked()):
        said = VARYING.sub("#", failure.words[0]) if failure.words else number
        key = (failure.kind, said, {"service": failure.name, "test": ""}.get(failure.kind, failure.file))
        if key in there:
            there[key].more += 1
        else:
            there[key] = Group(failure)
    return list(there.values())


def spread(listed: Iterable[Group]) -> list[Group]:
    """Returns groups in another order: one of each package comes before a second one of any."""
    seen: Counter[str] = Counter()
    numbered = []
    for group in listed:
        package = group.first.package or os.path.dirname(group.first.file)
        numbered.append((seen[package], group))
        seen[package] += 1
    return [group for _, group in sorted(numbered, key=lambda item: item[0])]


def packages(found: Findings, most: int = 1000) -> str:
    """Returns a line about the packages that failed, `most` of them by name; "" if none did."""
    if not found.packages:
        return ""
    names = [f"{name} ({why})" if why else name for name, why in found.packages.items()]
    others = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{counted(len(names), 'package')} failed: {', '.join(names[:most])}{others}"


def counted(number: int, what: str) -> str:
    """Returns a number of things."""
    return f"{number} {what}{'s' if number != 1 else ''}"


def repeated(found: Findings) -> str:
    """Returns a line about what repeats most among the errors; "" if nothing does."""
    times, line = found.most_repeated()
    return f"{times} times: {line.strip()}" if times else ""


def lines(found: Findings) -> list[str]:
    """Returns what failed, for the terminal: at most ROWS + FEW + 2 lines; none if the output tells of nothing."""
    if not found:
        return []
    listed = groups(found)
    rows = textwrap.wrap(
        packages(found), WIDTH, max_lines=ROWS, placeholder=" ...", subsequent_indent="  ", break_on_hyphens=False
    )
    shown = [*rows, *filter(None, [repeated(found)]), *(f"  {group}" for group in spread(listed)[:FEW])]
    if len(listed) > FEW:
        shown.append(f"  and {len(listed) - FEW + found.more} more, see stdout")
    shown = [line.replace("\t", " ") for line in shown]
    return [line if len(line) <= WIDTH else f"{line[: WIDTH - 4]} ..." for line in shown]


def page(found: Findings) -> str:
    """Returns what failed, for summary.txt; "" if the output tells of nothing."""
    if not found:
        return ""
    told = [packages(found), repeated(found)]
    listed = groups(found)
    for group in listed[:PAGE]:
        told.append(str(group))
        further = group.first.words[2 if group.first.kind == "service" else 1 :]
        told += [f"    {line}" for line in further[:6]]
    if len(listed) > PAGE or found.more:
        told.append(f"and {len(listed[PAGE:]) + found.more} more")
    if found.skipped:
        told.append(f"{found.skipped} bytes in the middle of the output were not read")
    return "\n".join(filter(None, told)) + "\n"


def sentence(found: Findings) -> str:
    """Returns what failed, in half a sentence; "" if the output tells of nothing."""
    if not found:
        return ""
    return "; ".join(filter(None, (packages(found, most=4), repeated(found) or next(map(str, groups(found)), ""))))
