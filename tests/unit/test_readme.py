"""README: short enough to be read, and its table can be typed."""

from __future__ import annotations

import pytest
from support.readme import commands

from boulder_k8s.faces import compose
from boulder_k8s.host.settings import ROOT


def test_readme_is_read_in_a_few_minutes() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) < 90
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_row_of_the_table_can_be_typed(words: list[str]) -> None:
    """tests/e2e/test_day.py does it on a real cluster."""
    assert compose.turned(words, {})


def test_the_table_has_what_boulders_readme_and_ci_type() -> None:
    typed = {" ".join(words) for words in commands()}
    assert {"up -d", "up", "pull", "down -v", "run --rm bsetup", "up bsetup"} <= typed
    assert len(typed) > 25
