"""The list of intended differences: narrow, so that it hides nothing else, and used, so that nothing stays on it for ever."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from boulder_k8s.manifests import differences
from boulder_k8s.manifests.differences import Difference, Intended, patterns
from boulder_k8s.parity import command

SHORTEST = 8  # characters before a `*`


def wide(entry: Intended) -> list[str]:
    """What is wrong with an entry: the rule that intended.yaml's head tells its readers."""
    found = []
    for subject in patterns(entry.subject):
        if re.search(r"[*?[]", subject):
            found.append(f"the subject {subject} is a pattern")
    for aspect in patterns(entry.aspect):
        if "*" not in aspect:
            continue
        if aspect.index("*") < max(SHORTEST, len(aspect) - 1):
            found.append(f"in {aspect} there is a * which is not at the end of {SHORTEST} characters or more")
        if "*" in entry.compose + entry.kubernetes:
            found.append(f"{aspect} has a * and so have its values")
    return found


def test_every_entry_is_narrow() -> None:
    assert [(differences.title(entry), wrong) for entry in differences.read_intended() if (wrong := wide(entry))] == []


@pytest.mark.parametrize(
    ("subject", "aspect"),
    [
        ("b*", "mount /var/run/pkimetal"),
        ("[cn]*", "owen.ns.cloudflare.com"),
        ("from *", "10.77.77.77:9301"),
        ("bredis_[12]", "mount /test"),
        ("b?", "healthcheck"),
        ("files", "*/token.object"),
        ("hosts", "*"),
        ("bmariadb", "mount /*"),
        ("limits", "cgroup p*s*"),
        ("limits", "cgroup pids*"),  # with values that are free
    ],
)
def test_a_wide_entry_is_refused(subject: str, aspect: str) -> None:
    assert wide(Intended("probe", subject, aspect, "any reason"))
    assert wide(Intended("probe", ("names", subject), ("first", aspect), "any reason"))


def test_a_service_that_the_base_does_not_know_takes_the_place_of_a_word_and_nothing_else_does() -> None:
    listed = [
        Intended("probe", "names", "CONVERTED", "any"),
        Intended("probe", ("from b", "from CONVERTED"), "a", "any"),
    ]
    names, sides = differences.about(listed, ["bnew", "boulder-new"])
    assert (names.subject, names.aspect) == (("names",), ("bnew", "boulder-new"))
    assert sides.subject == ("from b", "from bnew", "from boulder-new")
    (sides,) = differences.about(listed, [])
    assert sides.subject == ("from b",)


def test_an_entry_may_name_several_things_and_covers_nothing_else() -> None:
    entry = Intended("static", ("bredis_1", "bredis_2"), "mount /data", "any reason", "absent", "claim")
    found = Difference("static", "bredis_2", "mount /data", "absent", "claim")
    assert entry.covers(found)
    for other in ({"subject": "bredis_3"}, {"aspect": "mount /test"}, {"kubernetes": "emptyDir"}, {"part": "probe"}):
        assert not entry.covers(replace(found, **other))


def test_an_entry_that_covers_nothing_any_more_is_noted() -> None:
    used = Intended("probe", "environment", "HOSTNAME", "any reason")
    idle = Intended("probe", ("names", "connect"), "owen.example", "any reason")
    elsewhere = Intended("static", "boulder", "dns", "any reason")
    found, listed = differences.partition(
        [Difference("probe", "environment", "HOSTNAME", "a", "b")], [used, idle, elsewhere]
    )
    assert found == []
    assert differences.unused("probe", listed, [used, idle, elsewhere]) == [idle]
    (note,) = command.unused_notes("probe", listed, [used, idle, elsewhere])
    assert "names, connect: owen.example" in note
