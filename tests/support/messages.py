"""Every message of the product that says what is wrong and what to do, found in its source, and what tests know of it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from boulder_k8s.host.settings import ROOT

MAKERS = {"Problem", "told", "ImageLost"}  # what is called with a message and its advice
SHORTEST = 9  # characters that a test must have in common with a message to be about it


@dataclass(frozen=True)
class Message:
    """One call. where: its module. pieces: the constant parts of the message, in order. advice: those of the advice."""

    where: str
    pieces: tuple[str, ...]
    advice: tuple[str, ...]

    @property
    def name(self) -> str:
        """The module and the longest piece of the message: stays the same if lines move."""
        return f"{self.where}: {max(self.pieces, key=len, default='').strip()[:60].strip()}"


def constants(node: ast.AST) -> list[str]:
    """The constant texts in an expression, in order."""
    return [item.value for item in ast.walk(node) if isinstance(item, ast.Constant) and isinstance(item.value, str)]


@cache
def messages() -> tuple[Message, ...]:
    """Every call of MAKERS that has a text of its own."""
    found = []
    for path in sorted((ROOT / "boulder_k8s").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in MAKERS:
                pieces, advice = (tuple(constants(part)) for part in node.args[:2])
                if any(len(piece.strip()) >= SHORTEST for piece in pieces):
                    found.append(Message(path.relative_to(ROOT / "boulder_k8s").as_posix(), pieces, advice))
    return tuple(found)


@cache
def texts_of_tests() -> tuple[str, ...]:
    """The texts in the tests, long enough and short enough to be what they look for in a message."""
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        if path != Path(__file__) and "fixtures" not in path.parts:
            texts = constants(ast.parse(path.read_text()))
            found.update(
                text for text in texts if SHORTEST <= len(text) < 200 and ".py: " not in text
            )  # no names of messages
    return tuple(sorted(found))


def is_looked_for(message: Message) -> bool:
    """Returns whether some test has a part of the message."""
    return any(
        text in piece or (piece.strip() in text and len(piece.strip()) >= SHORTEST)
        for piece in message.pieces
        for text in texts_of_tests()
    )
