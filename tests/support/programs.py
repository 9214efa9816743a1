"""Programs on PATH that write down how they were called and answer as a test tells them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


class Programs:
    """Bash scripts in a directory of their own, first on PATH. A call that no test has foreseen fails with 99."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.scripts: dict[str, list[tuple[str, str]]] = {}
        directory.mkdir()

    def answer(self, program: str, words: str, script: str) -> Path:
        """Runs `script` for calls whose arguments, joined by spaces, hold `words`; what was told last counts first."""
        self.scripts.setdefault(program, []).insert(0, (words, script))
        cases = "".join(f"*'{words}'*)\n{script}\n;;\n" for words, script in self.scripts[program])
        path = self.directory / program
        path.unlink(missing_ok=True)  # not overwritten: it may be running
        path.write_text(
            f"#!/bin/bash\ncd={self.directory}\n"
            f"{{ printf '%s\\x1f' \"$@\"; printf '\\x1e'; }} >> $cd/{program}.calls\n"
            f'case "$*" in\n{cases}*) echo "{program} $*: not foreseen" >&2; exit 99 ;;\nesac\n'
        )
        path.chmod(0o755)
        return path

    def calls(self, program: str) -> list[list[str]]:
        """The arguments of every call so far."""
        path = self.directory / f"{program}.calls"
        text = path.read_text() if path.exists() else ""
        return [call.split("\x1f")[:-1] for call in text.split("\x1e")[:-1]]

    def called(self, program: str, words: str) -> int:
        """How many calls held `words`."""
        return sum(words in " ".join(call) for call in self.calls(program))


def on_path(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    programs = Programs(directory)
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    return programs
