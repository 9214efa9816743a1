"""What Compose reads decides its answer: each thing changed between two commands, and what is remembered compared with Compose's own word."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from boulder_k8s.manifests import compose, compose_key

pytestmark = pytest.mark.usefixtures("docker_compose")
BASE = "services:\n  boulder:\n    image: x\n    environment:\n      - A=${A:-}\n      - B=$PWD\n      - C=${DOTTED:-}\n      - some-name\n"
ONE = "services: {boulder: {image: x, environment: {FROM: one}}}\n"
TWO = "services: {boulder: {image: x, environment: {FROM: two}}}\n"
Setenv = Callable[[str, str], None]


class Place:
    """A checkout, and the environment in which commands run."""

    def __init__(self, path: Path, patch: pytest.MonkeyPatch) -> None:
        self.path, self.patch = path, patch

    def write(self, name: str, text: str) -> None:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def set(self, name: str, value: str) -> None:
        self.patch.setenv(name, value)


def with_file(key: str) -> Callable[[Place], None]:
    """A Compose file that has a further key of boulder's."""
    return lambda place: place.write("docker-compose.yml", BASE + key)


def script(words: str) -> Callable[[Place], None]:
    """A t.sh that gives options to Compose."""
    return lambda place: place.write("t.sh", f'exec docker compose {words} run boulder ./test.sh "$@"\n')


def both(*steps: Callable[[Place], object]) -> Callable[[Place], None]:
    def all_of_them(place: Place) -> None:
        for step in steps:
            step(place)

    return all_of_them


def nothing(place: Place) -> None:
    pass


def file(name: str, text: str) -> Callable[[Place], None]:
    return lambda place: place.write(name, text)


def variable(name: str, value: str) -> Callable[[Place], None]:
    return lambda place: place.set(name, value)


def link(place: Place) -> None:
    place.write("one.env", "A=one\n")
    (place.path / ".env").symlink_to("one.env")


INCLUDED = both(file("more.yml", "services: {b: {image: $A}}\n"), file("more.env", "A=one\n"))
READ: dict[str, tuple[Callable[[Place], None], Callable[[Place], None]]] = {
    "a variable": (nothing, variable("A", "two")),
    "a variable with a dash": (nothing, variable("some-name", "two")),
    "HOME": (with_file("    volumes: ['~/x:/x']\n"), variable("HOME", "/elsewhere")),
    ".env appears": (nothing, file(".env", "A=two\n")),
    ".env changes": (file(".env", "A=one\n"), file(".env", "A=two\n")),
    ".env names a variable": (file(".env", "A=${OTHER:-}\n"), variable("OTHER", "two")),
    ".env is a link": (link, file("one.env", "A=two\n")),
    ".env names the files": (both(file(".env", "COMPOSE_FILE=a.yml\n"), file("a.yml", ONE)), file("a.yml", TWO)),
    ".env names environment files": (
        both(file(".env", "COMPOSE_ENV_FILES=a.env\n"), file("a.env", "A=one\n")),
        variable("COMPOSE_DISABLE_ENV_FILE", "1"),
    ),
    "no .env": (file(".env", "A=one\n"), variable("COMPOSE_DISABLE_ENV_FILE", "1")),
    "environment files": (
        both(variable("COMPOSE_ENV_FILES", "a.env"), file("a.env", "A=one\n")),
        file("a.env", "A=two\n"),
    ),
    "files": (both(variable("COMPOSE_FILE", "a.yml"), file("a.yml", ONE)), file("a.yml", TWO)),
    "project name": (nothing, variable("COMPOSE_PROJECT_NAME", "two")),
    "override appears": (nothing, file("docker-compose.override.yml", TWO)),
    "override of another name": (nothing, file("docker-compose.override.yaml", TWO)),
    "another file comes first": (nothing, file("compose.yaml", TWO)),
    "env_file": (both(with_file("    env_file: a.env\n"), file("a.env", "F=1\n")), file("a.env", "F=2\n")),
    "env_file, a list": (both(with_file("    env_file: [a.env]\n"), file("a.env", "F=1\n")), file("a.env", "F=2\n")),
    "env_file that appears": (
        with_file("    env_file:\n      - {path: a.env, required: false}\n"),
        file("a.env", "F=2\n"),
    ),
    "env_file, quoted": (both(with_file('    "env_file" : a.env\n'), file("a.env", "F=1\n")), file("a.env", "F=2\n")),
    "env_file, a complex key": (
        both(with_file("    ? env_file # why\n    : a.env\n"), file("a.env", "F=1\n")),
        file("a.env", "F=2\n"),
    ),
    "env_file, escaped": (
        both(with_file('    "env\\x5ffile": a.env\n'), file("a.env", "F=1\n")),
        file("a.env", "F=2\n"),
    ),
    "label_file": (both(with_file("    label_file: a.env\n"), file("a.env", "F=1\n")), file("a.env", "F=2\n")),
    "extends": (
        both(with_file("    extends: {file: a.yml, service: boulder}\n"), file("a.yml", ONE)),
        file("a.yml", TWO),
    ),
    "include": (
        both(
            file(
                "docker-compose.yml", f"include: [{{path: more.yml, env_file: more.env}}]\n{BASE}    depends_on: [b]\n"
            ),
            INCLUDED,
        ),
        file("more.env", "A=two\n"),
    ),
    "a file that t.sh names": (both(script("-f a.yml"), file("a.yml", ONE)), file("a.yml", TWO)),
    "the project's directory": (
        both(script("-f sub/a.yml"), file("sub/a.yml", BASE), file("sub/.env", "A=one\n")),
        file("sub/.env", "A=two\n"),
    ),
    "an environment file that t.sh names": (
        both(script("--env-file a.env"), file("a.env", "A=one\n")),
        file("a.env", "A=two\n"),
    ),
    "what t.sh names": (both(script("-f a.yml"), file("a.yml", ONE), file("b.yml", TWO)), script("-f b.yml")),
    "a variable that t.sh sets": (
        file("t.sh", 'export A=one\nexec docker compose run -e A boulder ./test.sh "$@"\n'),
        file("t.sh", 'export A=two\nexec docker compose run -e A boulder ./test.sh "$@"\n'),
    ),
}


@pytest.mark.parametrize("what", READ)
def test_what_is_remembered_is_what_compose_would_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    before, change = READ[what]
    place = Place(tmp_path / "boulder", monkeypatch)
    place.write("docker-compose.yml", BASE)
    before(place)
    first = compose.remembered(place.path, False, tmp_path / "kept", os.environ)
    assert first == compose.document(place.path, False, os.environ)
    change(place)
    fresh = compose.document(place.path, False, os.environ)
    assert fresh != first or what == ".env names environment files"  # else nothing could be wrong
    assert compose.remembered(place.path, False, tmp_path / "kept", os.environ) == fresh


def test_compose_runs_in_the_checkout_wherever_the_command_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """${PWD} is the checkout, as t.sh has it; by the user's link if the command was started there."""
    place = Place(tmp_path / "boulder", monkeypatch)
    place.write("docker-compose.yml", BASE)
    (tmp_path / "link").symlink_to("boulder")
    for directory, seen in ((tmp_path, "boulder"), (tmp_path / "boulder", "boulder"), (tmp_path / "link", "link")):
        monkeypatch.setenv("PWD", str(directory))
        found = compose.remembered(place.path, False, tmp_path / "kept", os.environ)
        assert found["services"]["boulder"]["environment"]["B"] == str(tmp_path / seen)


def test_a_checkout_that_moves_has_another_project_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        path = tmp_path / name
        path.mkdir()
        (path / "docker-compose.yml").write_text(BASE)
        assert compose.remembered(path, False, tmp_path / "kept", os.environ)["name"] == name


def test_another_compose_is_asked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin of the user's own takes the place of the machine's."""
    (tmp_path / "docker-compose.yml").write_text(BASE)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    compose.remembered(tmp_path, False, tmp_path / "kept", os.environ)
    plugin = tmp_path / "docker/cli-plugins/docker-compose"
    plugin.parent.mkdir(parents=True)
    metadata = '{"SchemaVersion": "0.1.0", "Vendor": "x", "Version": "v9", "ShortDescription": "x"}'
    answer = '{"services": {"boulder": {"image": "its own"}}}'
    plugin.write_text(f"#!/bin/sh\ncase $1 in *metadata) echo '{metadata}' ;; *) echo '{answer}' ;; esac\n")
    plugin.chmod(0o755)
    found = compose.remembered(tmp_path, False, tmp_path / "kept", os.environ)
    assert found["services"]["boulder"]["image"] == "its own"


# What is indirect: names that only Compose puts together, or that YAML spells in its own way.
READ_INDIRECTLY: dict[str, tuple[Callable[[Place], None], Callable[[Place], None]]] = {
    "a variable before a letter that is not ASCII": (
        with_file("    hostname: 'a${X:-}$NAMEé'\n"),
        variable("NAME", "two"),
    ),
    "a variable that a value names": (
        both(with_file("      - $WHICH\n"), variable("WHICH", "NAME"), variable("NAME", "one")),
        variable("NAME", "two"),
    ),
    "a variable of two parts": (
        both(with_file("      - ${WHICH}_B\n"), variable("WHICH", "NAME"), variable("NAME_B", "one")),
        variable("NAME_B", "two"),
    ),
    "a variable of two parts in a flow list": (
        both(
            file("docker-compose.override.yml", 'services: {boulder: {environment: ["${WHICH:-NAME}_B"]}}'),
            variable("NAME_B", "one"),
        ),
        variable("NAME_B", "two"),
    ),
    "a variable that .env makes another's name": (
        both(with_file("      - $WHICH\n"), file(".env", "WHICH=NAME\n"), variable("NAME", "one")),
        variable("NAME", "two"),
    ),
    "a variable that YAML spells": (with_file('    hostname: "a${N\\x41ME:-}"\n'), variable("NAME", "two")),
    "a variable that YAML breaks": (with_file('    hostname: "a${NA\\\n      ME:-}"\n'), variable("NAME", "two")),
}  # fmt: skip


@pytest.mark.parametrize("what", READ_INDIRECTLY)
def test_what_compose_reads_indirectly_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    before, change = READ_INDIRECTLY[what]
    place = Place(tmp_path / "boulder", monkeypatch)
    place.write("docker-compose.yml", BASE)
    before(place)
    first = compose.remembered(place.path, False, tmp_path / "kept", os.environ)
    change(place)
    fresh = compose.document(place.path, False, os.environ)
    assert fresh != first
    assert compose.remembered(place.path, False, tmp_path / "kept", os.environ) == fresh


def test_what_can_be_read_only_once_is_left_to_compose(tmp_path: Path) -> None:
    """A .env that is a pipe, as password managers make it."""
    (tmp_path / "docker-compose.yml").write_text(BASE)
    os.mkfifo(tmp_path / ".env")
    assert compose_key.of(tmp_path, False, os.environ) == ""


def test_an_answer_to_files_that_change_meanwhile_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker-compose.yml").write_text(BASE)
    resolved = compose.resolved

    def slow(*arguments: object) -> dict:
        (tmp_path / "docker-compose.yml").write_text(TWO)  # an editor saves after the key was made
        return resolved(*arguments)

    monkeypatch.setattr(compose, "resolved", slow)
    compose.remembered(tmp_path, False, tmp_path / "kept", os.environ)
    monkeypatch.undo()
    (tmp_path / "docker-compose.yml").write_text(BASE)
    assert compose.remembered(tmp_path, False, tmp_path / "kept", os.environ) == compose.document(tmp_path, False)


def test_a_checkout_that_is_reached_by_a_link_mounts_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose resolves relative paths by PWD, which a shell sets to the link; what is mounted lies in the checkout all the same."""
    place = Place(tmp_path / "boulder", monkeypatch)
    place.write("docker-compose.yml", BASE + "    volumes: [./a:/a, '${PWD}:/b', /elsewhere:/c]\n    build: .\n")
    (tmp_path / "link").symlink_to("boulder")
    for name in ("boulder", "link"):
        monkeypatch.setenv("PWD", str(tmp_path / name))
        boulder = compose.resolved(place.path, False, os.environ)["services"]["boulder"]
        assert [one["source"] for one in boulder["volumes"]] == [f"{place.path}/a", str(place.path), "/elsewhere"]
        assert boulder["build"]["context"] == str(place.path)
        assert boulder["environment"]["B"] == str(tmp_path / name)  # as under Compose
