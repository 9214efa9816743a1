"""What the checkout's docker-compose.yml says, as Docker Compose itself resolves it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..host import docker_config, docker_problems, process, state
from ..host.errors import Problem
from ..host.names import BOULDER, SETUP
from . import answer, compose_key, harness, written
from .harness import Harness

# Keys of the answer that have paths of this machine.
PATHS = {"source", "context", "additional_contexts", "file", "path", "device"}


@dataclass(frozen=True)
class Service:
    """One service of the Compose file, its variables resolved from the environment and .env."""

    name: str
    image: str
    environment: dict[str, str]
    build: bool  # has a `build` section: a missing image with the tag `latest` is built, not pulled
    document: dict = field(repr=False)

    @property
    def object_name(self) -> str:
        """The service's name in Kubernetes."""
        return object_name(self.name)


def object_name(service: str) -> str:
    """A service's name in Kubernetes, where names have no underscore: bredis_1 is bredis-1."""
    return service.replace("_", "-")


def extra_hosts(service: dict) -> list[tuple[str, str]]:
    """The names that a service of the resolved file adds to /etc/hosts, each with an address."""
    # Compose 2.20 and newer write NAME=ADDRESS, older ones NAME:ADDRESS. Kubernetes takes small letters only, and nobody tells them apart.
    entries = (entry.replace("=", ":", 1).partition(":") for entry in service.get("extra_hosts") or [])
    return [(name.lower(), address.strip("[]")) for name, _, address in entries]


def document(checkout: Path, config_next: bool, environ: Mapping[str, str] = os.environ) -> dict:
    """What Compose makes of its files for t.sh, or for tn.sh: the services that these start, networks, volumes.

    That is what `docker compose config` resolves, and the proxies that only containers get. Raises Problem when Compose is
    missing or refuses the files.
    """
    return for_tests(resolved(checkout, config_next, environ), harness.read(checkout, config_next), environ)


def for_tests(document: dict, script: Harness, environ: Mapping[str, str]) -> dict:
    """The resolved document as t.sh (or tn.sh: `script`) uses it: with_setup, `needed`, `with_proxies`."""
    # Compose does not look at the variable if it has the option.
    active = {**environ, "COMPOSE_PROFILES": ",".join(script.profiles)} if script.profiles else environ
    started = needed(harness.with_setup(document, script, environ), active)
    return with_proxies(started, docker_config.proxies(environ))


def needed(document: dict, environ: Mapping[str, str]) -> dict:
    """The document without the services that neither `docker compose run boulder` nor `run bsetup` starts, such as somebody's
    own client in an override file.

    These start what they depend on (`depends_on`), and what that depends on. Compose leaves out a service with `required: false`
    if none of its profiles is active. https://docs.docker.com/reference/compose-file/services/#depends_on
    """
    services = document["services"]
    if BOULDER not in services:
        return document
    active = {profile.strip() for profile in environ.get("COMPOSE_PROFILES", "").split(",")}
    found: dict[str, dict] = {}
    wanted = [BOULDER, SETUP]
    while wanted:
        if (name := wanted.pop()) in found or name not in services:
            continue
        found[name] = services[name]
        for other, how in dependencies(services[name]).items():
            profiles = set(services.get(other, {}).get("profiles") or ())
            if how["required"] or not profiles or profiles & active or "*" in active:
                wanted.append(other)
    return {**document, "services": {name: service for name, service in services.items() if name in found}}


def dependencies(service: dict) -> dict[str, dict]:
    """What a service of the resolved file depends on, each with `condition` and `required`, which Compose may leave out."""
    given = service.get("depends_on") or {}
    by_name = given if isinstance(given, dict) else dict.fromkeys(given)
    return {
        name: {"condition": "service_started", "required": True} | (how if isinstance(how, dict) else {})
        for name, how in by_name.items()
    }


def with_proxies(document: dict, proxies: Mapping[str, str]) -> dict:
    """The document with Docker's proxies in the environment of every service that does not name them, even without a value.

    docker/compose, pkg/compose/create.go, getCreateConfigs. `document` itself stays as it is.
    """
    given = {
        name: {**service, "environment": {**proxies, **(service.get("environment") or {})}}
        for name, service in document["services"].items()
    }
    return {**document, "services": given} if proxies else document


def resolved(checkout: Path, config_next: bool, environ: Mapping[str, str] = os.environ) -> dict:
    """What `docker compose config` prints, in the environment that t.sh gives it.

    As t.sh it lets Compose choose its files (docker-compose.override.yml included); as tn.sh it names them. Raises Problem
    when Compose is missing or refuses the files.
    """
    script = harness.read(checkout, config_next)
    command = script.compose("--profile", "*", "config", "--format", "json")
    given = script.environment(environ)
    try:
        said = process.run(command, env=given, cwd=checkout, timeout=60)
        found = answer.checked(said, checkout, config_next)
        return moved(found, process.working_directory(checkout, given), str(checkout))
    except FileNotFoundError as error:
        raise docker_problems.missing() from error
    except process.Failed as error:
        if (
            "compose" in error.output
            and "is not a docker command" in error.output
            or "unknown" in error.output
            and "--profile" in error.output
        ):
            raise Problem(
                "Docker has no Compose plugin.",
                "Install it (package docker-compose-plugin), as ./t.sh needs it too.",
                error.output,
                check="docker-compose",
            ) from error
        shown = shlex.join(["docker", "compose", *command[2:-4], "config"])
        raise Problem(
            f"Docker Compose refuses the checkout's {' and '.join(written.files(checkout, config_next))}.",
            f"Run `{shown}` in {checkout} and mend what it names.",
            error.output,
        ) from error


def moved(value: Any, directory: str, checkout: str, key: str = "") -> Any:
    """The answer with the checkout's own path in place of the link by which the user has reached it: `directory`. Compose believes PWD, and
    everything else here compares with the checkout's path. What containers get to see, such as ${PWD} in `environment`, stays.
    """
    if directory == checkout:
        return value
    if isinstance(value, dict):
        return {name: moved(item, directory, checkout, name) for name, item in value.items()}
    if isinstance(value, list):
        return [moved(item, directory, checkout, key) for item in value]
    inside = key in PATHS and isinstance(value, str) and f"{value}/".startswith(f"{directory}/")
    return checkout + value.removeprefix(directory) if inside else value


def services(document: dict) -> dict[str, Service]:
    """The services of a resolved Compose file, by their Compose names."""
    return {
        name: Service(
            name,
            service.get("image")
            or f"{document.get('name', '')}-{name}",  # the name that Compose gives to what it builds
            # null: named without a value, and the environment has none
            {key: str(value) for key, value in (service.get("environment") or {}).items() if value is not None},
            bool(service.get("build")),
            service,
        )
        for name, service in document["services"].items()
    }


def remembered(checkout: Path, config_next: bool, path: Path, environ: Mapping[str, str] = os.environ) -> dict:
    """As `document`, asking Compose (0.2 s) only when its files or the environment have changed.

    path: where the answer is kept.
    """
    if not (key := compose_key.of(checkout, config_next, environ)):
        return document(checkout, config_next, environ)
    kept = state.remembered(
        path,
        key,
        lambda: resolved(checkout, config_next, environ),
        lambda: (
            compose_key.of(checkout, config_next, environ) == key
        ),  # else something was changed while Compose read it
    )
    return for_tests(kept, harness.read(checkout, config_next), environ)


def one_shots(services: Iterable[dict]) -> set[str]:
    """The services of the resolved file whose end others wait for: `service_completed_successfully`."""
    edges = [edge for service in services for edge in dependencies(service).items()]
    return {name for name, how in edges if how["condition"] == "service_completed_successfully"}


def setup_command(services: dict[str, Service], passed: Mapping[str, str] | None = None) -> list[str]:
    """What the Compose service bsetup runs in a pod of Boulder's, with the environment of bsetup. passed: what else that pod has."""
    setup, made = services[SETUP], {**services[BOULDER].environment, **(passed or {})}
    unset = [word for name in made if name not in setup.environment for word in ("-u", name)]
    changed = [f"{name}={value}" for name, value in setup.environment.items() if made.get(name) != value]
    return ["env", *unset, *changed, *setup_words(services)]


def setup_words(services: dict[str, Service]) -> list[str] | None:
    """What the Compose service bsetup runs; None if there is no such service."""
    setup = services.get(SETUP)
    return [*words(setup, "entrypoint"), *words(setup, "command")] if setup else None


def words(service: Service, key: str) -> list[str]:
    """Returns a list of the service's document, such as its entrypoint; empty if it has none."""
    return list(service.document.get(key) or [])
