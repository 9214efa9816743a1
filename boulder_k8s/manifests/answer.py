"""What `docker compose config` answers: checked once for what the other modules rely on, so that none of them meets anything else.

Compose checks its own files, but not addresses; and another version of it may answer otherwise.
https://github.com/compose-spec/compose-spec/blob/main/schema/compose-spec.json
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path
from typing import Any

from ..host.errors import Problem
from . import written

MEANINGFUL = {"environment", "networks"}
Fault = tuple[tuple[str, ...], str]  # where in the answer, and what should be there
Rule = Callable[[Any], Iterator[Fault]]


def checked(text: str, checkout: Path, config_next: bool) -> dict:
    """Returns Compose's answer, parsed. Raises Problem naming what in it is not as it should be, and the file that says it."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Problem(
            "Docker Compose's answer is not the JSON that `docker compose config --format json` prints.",
            "Update Docker Compose to 2.20.2 or newer; `docker compose version` shows which it is.",
            text[:2000],
            check="docker-compose",
        ) from error
    found = without_nulls(found)
    if isinstance(found, dict):
        found.setdefault("services", {})
    for where, what in DOCUMENT(found):
        section, name, key = (*where, "", "", "")[:3]
        file, _ = written.source(checkout, config_next, name, key if section == "services" else "", section=section)
        raise Problem(
            f"{file}: {'.'.join(where) or 'what Compose makes of it'} is {json.dumps(at(found, where))}, and should be {what}.",
            "Correct it. If the file is right, `docker compose version` shows an unknown Compose: update it.",
        )
    return found


def without_nulls(value: Any, key: str = "") -> Any:
    """Returns a value without the keys that have none, but for variables and networks, for which that means something."""
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: without_nulls(item, name) for name, item in value.items() if item is not None or key in MEANINGFUL}


def at(document: Any, where: tuple[str, ...]) -> Any:
    """Returns what stands at a path."""
    for key in where:
        document = document[int(key) if isinstance(document, list) else key]
    return document


def kind(what: str, *types: type) -> Rule:
    """A rule: one of these types, or nothing."""

    def check(value: Any) -> Iterator[Fault]:
        if value is not None and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
            yield (), what

    return check


def read_by(parse: Callable[[str], object], what: str) -> Rule:
    """A rule: a text that can be parsed, or nothing."""

    def check(value: Any) -> Iterator[Fault]:
        try:
            if value not in (None, ""):
                parse(value if isinstance(value, str) else "")
        except ValueError:
            yield (), what

    return check


def each(rule: Rule) -> Rule:
    """A rule: a list of such values, or nothing."""

    def check(value: Any) -> Iterator[Fault]:
        yield from kind("a list", list)(value)
        for number, item in enumerate(value if isinstance(value, list) else ()):
            if item is None:
                yield (str(number),), "a value"
            yield from below(str(number), rule(item))

    return check


def mapping(rule: Rule) -> Rule:
    """A rule: an object whose values are such values, or nothing."""

    def check(value: Any) -> Iterator[Fault]:
        yield from kind("an object", dict)(value)
        for key, item in value.items() if isinstance(value, dict) else ():
            yield from below(key, rule(item))

    return check


def fields(rules: Mapping[str, Rule], required: tuple[str, ...] = ()) -> Rule:
    """A rule: an object in which these keys have such values, or nothing. Others may be there."""

    def check(value: Any) -> Iterator[Fault]:
        yield from kind("an object", dict)(value)
        for key, rule in rules.items() if isinstance(value, dict) else ():
            if key in required and value.get(key) is None:
                yield (), f"an object with `{key}`"
            yield from below(key, rule(value.get(key)))

    return check


def needed(rule: Rule) -> Rule:
    """A rule: such a value, and not nothing."""

    def check(value: Any) -> Iterator[Fault]:
        if value is None:
            yield (), "an object"
        yield from rule(value)

    return check


def below(key: str, faults: Iterator[Fault]) -> Iterator[Fault]:
    """Returns faults as seen from above."""
    return (((key, *where), what) for where, what in faults)


TEXT, FLAG, ANY = kind("a text", str), kind("true or false", bool), kind("a value", object)
SCALAR = kind("a text or a number", str, int, float, bool)
WORDS, OBJECT = each(TEXT), kind("an object", dict)
ADDRESS = read_by(IPv4Address, "an IPv4 address")
RANGE = read_by(lambda text: ip_network(text, strict=False), "a range of addresses such as 10.77.77.0/24")


def port(value: Any) -> Iterator[Fault]:
    """A rule: the number of a port."""
    number = int(value) if str(value).isdecimal() and len(str(value)) < 6 else 0
    if not 0 < number < 1 << 16:
        yield (), "the number of a port"


def dependencies(value: Any) -> Iterator[Fault]:
    """A rule: `depends_on`, as a list or as an object."""
    if isinstance(value, list):
        yield from WORDS(value)
    else:
        yield from mapping(fields({"condition": TEXT, "required": FLAG}))(value)


def mount(value: Any) -> Iterator[Fault]:
    """A rule: one of a service's `volumes`."""
    yield from fields(MOUNT, required=("type", "target"))(value)
    if isinstance(value, dict) and value.get("type") == "bind" and not str(value.get("source", "")).startswith("/"):
        yield (), "a mount with the absolute path of its source"


MOUNT = {"type": TEXT, "source": TEXT, "target": TEXT, "read_only": FLAG, "volume": OBJECT}
SERVICE = {
    "image": TEXT,
    "environment": mapping(SCALAR),
    "entrypoint": WORDS,
    "command": WORDS,
    "working_dir": TEXT,
    "user": SCALAR,
    "hostname": TEXT,
    "container_name": TEXT,
    "network_mode": TEXT,
    "stop_grace_period": TEXT,
    "platform": TEXT,
    "profiles": WORDS,
    "tmpfs": WORDS,
    "cap_add": WORDS,
    "cap_drop": WORDS,
    "dns": each(read_by(ip_address, "an IP address")),
    "extra_hosts": WORDS,
    "expose": each(SCALAR),
    "depends_on": dependencies,
    "privileged": FLAG,
    "read_only": FLAG,
    "tty": FLAG,
    "stdin_open": FLAG,
    "ports": each(fields({"target": port, "published": SCALAR}, required=("target",))),
    "volumes": each(mount),
    "networks": mapping(fields({"ipv4_address": ADDRESS, "aliases": WORDS})),
    "healthcheck": fields({"test": WORDS, "timeout": TEXT, "disable": FLAG}),
}
NETWORK = {
    "external": FLAG,
    "driver": TEXT,
    "enable_ipv4": FLAG,
    "ipam": fields(
        {"config": each(fields({"subnet": RANGE, "ip_range": RANGE, "gateway": read_by(ip_address, "an IP address")}))}
    ),
}
VOLUME = {"driver_opts": mapping(SCALAR)}
DOCUMENT = needed(
    fields(
        {
            "name": TEXT,
            "services": mapping(needed(fields(SERVICE))),
            "networks": mapping(fields(NETWORK)),
            "volumes": mapping(fields(VOLUME)),
        }
    )
)
