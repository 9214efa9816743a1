"""Removes from text what must not leave this machine: values that are known not to be public, in whatever form they
appear, and whatever looks like a key, a password or a token.
"""

from __future__ import annotations

import base64
import html
import json
import quopri
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus, unquote

from . import broken
from .leaves import documents, entries, strings
from .patterns import HIDDEN, LEFT_OUT, NAME, scrub
from .public import Public, is_plain

MANY = 100  # forms: with more, it is worth to look first which of them can be in a text
SHORTEST = 8  # letters and digits: fewer stand in texts with other signs between them, too


@dataclass
class Scrubber:
    """Scrubs text of what is known not to be public.

    forms: of the values, as bytes. letters: of those, for texts that break them over lines. bound: values too common to be
    removed everywhere, such as `debug`, by the names of their variables.
    """

    public: Public
    forms: set[bytes] = field(default_factory=set)
    letters: set[bytes] = field(default_factory=set)
    bound: dict[str, set[str]] = field(default_factory=dict)

    def withhold(self, name: str, value: str) -> None:
        """Learns that a value is not public. name: of the variable or the key that has it."""
        value = value.strip()
        if is_plain(value) or (name, value) in self.public.pairs:
            return
        secretive = bool(NAME.fullmatch(name.encode()))
        if self.public.says(value) or is_common(value) and not (secretive and len(value) >= 4):
            if name:
                self.bound.setdefault(name, set()).add(value)
            return
        if len(value) >= 4:
            self.keep(forms(value))
            self.keep(forms_of_dumps(value), whole=False)
        for part in set(inner(value)) - {value}:
            if not is_common(part):
                self.withhold("", part)

    def keep(self, found: Iterable[bytes], whole: bool = True) -> None:
        """Learns forms of a secret. whole: they may stand in a text as they are, too."""
        for form in found:
            if whole:
                self.forms.add(form)
            short = broken.letters(form)
            if len(short) >= SHORTEST and not short.isdigit():
                self.letters.add(short)

    def learn(self, text: str, name: str = "") -> None:
        """Learns that no value in a file is public: of YAML and JSON its strings, of others the words after = and :."""
        found = [document for document in documents(text) if isinstance(document, (dict, list))]
        leaves = [entry for document in found for entry in entries(document, name)]
        if not found:
            leaves = [("", line) for line in (text, *text.splitlines())]
            leaves += re.findall(r"(?m)([\w.-]*)[ \t]*[=:][ \t]*([^\r\n]+)$", text)
        for key, leaf in leaves:
            self.withhold(key or ("" if "\n" in text.strip() else name), leaf.strip().strip("\"'"))

    def __call__(self, data: bytes) -> bytes:
        """Returns data without what is known, and without what looks secret."""
        plain = broken.letters(data)
        ranges = broken.found(data, plain, likely(self.letters, plain))
        for form in likely(self.forms, data):
            edge = rb"(?<![A-Za-z0-9])%s(?![A-Za-z0-9])" if len(form) < 6 else rb"%s"
            ranges += [match.span() for match in re.finditer(edge % re.escape(form), data)] if form in data else []
        data = broken.without(data, ranges, LEFT_OUT)
        for name, values in self.bound.items():
            if name.encode() in data:
                choice = b"|".join(re.escape(value.encode()) for value in sorted(values, key=len, reverse=True))
                data = re.sub(
                    rb"(\b" + re.escape(name.encode()) + rb"\\*[\"']?[ \t]*[:=][ \t]*\\*[\"']?)(?:" + choice + rb")\b",
                    rb"\1" + LEFT_OUT,
                    data,
                )
        return scrub(data, self.public.knows)


def likely(forms: set[bytes], data: bytes) -> set[bytes]:
    """Returns the forms that may be in data: those all of whose parts of four bytes are."""
    if len(forms) < MANY:
        return forms
    there = {data[at : at + 4] for at in range(len(data) - 3)}
    return {
        form
        for form in forms
        if form[:4] in there and all(form[at : at + 4] in there for at in range(1, len(form) - 3))
    }


def is_common(value: str) -> bool:
    """Returns whether a value is a word or a number that stands in many texts, such as `debug` or 3306."""
    return bool(re.fullmatch(r"[a-z]{1,9}|[A-Z][a-z]{0,8}|[A-Z]{1,9}|\d{1,5}|.{1,3}", value))


def is_drawn(part: str) -> bool:
    """Returns whether a word looks drawn by lot, not written: eight characters or more, of more than one kind."""
    if len(part) < 8:
        return False
    if part.isalpha():  # an identifier, such as caseThatIsUsual, has few capitals
        capitals = sum(letter.isupper() for letter in part)
        return len(part) // 4 < capitals < len(part)
    return not part.isdigit() and not re.fullmatch(r"[a-z]+\d{1,2}", part)


def inner(value: str) -> Iterator[str]:
    """Yields what a value has in it that is secret by itself: lines, strings of JSON, passwords in addresses."""
    lines = [line.strip() for line in value.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= 6)
    if value[:1] in "{[":
        yield from (leaf for document in documents(value) for leaf in strings(document))
    data = value.encode()
    for _, pattern in HIDDEN:
        for match in pattern.finditer(data):
            groups = match.groupdict()
            yield (groups.get("value") or groups.get("inside") or b"").decode().strip("\"' ")
    if (plain := unquote(value)) != value:
        yield plain
    yield from (part for part in re.split(r"[^A-Za-z0-9]+", value) if is_drawn(part))  # whatever is done to the rest
    name, equals, rest = value.partition("=")
    if equals and re.fullmatch(r"-*[\w.-]+", name) and len(rest) >= 6 and not is_common(rest):
        yield rest.strip("\"'")
    if re.fullmatch(r"[A-Za-z0-9+/]{12,}={0,2}", value) and len(value) % 4 == 0:
        try:
            yield base64.b64decode(value, validate=True).decode().partition(":")[2]
        except ValueError:
            return


def forms(value: str) -> Iterator[bytes]:
    """Yields how a value is written in texts: as it is, escaped, quoted, and encoded."""
    as_json = json.dumps(value)[1:-1]

    def as_yaml(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"')

    texts = {
        value,
        quote(value, safe=""),
        quote(value),
        quote_plus(value),
        re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quote(value, safe="")),
        as_json,
        json.dumps(value, ensure_ascii=False)[1:-1],
        json.dumps(as_json)[1:-1],
        re.sub(r"[<>&]", lambda match: f"\\u{ord(match[0]):04x}", as_json),  # Go's encoding/json
        value.replace("'", "''"),
        value.replace("$", "$$"),
        shlex.quote(value)[1:-1] if "'" in value else value,
        value.replace("'", "'\\''"),
        repr(value)[1:-1],
        re.sub(r"[\x80-\xff]", lambda match: f"\\x{ord(match[0]):02X}", as_yaml(value)),
        html.escape(value),
        html.escape(value, quote=False),
        re.sub(r"([^\w@%+=:,./-])", r"\\\1", value),
        " ".join(value.split()),
    }
    if len(value) >= 6:
        texts |= {re.sub(r"[^A-Za-z0-9]+", "-", value).strip("-"), value.encode().hex()}
        for core in (*cores(value, base64.b64encode, 6), *cores(as_json, base64.b64encode, 6)):
            texts |= {core, core.replace("+", "-").replace("/", "_"), quote(core, safe="")}
        texts |= set(cores(value, base64.b32encode, 5))
        texts |= {value.encode().hex().upper(), quopri.encodestring(value.encode()).replace(b"=\n", b"").decode()}
    yield from (text.encode() for text in texts if len(text) >= 4)


def cores(value: str, encode: Callable[[bytes], bytes], bits: int) -> Iterator[str]:
    """Yields what stands for a value whatever is encoded with it: its bytes have several forms, by how many stand before them. bits:
    that each letter stands for.
    """
    for ahead in range({6: 3, 5: 5}[bits]):
        data = b"\0" * ahead + value.encode()
        yield encode(data).decode()[-(-ahead * 8 // bits) : len(data) * 8 // bits]


def forms_of_dumps(value: str) -> Iterator[bytes]:
    """Yields how hexdump and `od -x` print a value: as numbers of two bytes, the second one first."""
    for start in range(2):
        data = value.encode()[start:]
        yield b"".join(data[at : at + 2][::-1].hex().encode() for at in range(0, len(data) - 1, 2))
