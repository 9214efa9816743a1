"""What a bundle shows of each file: of objects and records what may appear (public.py), and all of it scrubbed (scrub.py)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..host.errors import Problem
from ..host.settings import Settings
from ..manifests import checkout as checkouts
from . import private
from .patterns import NAME
from .public import LEFT_OUT, Public, environment, published
from .scrub import Scrubber

STRUCTURED = ("objects.json", "run.json", "command.json", "describe.txt", "rendered.yaml")  # read whole, never a part
ENTRY = re.compile(r"^( {6,})([A-Za-z_][\w.-]*):\s*(.*)$")
# What a header or an address that somebody types authorises with: `curl -H "Authorization: Bearer ..."`.
AUTHORISING = re.compile(
    r"(?i)(?:\bauthorization:\s*(?:(?:bearer|basic|token)\s+)?|\b(?:bearer|basic)\s+|://[^/\s:@]*:)([^\s@]{4,})"
)
BLOCK = re.compile(r"^( +)(Command|Args|Environment|Environment Variables from):\s*(.*)$")


@dataclass
class Sieve:
    """What is public and what is known not to be, for one bundle."""

    public: Public
    scrubber: Scrubber

    @classmethod
    def of(cls, settings: Settings, record: Mapping, environ: Mapping[str, str] = os.environ) -> Sieve:
        """Returns the sieve for a cluster and a run. record: run.json; {} if there was no run."""
        places = {Path(record["checkout"])} if record.get("checkout") else set()
        try:
            places |= {settings.known_checkout or checkouts.path_of_command(settings, environ)}
        except Problem:  # the current directory is gone
            pass
        # Not is_dir(): it raises if another user owns what is above.
        there = sorted(place for place in places if os.path.isdir(place))
        public = Public.of(settings.root, there)
        return cls(public, private.scrubber(settings, public, there, record, environ))

    def sifted(self, files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        """Yields files as they may appear. files: name and content.

        Looks at all of them first: what an object withholds is not shown by a log either.
        """
        shown = [(name, self.present(name, data)) for name, data in files]
        for name, data in shown:
            yield self.scrubber(name.encode()).decode(), self.scrubber(data)

    def text(self, text: str) -> str:
        """Returns a text as it may appear."""
        return self.scrubber(text.encode()).decode(errors="replace")

    def present(self, name: str, data: bytes) -> bytes:
        """Returns what may appear of a file, before it is scrubbed."""
        base = name.rpartition("/")[2]
        try:
            if base == "objects.json":
                return dumped(published(json.loads(data), self.public, self.scrubber.withhold))
            if base == "rendered.yaml":
                kept = published(list(yaml.safe_load_all(data)), self.public, self.scrubber.withhold)
                return yaml.safe_dump_all(kept, sort_keys=False).encode()
            if base == "run.json":
                return dumped(self.record(json.loads(data)))
            if base == "command.json":
                return dumped(self.command(json.loads(data)))
        except (ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError):
            return f"{LEFT_OUT}: it cannot be understood\n".encode()  # cut short: what is in it, nobody knows
        if base == "describe.txt":
            return self.description(data.decode(errors="replace")).encode()
        return data

    def record(self, record: dict) -> dict:
        """Returns run.json with the values of variables, typed ones too, only if they may appear."""
        given = record.get("environment") or {}
        shown = {"environment": environment(given, self.public, self.scrubber.withhold)}
        if isinstance(words := record.get("arguments"), list):
            shown["arguments"] = arguments(words, self.public, self.scrubber.withhold)
        return {**record, **shown}

    def command(self, command: dict) -> dict:
        """Returns command.json; of its words NAME=VALUE only if that may appear."""
        words = [arguments(words, self.public, self.scrubber.withhold) for words in command.get("commands", [])]
        return {**command, "commands": words}

    def description(self, text: str) -> str:
        """Returns what `kubectl describe pods` says, with commands and variables only if they may appear."""
        found, block, depth, hidden = [], "", 0, False
        for line in text.splitlines():
            indent = len(line) - len(line.lstrip(" "))
            if start := BLOCK.match(line):
                block, depth, hidden = start[2], len(start[1]), False
            elif block and (indent > depth or not line.strip() or hidden and indent == 0):
                if block.startswith("Environment"):
                    if entry := ENTRY.match(line):
                        shown = entry[3].startswith("<") or self.public.has(entry[2], entry[3].strip())
                        hidden = not shown
                        line = line if shown else f"{entry[1]}{entry[2]}:  {LEFT_OUT}"
                    elif hidden:
                        continue  # the next line of the same value
                elif not self.public.says(line.strip()):
                    line = f"{' ' * indent}{LEFT_OUT}"
            else:
                block = ""
            found.append(line)
        return "\n".join(found) + ("\n" if text.endswith("\n") else "")


def arguments(words: Iterable[str], public: Public, withhold: Callable[[str, str], None]) -> list[str]:
    """Returns the words of a command, with LEFT_OUT in place of what may not appear: the value of each NAME=VALUE, and the word after
    --password and the like.
    """
    found, secretive = [], ""
    for text in words:
        name, equals, value = text.partition("=")
        if secretive and not public.knows(text):
            withhold(secretive, text)
            text = LEFT_OUT
        elif equals and re.fullmatch(r"[A-Za-z_]\w*", name) and not public.has(name, value):
            withhold(name, value)
            text = f"{name}={LEFT_OUT}"
        for secret in AUTHORISING.findall(text):
            withhold("authorization", secret)
        secretive = (
            name.lstrip("-") if name[:1] == "-" and not equals and NAME.fullmatch(name.lstrip("-").encode()) else ""
        )
        found.append(text)
    return found


def dumped(value: Any) -> bytes:
    """Returns a value as JSON, for people."""
    return (json.dumps(value, indent=1) + "\n").encode()
