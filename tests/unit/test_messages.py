"""Every message that the code can end with is explained in docs/troubleshooting.md, and points at a line of the doctor that there is."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from boulder_k8s.diagnose.doctor import CHECKS
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import ROOT

PAGE = " ".join((ROOT / "docs/troubleshooting.md").read_text().split())


def problems() -> Iterator[tuple[str, ast.Call]]:
    """Every `Problem(...)` of the source, with where it is."""
    for path in sorted((ROOT / "boulder_k8s").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Problem":
                yield f"{path.name}:{node.lineno}", node


def constant(message: ast.expr) -> str:
    """The longest piece of a message that is the same each time."""
    return max(texts(message), key=len).strip(" .,:;='\"")


def texts(expression: ast.expr) -> list[str]:
    parts = expression.values if isinstance(expression, ast.JoinedStr) else [expression]
    return [part.value for part in parts if isinstance(part, ast.Constant)]


def unexplained(page: str) -> list[str]:
    return [f"{where}: {constant(call.args[0])}" for where, call in problems() if constant(call.args[0]) not in page]


def test_every_message_has_its_line_in_troubleshooting() -> None:
    assert len(list(problems())) > 40
    assert unexplained(PAGE) == []
    assert len(unexplained("")) == len(list(problems()))  # the check itself looks


def test_every_message_is_two_whole_lines() -> None:
    for where, call in problems():
        assert len(call.args) >= 2, where
        for part in call.args[:2]:
            assert not [text for text in texts(part) if "\n" in text], where


def test_a_message_points_only_at_lines_that_the_doctor_has() -> None:
    names = {check.__name__.replace("_", "-") for check in CHECKS}
    pointed = {keyword.value.value for _, call in problems() for keyword in call.keywords if keyword.arg == "check"}
    assert pointed <= names, pointed - names
    # What `up` fails at on a machine that is not ready for it.
    assert {"docker-engine", "docker-compose", "docker-disk", "host-ports", "internet", "kind-and-kubectl"} <= pointed
    assert {"boulder-checkout", "cluster", "lock", "proxy"} <= pointed


@pytest.mark.parametrize(
    ("check", "expected"), [("", "Do it."), ("lock", "Do it. More: `invoke doctor`, its line lock.")]
)
def test_the_advice_names_the_doctors_line(check: str, expected: str) -> None:
    assert Problem("Wrong.", "Do it.", check=check).advice() == expected
