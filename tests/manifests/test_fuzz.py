"""Compose's answer, files and names of any shape end in objects that Kubernetes takes, or in a Problem: never in another exception."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as checked
from hypothesis import strategies as some
from support.rendering import KUBECTL, SETTINGS, followed, rendered
from support.words import WORDS

from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import ROOT
from boulder_k8s.manifests import answer, compose, drift, harness, history, overlay, selection, staging, written
from boulder_k8s.manifests.checkout import Checkout
from boulder_k8s.manifests.overlay import Rendered, RenderOptions
from boulder_k8s.parity.command import names_of

pytestmark = pytest.mark.usefixtures("docker_compose")
FIXTURE = ROOT / "tests/fixtures/boulder"
quickly = checked(
    max_examples=int(os.environ.get("FUZZ", "100")), deadline=None, suppress_health_check=list(HealthCheck)
)
words = some.sampled_from(
    [*WORDS, "", "0", "10.77.77.300", "-1", "1e9", "nobody", "a.b", "A", "10.0.0.0/8", "/", "..", "x:y"]
) | some.text(max_size=8)
values = some.recursive(
    some.none() | some.booleans() | some.integers(-5, 70000) | words,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@cache
def usual() -> dict:
    """What Compose makes of the miniature; its checkout is /boulder."""
    command = ["docker", "compose", "--profile", "*", "config", "--format", "json"]
    text = subprocess.run(command, cwd=FIXTURE, check=True, capture_output=True, text=True).stdout
    return json.loads(text.replace(str(FIXTURE), "/boulder"))


def places(document: object, path: tuple = ()) -> Iterator[tuple]:
    """Every place in a document."""
    yield path
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield from places(value, (*path, key))


@some.composite
def changes(draw: some.DrawFn) -> list[tuple[tuple, object]]:
    """Places in Compose's answer, and what stands there instead: values, keys, services of other names."""
    how = draw(some.sampled_from(["value", "key", "name"]))
    if how == "value":
        return [(draw(some.sampled_from(list(places(usual())))), draw(values))]
    keys = some.sampled_from(sorted(answer.SERVICE))
    if how == "key":
        service = draw(some.sampled_from(sorted(usual()["services"])))
        return [(("services", service, draw(keys | words)), draw(values))]
    name = draw(words)
    service = {"image": "redis", "networks": {"bouldernet": None}, **draw(some.dictionaries(keys, values, max_size=2))}
    return [
        (("services", name), service),
        (("services", "boulder", "depends_on", name), {"condition": "service_started"}),
    ]


def put(document: object, path: tuple, value: object) -> object:
    """Returns the document with a value at a path, if the path is still there."""
    if not path:
        return value
    inner = document
    with suppress(TypeError, LookupError):
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
    return document


def made_of(document: object, checkout: Path, directory: Path) -> Rendered:
    """All that a command makes of an answer of Compose, but for kustomize. Raises Problem."""
    document = answer.checked(json.dumps(document), checkout, False)
    script = harness.read(checkout, False)
    document = compose.for_tests(document, script, {})
    drift.refused_of_script(script, document)
    document = selection.followed(document, checkout, False, {}, lambda _: None)
    services = compose.services(document)
    selection.waves(services)
    names_of(document)
    history.sources(document, checkout)
    if "bsetup" in services:
        compose.setup_command(services)
        staging.setup_is_due(Checkout(checkout), compose.words(services["bsetup"], "entrypoint"))
    options = RenderOptions.of(Checkout(checkout), document, KUBECTL, directory, secrets=False)
    made = overlay.render(SETTINGS, options)
    drift.check(document, made.objects, {}, lambda _: None)
    return made


@quickly
@given(some.lists(changes(), min_size=1, max_size=2))
@example([[((), [])]])
@example([[((), {"services": None})]])
@example([[((), {})]])
def test_an_answer_of_any_shape_is_followed_or_refused(tmp_path_factory, monkeypatch, changes: list) -> None:
    monkeypatch.setattr(overlay, "rendered", lambda *_: Rendered("", copy.deepcopy(rendered("config"))))
    document: object = copy.deepcopy(usual())
    for path, value in [change for several in changes for change in several]:
        document = put(document, path, value)
    with suppress(Problem):
        made_of(document, FIXTURE, tmp_path_factory.getbasetemp() / "overlay")


# Compose files that Compose itself accepts, and what becomes of them: a part of the message, or nothing if they are followed.
OVERRIDES = [
    (
        "services: {boulder: {depends_on: [My.Service]}, My.Service: {image: redis}}",
        "My.Service has a name that Kubernetes",
    ),
    ("services: {boulder: {depends_on: [a.b]}, a.b: {image: redis}}", "the service a.b has a name that Kubernetes"),
    ("services: {boulder: {depends_on: [1st]}, 1st: {image: redis}}", "the service 1st has a name that Kubernetes"),
    ("services: {boulder: {depends_on: [x_]}, x_: {image: redis}}", "the service x_ has a name that Kubernetes"),
    (
        f"services: {{boulder: {{depends_on: [{'x' * 64}]}}, {'x' * 64}: {{image: redis}}}}",
        "has a name that Kubernetes",
    ),
    (
        "services: {boulder: {depends_on: [a_b, a-b]}, a_b: {image: r}, a-b: {image: r}}",
        "a_b is a-b in Kubernetes, as a-b is",
    ),
    ("services: {bconsul: {user: nobody}}", "bconsul (user)"),
    ("services: {bconsul: {hostname: A.b}}", "bconsul has the hostname 'A.b'"),
    ("services: {boulder: {environment: {'Ä': '1'}}}", "boulder has the variable 'Ä'"),
    ("services: {boulder: {environment: {'a b.c-d': '1'}}}", ""),
    ("services: {boulder: {extra_hosts: ['my_host:10.0.0.1']}}", "boulder names the host 'my_host'"),
    ("services: {boulder: {extra_hosts: ['Host.Example:10.0.0.1']}}", ""),
    ("services: {boulder: {extra_hosts: ['host:1234']}}", "boulder gives host the address '1234'"),
    ("networks: {bouldernet: {ipam: {config: [{subnet: 10.77.77.0/99}]}}}", "should be a range of addresses"),
    ("services: {bconsul: {networks: {bouldernet: {ipv4_address: 10.77.77.300}}}}", "should be an IPv4 address"),
    ("services: {boulder: {dns: [consul]}}", "should be an IP address"),
    ("services: {boulder: {environment: {A: '[/]'}, labels: {x: '[bold]'}}}", ""),
    ("services: {bconsul: {healthcheck: {test: []}}}", ""),
]


@pytest.mark.parametrize(("override", "message"), OVERRIDES)
def test_what_compose_accepts_is_followed_or_named_with_its_file(override: str, message: str, tmp_path: Path) -> None:
    checkout = tmp_path / "boulder"
    shutil.copytree(FIXTURE, checkout)
    (checkout / "docker-compose.override.yml").write_text(override)
    if not message:
        assert followed(checkout, tmp_path / "overlay").objects
        return
    with pytest.raises(Problem) as caught:
        document = selection.followed(compose.document(checkout, False), checkout, False)
        made = overlay.render(
            SETTINGS, RenderOptions.of(Checkout(checkout), document, KUBECTL, tmp_path / "overlay", secrets=False)
        )
        drift.check(document, made.objects, {}, source=written.finder(checkout, False))
    assert message in caught.value.message
    assert caught.value.message.startswith("docker-compose.override.yml"), caught.value.message


NAMES = [
    "a=b",
    "a b",
    "[x]",
    "ä",
    "-x",
    "x" * 250,
    "a\nb",
    "a'b\"c",
    "..x",
    "#x",
    "*",
    "a:b",
    "a,b",
    "%",
    "\\",
    ".hidden",
    "key=value=x.sql",
    "&a",
    "!x",
    "{",
    "~",
]
PLACES = ["test/config", "test/config/sub", "sa/db", "test/consul", "test/minio", "test/proxysql"]


def test_files_of_any_name_are_carried(tmp_path: Path) -> None:
    checkout = tmp_path / "boulder"
    shutil.copytree(FIXTURE, checkout)
    for place in PLACES:
        (checkout / place).mkdir(exist_ok=True)
        for name in NAMES:
            (checkout / place / f"{name}.sql"[-255:]).write_bytes(b"" if name == "a=b" else b"\xff\x00" + name.encode())
    followed(checkout, tmp_path / "overlay")
    staged = staging.configuration(overlay.Overrides().files(checkout / "test/config"))
    assert {f"sub/{name}.sql"[-259:] for name in NAMES} <= {path for _, _, path in staged}
    assert len({key for key, _, _ in staged}) == len(staged) and max(len(key) for key, _, _ in staged) <= 253


@pytest.mark.parametrize("place", PLACES)
def test_a_file_whose_name_is_not_utf_8_is_mounted_or_named(place: str, tmp_path: Path) -> None:
    checkout = tmp_path / "boulder"
    shutil.copytree(FIXTURE, checkout)
    path = Path(os.fsdecode(os.fsencode(checkout / place) + b"/\xff.sql"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    if not place.startswith("test/config"):  # a directory as a whole
        followed(checkout, tmp_path / "overlay")
        return
    with pytest.raises(Problem, match="is not UTF-8"):
        staging.configuration(overlay.Overrides().files(checkout / "test/config"))
    path.rename(path.with_name("x.sql"))  # its advice
    assert staging.configuration(overlay.Overrides().files(checkout / "test/config"))


@pytest.mark.parametrize("how", ["gone", "empty"])
@pytest.mark.parametrize(
    "name", ["sa/db", "test/consul", "test/redis-ratelimits.config", "t.sh", "test/config/sa.json"]
)
def test_a_checkout_without_a_file_or_with_an_empty_one_ends_in_words(name: str, how: str, tmp_path: Path) -> None:
    checkout = tmp_path / "boulder"
    shutil.copytree(FIXTURE, checkout)
    path = checkout / name
    is_directory = path.is_dir()
    shutil.rmtree(path) if is_directory else path.unlink()
    if how == "empty":
        path.mkdir() if is_directory else path.touch()
    try:
        followed(checkout, tmp_path / "overlay")
    except Problem as problem:
        assert path.name in problem.message
