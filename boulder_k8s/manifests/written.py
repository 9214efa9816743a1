"""Which file of the checkout says what: a message names docker-compose.yml only if it is that one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ..host.errors import Problem
from ..host.files import load_yaml
from . import compose_key, harness

USUAL = "docker-compose.yml"


def source(
    checkout: Path, config_next: bool, service: str, key: str, environ: Mapping[str, str] = os.environ,
    section: str = "services",
) -> tuple[str, str]:  # fmt: skip
    """Returns the file that gives a service a key such as `image`, the last one that does, and what is written there, such as
    redis:${TAG}. It is docker-compose.yml if no file that we find does. section: "networks" for a network in place of a service; key: "" for
    all of it.
    """
    found = (USUAL, "")
    for name in files(checkout, config_next, environ):
        described = of(read(checkout / name), section, service)
        if written := of(described, key) if key else described:
            found = (name, written)
    return found


def finder(checkout: Path, config_next: bool, environ: Mapping[str, str] = os.environ) -> Callable[[str, str], str]:
    """Returns a function that returns the file that gives a service a key."""
    return lambda service, key: source(checkout, config_next, service, key, environ)[0]


def files(checkout: Path, config_next: bool, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Returns the names of the Compose files that are there, in the order in which they count, the last most."""
    names = list(compose_key.DEFAULTS)
    names += [name.replace("compose.", "compose.override.") for name in names]
    if named := harness.read(checkout, config_next).files:
        names = named
    elif environ.get("COMPOSE_FILE"):
        names = environ["COMPOSE_FILE"].split(os.pathsep)
    return [name for name in names if (checkout / name).is_file()] or [USUAL]


def refusal(faults: Sequence[tuple[str, str]], otherwise: str = "") -> Problem:
    """Returns the Problem for a checkout that cannot be followed. faults: what is wrong, with the file that says it, and what to do,
    the one to begin with first. otherwise: what else the user can do.
    """
    (first, advice), *others = faults
    return Problem(
        f"{first}.",
        f"Correct it ({advice}); ./t.sh runs this checkout meanwhile{otherwise}.",
        "\n".join(f"{what}: {advice}" for what, advice in others),
    )


def read(path: Path) -> Any:
    """Returns what a Compose file says; None if it cannot be read: Compose has read them already, and one that is missing is not asked
    for.
    """
    try:
        return load_yaml(path)
    except (OSError, ValueError, yaml.YAMLError):
        return None


def of(document: Any, *keys: str) -> Any:
    """Returns what is written at a path of keys; None if nothing is."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document
