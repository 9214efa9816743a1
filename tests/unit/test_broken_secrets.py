"""A secret that stands in a text over several lines, encoded or not: the bundle withholds it as if it stood in one."""

from __future__ import annotations

import base64
import json
import quopri
import re
import textwrap
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest

from boulder_k8s.diagnose import bundle
from boulder_k8s.diagnose.public import Public
from boulder_k8s.diagnose.scrub import Scrubber

SECRETS = {
    "a word": "x9Kq2LmPz7Rt4Wv8Yb3N",
    "a sentence": "correct-Horse7 battery/Staple9+tr0ub4dor & p@ssw0rd",
    "a long key": "".join(f"{number:02d}aZ7/+q" for number in range(40)),
    "a document": json.dumps({"user": "me", "clientSecret": "q8Zk-3Vn+5Xw/7Tb", "more": "x" * 90}),
    "Cyrillic": "пароль-Щука-9-" * 4,
}
Way = Callable[[str], str]


def base64_of(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def dump(
    value: str, bytes_a_line: int = 16, group: int = 1, mark: str = "", ascii_: str = "{}", low: bool = False
) -> str:
    """What xxd, hexdump and od print."""
    data, found = value.encode(), []
    for at in range(0, len(data), bytes_a_line):
        line = data[at : at + bytes_a_line]
        groups = [line[start : start + group] for start in range(0, len(line), group)]
        words = " ".join((part[::-1] if low else part).hex() for part in groups)
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
        found.append(f"{at:08x}{mark} {words}  {ascii_.format(shown)}".rstrip())
    return "\n".join(found) + "\n"


ENCODED: dict[str, Way] = {
    "base64": base64_of,
    "base64 behind a user's name": lambda value: base64_of(f"me:{value}\n"),
    "base64 for addresses": lambda value: base64.urlsafe_b64encode(f"x{value}".encode()).decode(),
    "base64 in an address": lambda value: quote(base64_of(value), safe=""),
    "base32": lambda value: base64.b32encode(f"ab{value}".encode()).decode(),
    "hex": lambda value: value.encode().hex(),
    "HEX": lambda value: value.encode().hex().upper(),
    "in an address": lambda value: quote(value, safe=""),
    "JSON": lambda value: json.dumps(value)[1:-1],
    "JSON in base64": lambda value: base64_of(json.dumps({"a": value})),
}


def swapped(value: str) -> str:
    """The numbers of two bytes that hexdump prints."""
    data = f"abc{value}".encode()
    return "".join(data[at : at + 2][::-1].hex() for at in range(0, len(data), 2))


BROKEN: dict[str, Way] = {
    "76 columns": lambda text: "\n".join(textwrap.wrap(text, 76)),
    "64 columns, as PEM": lambda text: "\r\n".join(["-----BEGIN X-----", *textwrap.wrap(text, 64), "-----END X-----"]),
    "16 columns": lambda text: "\n".join(textwrap.wrap(text, 16)),
    "a block of YAML": lambda text: "data: |\n" + textwrap.indent("\n".join(textwrap.wrap(text, 60)), "      "),
    "a string of JSON": lambda text: json.dumps({"data": "\r\n".join(textwrap.wrap(text, 40))}),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"data": "\n".join(textwrap.wrap(text, 40))})),
    "a list of JSON": lambda text: json.dumps(textwrap.wrap(text, 20), indent=1),
    "lines of an address": lambda text: "data=" + "%0D%0A".join(textwrap.wrap(text, 40)),
    "a service's log": lambda text: "\n".join(
        f"2026-01-01T10:00:00.123456789Z {line}" for line in textwrap.wrap(text, 40)
    ),
    "Compose's log": lambda text: "\n".join(f"boulder-1  | {line}" for line in textwrap.wrap(text, 40)),
    "a source text": lambda text: " +\n  ".join(f'"{line}"' for line in textwrap.wrap(text, 30)),
    "a shell's": lambda text: " \\\n".join(textwrap.wrap(text, 30)),
    "a journal": lambda text: "\n".join(
        f"Jan 01 10:00:00 boulder-control-plane kubelet[123]: {line}" for line in textwrap.wrap(text, 40)
    ),
}
WHOLE: dict[str, Way] = {
    "quoted-printable": lambda value: quopri.encodestring(value.encode()).decode(),
    "quoted-printable, Windows": lambda value: quopri.encodestring(value.encode()).decode().replace("\n", "\r\n"),
    "xxd": lambda value: dump(f"ab{value}", group=2, mark=":"),
    "xxd -p": lambda value: "\n".join(textwrap.wrap(value.encode().hex(), 60)),
    "hexdump -C": lambda value: dump(f"abc{value}", ascii_="|{}|"),
    "hexdump": lambda value: dump(f"abc{value}", group=2, ascii_="", low=True),
    "od -t x1": lambda value: dump(value, ascii_=""),
    "openssl": lambda value: "\n    ".join(textwrap.wrap(":".join(f"{byte:02x}" for byte in value.encode()), 45)),
    "C": lambda value: ",\n".join(textwrap.wrap(", ".join(f"0x{byte:02x}" for byte in value.encode()), 60)),
    "escapes": lambda value: "\n".join(textwrap.wrap("".join(f"\\x{byte:02x}" for byte in value.encode()), 60)),
}
WAYS: dict[str, Way] = {
    f"{code}, {lines}": (lambda value, encode=encode, wrap=wrap: wrap(encode(value)))
    for code, encode in ENCODED.items()
    for lines, wrap in BROKEN.items()
} | WHOLE


@pytest.fixture
def scrubber() -> Scrubber:
    return Scrubber(Public(frozenset(), frozenset(), ()))


def parts(text: str) -> set[str]:
    """Every sequence of twelve letters and digits in a text; what stands between them does not count."""
    plain = re.sub(r"[^A-Za-z0-9]", "", text)
    return {plain[at : at + 12] for at in range(len(plain) - 11)}


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_over_several_lines_is_withheld(scrubber: Scrubber, way: str) -> None:
    for value in SECRETS.values():
        scrubber.withhold("GIVEN", value)
        text = f"it says\n{WAYS[way](value)}\nand goes on\n"
        shown = scrubber(text.encode()).decode()
        assert shown.startswith("it says\n") and shown.endswith("\nand goes on\n") and "(left out)" in shown
        written = [value, *(encode(value) for encode in (*ENCODED.values(), swapped))]
        assert parts(shown) & {part for text in written for part in parts(text)} == set(), shown


def test_other_text_over_several_lines_stays(scrubber: Scrubber) -> None:
    for value in SECRETS.values():
        scrubber.withhold("GIVEN", value)
    for way in WAYS.values():
        text = f"it says\n{way('nobody has told us that this one, of sixty letters, is a secret')}\n"
        assert scrubber(text.encode()).decode() == text


@pytest.mark.parametrize("columns", [64, 76, 10_000])
def test_a_private_key_in_base64_tells_by_its_looks(scrubber: Scrubber, columns: int) -> None:
    body = "\n".join(textwrap.wrap("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 20, 64))
    for kind in ("", "RSA ", "EC ", "ENCRYPTED "):
        key = f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----\n"
        text = "tls.key: " + "\n  ".join(textwrap.wrap(base64_of(key), columns)) + "\nnext: 1\n"
        assert scrubber(text.encode()) == b"tls.key: (left out)\nnext: 1\n"
    certificate = base64_of(f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    assert scrubber(certificate.encode()).decode() == certificate


def test_a_large_file_does_not_begin_in_the_middle_of_a_secret(tmp_path, scrubber: Scrubber) -> None:
    scrubber.withhold("GIVEN", SECRETS["a long key"])
    path = tmp_path / "stdout"
    path.write_text("\n".join([*textwrap.wrap(base64_of(SECRETS["a long key"]), 76), "the end", ""]))
    for most in range(8, path.stat().st_size):
        assert scrubber(bundle.tail(path, most)).decode().splitlines()[1:] == ["the end"], most
    path.write_text(dump(SECRETS["a long key"], ascii_="|{}|") + "the end\n")
    assert scrubber(bundle.tail(path, 200)).decode().splitlines()[1:] == ["the end"]


def test_long_texts_take_seconds(scrubber: Scrubber) -> None:
    for number in range(300):
        scrubber.withhold("GIVEN", f"{number}-Zq7x{number * 7919}Kp")
    text = b"2026-01-01T10:00:00Z I081500 boulder-wfe JSON={} " + b"a" * 300 + b"\n"
    begun = time.monotonic()
    scrubber(text * 5000)
    scrubber(b'", "' * 200_000 + b"\\n" * 200_000 + b"0x" * 200_000 + b"LS0tLS1CRUdJTi" * 50_000)
    scrubber(b"00 " * 300_000)
    assert time.monotonic() - begun < 30
