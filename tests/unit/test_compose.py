"""What is taken from the checkout's Compose file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.programs import Programs

from boulder_k8s.host.errors import Problem
from boulder_k8s.manifests import compose, compose_key

DOCUMENT = {
    "services": {
        "boulder": {
            "image": "tools:1",
            "build": {"context": "x"},
            "environment": {"USE_VITESS": "false", "EMPTY": "", "NUMBER": 1},
        },
        "bredis_1": {"image": "redis:7"},
    }
}
DOCUMENT["services"]["boulder"]["depends_on"] = {"bredis_1": {"condition": "service_started", "required": True}}


def config(programs: Programs, document: dict) -> None:
    (programs.directory / "document").write_text(json.dumps(document))
    programs.answer("docker", "config --format json", "pwd > $cd/where; cat $cd/document")


def test_services_are_what_compose_resolves(programs: Programs, tmp_path: Path) -> None:
    config(programs, DOCUMENT)
    services = compose.services(compose.document(tmp_path, config_next=False))
    assert services["boulder"].environment == {"USE_VITESS": "false", "EMPTY": "", "NUMBER": "1"}
    assert (services["boulder"].build, services["bredis_1"].build) == (True, False)
    assert (services["bredis_1"].object_name, services["bredis_1"].image) == ("bredis-1", "redis:7")
    assert (programs.directory / "where").read_text().strip() == str(tmp_path)  # .env and the override file are there


def depending(*services: str, **how: object) -> dict:
    return {"image": "x:1", "depends_on": {name: {"condition": "service_started", **how} for name in services}}


@pytest.mark.parametrize(
    ("services", "environ", "found"),
    [
        ({"client": depending("boulder")}, {}, {"boulder"}),
        ({"boulder": depending("ba"), "ba": depending("bb"), "bb": {}}, {}, {"boulder", "ba", "bb"}),
        ({"boulder": depending("ba"), "ba": depending("boulder")}, {}, {"boulder", "ba"}),
        ({"boulder": {"depends_on": ["ba"]}, "ba": {}}, {}, {"boulder", "ba"}),
        ({"bsetup": depending("ba"), "ba": {}}, {}, {"boulder", "bsetup", "ba"}),
        ({"boulder": depending("ba", required=False), "ba": {}}, {}, {"boulder", "ba"}),
        ({"boulder": depending("ba", required=False), "ba": {"profiles": ["p"]}}, {}, {"boulder"}),
        (
            {"boulder": depending("ba", required=False), "ba": {"profiles": ["p"]}},
            {"COMPOSE_PROFILES": "o,p"},
            {"boulder", "ba"},
        ),
        (
            {"boulder": depending("ba", required=False), "ba": {"profiles": ["p"]}},
            {"COMPOSE_PROFILES": "*"},
            {"boulder", "ba"},
        ),
    ],
)
def test_what_boulder_does_not_depend_on_is_left_out(services: dict, environ: dict[str, str], found: set[str]) -> None:
    assert set(compose.needed({"services": {"boulder": {}, **services}}, environ)["services"]) == found


def test_a_variable_that_compose_leaves_unset_is_not_set(programs: Programs, tmp_path: Path) -> None:
    """`environment: [FOO]` without FOO in the user's environment: null in Compose's answer, absent in its container."""
    config(programs, {"services": {"boulder": {"image": "tools:1", "environment": {"FOO": None, "BAR": ""}}}})
    assert compose.services(compose.document(tmp_path, config_next=False))["boulder"].environment == {"BAR": ""}


def test_as_t_sh_compose_chooses_its_files_and_as_tn_sh_both_are_named(programs: Programs, tmp_path: Path) -> None:
    config(programs, DOCUMENT)
    compose.services(compose.document(tmp_path, config_next=False))
    compose.services(compose.document(tmp_path, config_next=True))
    t, tn = programs.calls("docker")
    assert "--file" not in t
    assert tn[:5] == ["compose", "--file", "docker-compose.yml", "--file", "docker-compose.next.yml"]
    assert t[t.index("--profile") + 1] == "*"  # bsetup is in a profile


def test_no_docker_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Problem, match="docker is not on PATH"):
        compose.services(compose.document(tmp_path, config_next=False))


@pytest.mark.parametrize(
    "words",
    [
        "docker: 'compose' is not a docker command.\nSee 'docker --help'",
        "unknown flag: --profile\nSee 'docker --help'.",
        "unknown flag: --profile\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]\n\nRun 'docker --help' for more information",
    ],
)
def test_a_missing_compose_plugin_is_said(programs: Programs, tmp_path: Path, words: str) -> None:
    (programs.directory / "words").write_text(words)
    programs.answer("docker", "compose", "cat $cd/words >&2; exit 125")
    with pytest.raises(Problem, match="no Compose plugin"):
        compose.services(compose.document(tmp_path, config_next=False))


def test_a_compose_file_that_is_refused_is_shown_in_composes_words(programs: Programs, tmp_path: Path) -> None:
    programs.answer("docker", "compose", "echo 'yaml: line 3: did not find expected key' >&2; exit 15")
    with pytest.raises(Problem, match="refuses the checkout's docker-compose.yml") as caught:
        compose.services(compose.document(tmp_path, config_next=False))
    assert (caught.value.detail, caught.value.exit_code) == ("yaml: line 3: did not find expected key", 2)
    assert str(tmp_path) in caught.value.fix


def test_compose_is_asked_again_only_when_its_answer_may_differ(programs: Programs, tmp_path: Path) -> None:
    programs.answer("docker", "config", """printf '{"services": {"boulder": {"image": "a"}}}'""")
    checkout, memory = tmp_path / "checkout", tmp_path / "memory"
    checkout.mkdir()
    (checkout / "docker-compose.yml").write_text("services:\n  a:\n    image: x:${BOULDER_TOOLS_TAG:-latest}\n")
    environ = {"PATH": os.environ["PATH"], "BOULDER_TOOLS_TAG": "1", "PWD": "/a"}

    def asked(config_next: bool = False, **more: str) -> int:
        before = programs.called("docker", "config")
        found = compose.remembered(checkout, config_next, memory / f"{config_next}.json", environ | more)
        assert found == {"services": {"boulder": {"image": "a"}}}
        return programs.called("docker", "config") - before

    assert [asked(), asked(), asked(PWD="/b")] == [1, 0, 0]
    assert [asked(config_next=True), asked(config_next=True), asked()] == [1, 0, 0]
    assert [asked(BOULDER_TOOLS_TAG="2"), asked(BOULDER_TOOLS_TAG="2")] == [1, 0]
    asked()
    assert [asked(TERM_SESSION_ID="1", SSH_TTY="/dev/pts/1", OTHER="x"), asked(COMPOSE_PROFILES="p")] == [0, 1]
    assert [asked(DOCKER_CONFIG="/d"), asked(HOME="/h")] == [1, 1]
    override = "services:\n  a:\n    environment:\n      - BARE\n      - X=$PWD\n  b:\n    environment:\n      OTHER:\n"
    (checkout / "docker-compose.override.yml").write_text(override)
    assert [asked(), asked()] == [1, 0]
    assert [asked(BARE="1"), asked(PWD="/b"), asked(OTHER="1"), asked(TERM="xterm")] == [1, 1, 1, 1]
    asked()
    assert asked(TERM="xterm") == 0
    (checkout / ".env").write_text("X=1\n")
    assert asked() == 1
    (memory / "False.json").write_text('{"key"')
    assert asked() == 1
    assert [asked(COMPOSE_FILE="other.yml"), asked(COMPOSE_FILE="other.yml")] == [1, 1]
    (checkout / "docker-compose.yml").write_text("services:\n  a:\n    env_file: b\n")
    assert [asked(), asked()] == [1, 1]


@pytest.mark.parametrize(
    "mention",
    [
        "    image: x:$NAME",
        "    image: x:${NAME:-${OTHER}}",
        "    environment:\n      - NAME",
        "    environment:\n      NAME:",
        "    environment: [OTHER, NAME]",
        "    environment: {NAME: , OTHER: 1}",
        '    environment: ["NAME"]',
        "    build: {args: [NAME]}",
        "configs:\n  a:\n    environment: NAME",
    ],
)
def test_a_variable_that_a_file_mentions_is_part_of_the_key(tmp_path: Path, mention: str) -> None:
    (tmp_path / "docker-compose.yml").write_text(f"services:\n  a:\n{mention}\n")
    keys = [compose_key.of(tmp_path, False, environ) for environ in ({}, {"NAME": "1"}, {"NAME": "2"})]
    assert "" not in keys
    assert len(set(keys)) == 3


def test_a_new_terminals_variables_are_not_part_of_the_key(tmp_path: Path) -> None:
    (tmp_path / "docker-compose.yml").write_text("services:\n  a:\n    image: x:$NAME\n")
    terminal = {"TERM": "xterm", "SSH_TTY": "/dev/pts/1", "NAMES": "x", "_": "x", "PWD": "/elsewhere"}
    assert compose_key.of(tmp_path, False, terminal) == compose_key.of(tmp_path, False, {})


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("docker-compose.yml", "services:\n  a:\n    extends:\n      file: b\n"),
        ("docker-compose.yml", "services:\n  a: {image: x, env_file: b}\n"),
        ("docker-compose.yml", 'services:\n  a:\n    "label_file": b\n'),
        ("docker-compose.override.yml", "include : [b]\n"),
        (".env", "COMPOSE_FILE=other.yml\n"),
        (".env", "COMPOSE_ENV_FILES=other.env\n"),
    ],
)
def test_an_answer_that_depends_on_further_files_has_no_key(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)
    assert compose_key.of(tmp_path, False, {}) == ""
