"""What YAML and JSON documents hold: their strings, each with the key that has it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import yaml

from ..host.files import Loader


def documents(text: str) -> list[Any]:
    """Returns the YAML or JSON documents of a text; none if it is something else."""
    try:
        return list(yaml.load_all(text, Loader))
    except yaml.YAMLError:
        return []


def strings(document: Any) -> Iterator[str]:
    """Yields every string and number below a document, but no key."""
    yield from (value for _, value in entries(document))


def entries(document: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yields every string and number below a document, each with the key that has it."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield from entries(value, str(name))
    elif isinstance(document, list):
        for value in document:
            yield from entries(value, key)
    elif document is not None:
        yield key, word(document)


def parts(text: str) -> Iterator[str]:
    """Yields a string, and the words that Compose makes of it where it is a command."""
    yield text
    with suppress(ValueError):
        yield from shlex.split(text)


def word(value: Any) -> str:
    """Returns a scalar as an environment has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
