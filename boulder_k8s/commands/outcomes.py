"""What became of revisions, for people and for programs: the table of `invoke revisions`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field

from ..manifests.history import Revision

VARIANTS = {"config": False, "config-next": True}
ACCEPTED = "accepted"


@dataclass(frozen=True)
class Outcome:
    """What became of one revision with one configuration.

    refused: why, or "". converted: the services that k8s/base does not know. unlisted: static differences that are on no list. notes: what
    of t.sh or tn.sh is not followed.
    """

    refused: str = ""
    converted: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether it is accepted without unlisted differences."""
        return not self.refused and not self.unlisted

    def __str__(self) -> str:
        """For people, in a line."""
        parts = [f"refused: {self.refused}" if self.refused else ACCEPTED]
        if self.converted:
            parts.append(f"converted: {', '.join(self.converted)}")
        if self.unlisted:
            number = len(self.unlisted)
            parts.append(f"{number} unlisted difference{'s' if number > 1 else ''}: {', '.join(self.unlisted)}")
        return "; ".join([*parts, *self.notes])


Found = list[tuple[Revision, dict[str, Outcome]]]


def as_text(found: Found) -> str:
    """Returns the table, how often each result came, and a line about all."""
    rows = [("revision", "date", "with", "result")]
    for revision, both in found:
        texts = {variant: str(outcome) for variant, outcome in both.items()}
        if len(set(texts.values())) == 1:
            texts = {"both": texts["config"]}
        rows += [(revision.commit[:9], revision.date, variant, text) for variant, text in texts.items()]
    wide = max(len(row[2]) for row in rows)
    lines = [f"{commit:9}  {date:10}  {variant:{wide}}  {text}" for commit, date, variant, text in rows]
    counted = Counter(result(both) for _, both in found).most_common()
    return "\n".join([*lines, "", *(f"{number:5}  {text}" for text, number in counted), "", summary(found)])


def result(both: dict[str, Outcome]) -> str:
    """Returns what became of a revision with both configurations."""
    one, other = both.values()
    return str(one) if str(one) == str(other) else " / ".join(f"{variant}: {both[variant]}" for variant in VARIANTS)


def summary(found: Found) -> str:
    """Returns a line about all revisions."""
    clean = sum(all(outcome.is_clean for outcome in both.values()) for _, both in found)
    refused = sum(any(outcome.refused for outcome in both.values()) for _, both in found)
    words = f"{len(found)} revisions from {found[-1][0].date} to {found[0][0].date}: {clean} accepted with both configurations"
    return f"{words}, {len(found) - clean - refused} accepted with unlisted differences, {refused} refused"


def as_object(found: Found) -> str:
    """Returns everything as JSON."""
    listed = [
        asdict(revision) | {variant: {"accepted": not one.refused, **asdict(one)} for variant, one in both.items()}
        for revision, both in found
    ]
    return json.dumps({"revisions": listed, "summary": summary(found)}, indent=2)
