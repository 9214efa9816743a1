"""What users type and what files are called reaches people as it is: one door (host/progress.py) interprets nothing and cuts nothing off."""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as some
from support.words import WORDS

from boulder_k8s.commands import status
from boulder_k8s.diagnose import doctor
from boulder_k8s.host import progress
from boulder_k8s.host.settings import ROOT


class Terminal(io.StringIO):
    """A stream that a person watches."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def shown(action: Callable[[], object]) -> str:
    """What an action prints on a terminal of 80 columns, without the colours."""
    stream = Terminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm")
        patch.setenv("COLUMNS", "80")
        patch.setattr(sys, "stdout", stream)
        patch.setattr(sys, "stderr", stream)
        action()
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())


@pytest.mark.parametrize("word", WORDS)
def test_status_shows_the_words_of_the_last_run(word: str) -> None:
    run = {"began": 0, "seconds": 1.0, "exit_code": 1, "failure": None, "arguments": [word], "directory": ".runs/x"}
    found = status.Status("unit", "running", checkout=f"/{word}", services=[], last_run=run)
    text = shown(lambda: status.show(found))
    assert f": {progress.visible(word)}: exit code 1" in text
    assert f"checkout /{progress.visible(word)} at" in text


@pytest.mark.parametrize("word", WORDS)
def test_a_table_of_services_has_every_word_whole(word: str) -> None:
    service = status.Service("bconsul", False, 0, word, f"{word}:1", "10.77.77.10", ["53/udp"] * 9)
    text = shown(lambda: status.show(status.Status("unit", "running", services=[service])))
    (row,) = [line for line in text.splitlines() if line.startswith("bconsul")]
    assert f" {progress.visible(word)} " in row and row.rstrip().endswith(f" {progress.visible(word)}:1".rstrip())


def test_a_step_and_a_check_show_their_words() -> None:
    def work() -> None:
        with progress.step(f"waiting for {' '.join(WORDS)}") as said:
            said(" ".join(WORDS))
            time.sleep(0.6)  # a shorter one leaves no line
        doctor.show([doctor.Check("compose-file", "fail", word, f"correct {word}") for word in WORDS])

    text = shown(work)
    assert f"boulder-k8s: waiting for {progress.visible(' '.join(WORDS))}: 0." in text
    for word in WORDS:
        assert f"compose-file      {progress.visible(word)}\n" in text
        assert f"correct {progress.visible(word)}\n" in text


@given(some.text(some.characters(codec=None, exclude_categories=())))
@example("\udcff[/]\x1b[31m\n:bug:")
def test_any_text_is_one_line_that_loses_nothing(text: str) -> None:
    shown = progress.visible(text)
    assert shown.isprintable() and len(shown.splitlines()) <= 1
    assert [char for char in text if char.isprintable()] == [
        char for char in text if char in shown and char.isprintable()
    ]
    assert str(progress.line(text)) == shown
    shown.encode()


def test_rich_is_asked_at_the_door_alone() -> None:
    """Whoever prints with rich elsewhere has to say anew that it is to interpret nothing."""
    users = [
        path.name
        for path in (ROOT / "boulder_k8s").rglob("*.py")
        if re.search(r"^\s*(from|import) rich", path.read_text(), re.M)
    ]
    assert users == ["progress.py"]
