"""What is known not to be public: everything that the user gives to the cluster, to Compose and to Docker."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..host import docker_config, state
from ..host.errors import Problem
from ..host.names import BOULDER, CHECKOUT_MOUNT
from ..host.settings import Settings
from ..manifests import compose, compose_key
from .leaves import documents, strings, word
from .public import Public
from .scrub import Scrubber

LARGEST = 1 << 18  # bytes: a larger file that is mounted is no password
# Keys of a Compose file whose strings are facts about the stack, and no secrets.
FACTS = set(
    """
    image volumes_from ports networks depends_on platform profiles restart network_mode container_name hostname name type
    source target driver pull_policy ipam expose cap_add cap_drop dns dns_search working_dir user ipc pid
    condition start_period start_interval interval timeout external attachable internal extra_hosts links cgroup
    stop_signal stop_grace_period shm_size mem_limit cpus logging_driver context dockerfile required version
    """.split()
)
FREE = ("environment", "labels", "args", "annotations", "driver_opts", "options", "sysctls")
# Variables of this machine that tell nothing, or that this project's own README names.
KNOWN = re.compile(
    r"PATH|HOME|PWD|OLDPWD|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TERM\w*|HOSTNAME|DISPLAY|EDITOR|PAGER|TZ|CI|_|SHLVL|NO_COLOR"
    r"|BOULDER_(DIR|TOOLS_TAG|VTCOMBOSERVER_TAG|PORTS|CONFIG_OVERLAY|EXTRA_HOSTS|CI_ORCH|K8S_\w+)|KIND_\w+|KIND|KUBECTL|KUBERC"
    r"|FAKE_DNS|USE_VITESS|DOCKER_(HOST|CONTEXT|CONFIG)|NO_PROXY|no_proxy|PYTEST_\w+|PYTHON\w+|VIRTUAL_ENV|GOFLAGS|GOTOOLCHAIN"
    r"|GITHUB_(ACTION\w*|JOB|REF\w*|SHA|REPOSITORY\w*|WORKFLOW\w*|RUN_\w+|EVENT_\w+|ACTOR\w*|WORKSPACE|SERVER_URL|API_URL|GRAPHQL_URL)"
)


def scrubber(
    settings: Settings, public: Public, checkouts: Sequence[Path], record: Mapping, environ: Mapping[str, str]
) -> Scrubber:
    """Returns a scrubber that knows what the user has given. record: run.json of the run that the bundle is about.

    Never raises for a file that cannot be read or understood.
    """
    found = Scrubber(public)
    of_environment(found, environ)
    for name, value in (record.get("environment") or {}).items():
        found.withhold(str(name), word(value))
    of_docker(found, environ)
    for path in settings.file("compose").parent.glob("*.json"):
        answer = state.read_object(path).get("answer") or {}
        for checkout in checkouts:
            if is_about(answer, checkout):
                of_compose(found, public, answer, checkout)
    for checkout in checkouts:
        of_checkout(found, public, checkout)
        of_compose(found, public, asked(settings, checkout, record.get("config_next") is True, environ), checkout)
    if given := environ.get("BOULDER_CONFIG_OVERLAY"):
        for path in files(Path(given)):
            found.learn(content(path))
    for item in applied(settings):
        of_object(found, public, item)
    return found


def applied(settings: Settings) -> list[dict]:
    """Returns the objects that were rendered last, as the cluster has them; none if that is not known."""
    answer = state.read_object(settings.file("overlay")).get("answer") or {}
    return answer.get("objects") or []


def asked(settings: Settings, checkout: Path, config_next: bool, environ: Mapping[str, str]) -> dict:
    """Returns what Compose makes of its files, if no command has kept that: it reads files that only it finds. {} if it is kept, or if
    Compose does not say it.
    """
    key = compose_key.of(checkout, config_next, environ)
    if not key or state.read(settings.file("compose-next" if config_next else "compose"), key) is None:
        with suppress(Problem, OSError, subprocess.TimeoutExpired):
            return compose.resolved(checkout, config_next, environ)
    return {}


def is_about(answer: Any, checkout: Path) -> bool:
    """Returns whether Compose's answer is about a checkout: one that was kept may be about another, of which nothing is in a bundle."""
    volumes = ((answer.get("services") or {}).get(BOULDER) or {}).get("volumes") or []
    sources = [
        item.get("source") for item in volumes if isinstance(item, dict) and item.get("target") == CHECKOUT_MOUNT
    ]
    return not sources or os.path.realpath(sources[0] or "") == os.path.realpath(checkout)


def of_environment(found: Scrubber, environ: Mapping[str, str]) -> None:
    """Learns the values of this process's environment, but of those that everybody has and of directories here."""
    for name, value in environ.items():
        here = value.startswith("/") and all(os.path.exists(part or "/") for part in value.split(":"))
        if not KNOWN.fullmatch(name) and not here and not (len(value) < 8 and not re.search(r"\d", value)):
            found.withhold(name, value)


def of_docker(found: Scrubber, environ: Mapping[str, str]) -> None:
    """Learns what Docker's config.json has: passwords of registries, headers, proxies."""
    config = docker_config.read(docker_config.directory(environ) / "config.json")
    for key in ("auths", "HttpHeaders"):
        for leaf in strings(config.get(key) or {}):
            found.withhold("password", leaf)
    for proxy in (config.get("proxies") or {}).values():
        for name, value in (proxy if isinstance(proxy, dict) else {}).items():
            if name != "noProxy":
                found.withhold(name, str(value))


def of_compose(found: Scrubber, public: Public, document: Any, checkout: Path) -> None:
    """Learns what a Compose file says, as Compose resolves it or as the user writes it: all strings but the facts."""

    def walk(item: Any, key: str) -> None:
        if isinstance(item, dict):
            for name, value in item.items():
                if name in ("env_file", "label_file") or (name == "file" and key not in ("extends",)):
                    of_files(value)
                if key in FREE:  # names of the user's own, whatever they mean elsewhere
                    walk(value, str(name))
                    continue
                if name in FACTS or (name == "volumes" and not isinstance(value, dict)):
                    mounted(value if name == "volumes" else None)
                    continue
                walk(value, str(name))
        elif isinstance(item, list):
            for value in item:
                name, equals, rest = str(value).partition("=")
                walk(rest if equals and key in ("environment", "labels", "args") else value, name if equals else key)
        elif item is not None and (key, word(item)) not in public.pairs and word(item) not in public.leaves:
            found.withhold(key, word(item))

    def of_files(value: Any) -> None:
        for name in strings(value):
            if os.path.isfile(checkout / name):
                found.learn(content(checkout / name), "password")

    def mounted(volumes: Any) -> None:
        for volume in volumes if isinstance(volumes, list) else ():
            source = volume.get("source", "") if isinstance(volume, dict) else str(volume).partition(":")[0]
            path = Path(os.path.expanduser(source))
            path = path if path.is_absolute() else checkout / path
            if source and not checkout.is_relative_to(path) and not committed_place(path, checkout):
                for file in files(path):
                    found.learn(content(file), "password")

    walk(document, "")


def committed_place(path: Path, checkout: Path) -> bool:
    """Returns whether a path is one that Boulder itself mounts: its files are committed, or made by its tests."""
    inside = path.relative_to(checkout).parts[:1] if path.is_relative_to(checkout) else ()
    return bool(inside) and inside[0] in ("test", "sa", ".gocache", "vendor", "docs")


def of_checkout(found: Scrubber, public: Public, checkout: Path) -> None:
    """Learns .env, and the Compose files that are not as committed."""
    for path in {*checkout.glob("docker-compose*.y*ml"), *checkout.glob("compose*.y*ml")}:
        text = content(path)
        if text in public.texts:
            continue
        parsed = documents(text)
        for document in parsed:
            of_compose(found, public, document, checkout)
        if not parsed:  # Compose refuses it, too
            found.learn(text)
    for path in checkout.glob(".env*"):
        for line in content(path).splitlines():
            name, equals, value = line.strip().removeprefix("export ").partition("=")
            if equals and not name.startswith("#"):
                found.withhold(name.strip(), value.strip().strip("\"'"))
                found.withhold(name.strip(), re.sub(r"\s#.*", "", value).strip().strip("\"'"))


def of_object(found: Scrubber, public: Public, item: dict) -> None:
    """Learns the data of a Secret, and of a ConfigMap what is not as committed."""
    if item.get("kind") == "Secret":
        values = [word(value) for value in (item.get("stringData") or {}).values()]
        for encoded in (item.get("data") or {}).values():
            with suppress(ValueError):
                if len(encoded) >= 8:
                    found.keep([encoded.encode()])
                values.append(base64.b64decode(encoded).decode(errors="replace"))
        for value in values:
            if "-----BEGIN" in value:  # a key or a certificate: its lines, as they are
                found.keep(line.encode() for line in value.splitlines() if len(line) > 16 and "-----" not in line)
            elif value.split():
                found.withhold("password", value)
    elif item.get("kind") == "ConfigMap":
        for text in (item.get("data") or {}).values():
            if text not in public.texts:
                found.learn(text)


def files(path: Path) -> list[Path]:
    """Returns a file, or the files of a directory that is small."""
    try:
        if path.is_file():
            return [path]
        found = [item for item in sorted(path.rglob("*")) if item.is_file()] if path.is_dir() else []
    except OSError:
        return []
    return found[:100]


def content(path: Path) -> str:
    """Returns the text of a file; "" if it cannot be read or is too large for a password."""
    try:
        return path.read_text(errors="replace") if path.stat().st_size <= LARGEST else ""
    except OSError:
        return ""
