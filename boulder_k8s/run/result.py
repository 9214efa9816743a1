"""The record of how the tests ended, as the supervisor wrote it (pod/recording.py): read whole or not at all."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

STREAMS = ("stdout", "stderr")


class Damaged(Exception):
    """There is a record, and it cannot be read or is not what the supervisor writes."""


@dataclass(frozen=True)
class Result:
    """How the tests ended. lengths: how many bytes each stream has; None if record.json is not there."""

    code: int
    lengths: dict[str, int] | None = None


def read(directory: Path) -> Result | None:
    """Returns the record in a run directory, or None if the tests have not ended. Raises Damaged."""
    text = content(directory / "exitcode")
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,3}\n?", text) or int(text) > 255:
        raise Damaged("exitcode does not have an exit code")
    code = int(text)
    text = content(directory / "record.json")
    if text is None:
        return Result(code)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Damaged("record.json is cut short") from None
    lengths = {name: found.get(name) for name in STREAMS} if isinstance(found, dict) else {}
    if not lengths or any(type(length) is not int or length < 0 for length in lengths.values()):
        raise Damaged("record.json does not say how long the streams are")
    if found.get("exit_code") != code:
        raise Damaged("exitcode and record.json differ")
    return Result(code, lengths)


def content(path: Path) -> str | None:
    """Returns the text of a file, or None if there is none. Raises Damaged if it cannot be read."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Damaged(f"{path.name} cannot be read: {error.strerror}") from None
    except ValueError:
        raise Damaged(f"{path.name} is not text") from None
