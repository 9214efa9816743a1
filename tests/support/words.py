"""Words that a program might take for something else."""

from __future__ import annotations

WORDS = [
    "Test[a-z]+",
    "[/]",
    "[bold]",
    "[red]x[/red]",
    ":bug:",
    "\\[x]",
    "x" * 500,
    "two words",
    "a\nb",
    "a\x1b[31mb",
    "\udcff",  # a byte that is not UTF-8
    "=",
    "%s {0}",
    "ä",
]
