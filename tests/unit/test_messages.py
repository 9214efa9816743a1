"""Every message that says what is wrong: some test looks for its words, and what its advice names is there to be typed."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from invoke import Collection
from invoke.exceptions import ParseError
from invoke.parser import Parser
from support.messages import constants, is_looked_for, messages
from support.pods import FIXTURE

from boulder_k8s.cluster import causes
from boulder_k8s.commands import arguments
from boulder_k8s.commands.images import images
from boulder_k8s.commands.test import hand_over_to_compose
from boulder_k8s.commands.typed import TAKES, apart
from boulder_k8s.diagnose.doctor import CHECKS
from boulder_k8s.host import fitness, variables
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import ROOT, Settings
from boulder_k8s.host.tools import find_kind, find_kubectl
from boulder_k8s.manifests import answer, drift, staging
from boulder_k8s.parity.command import ParityOptions, parity

PLACEHOLDER = re.compile(r"[A-Z_]{3,}|\.\.\.")
DOCKER = {
    "compose",
    "container",
    "context",
    "create",
    "image",
    "info",
    "inspect",
    "login",
    "network",
    "pause",
    "port",
    "ps",
    "pull",
    "push",
    "rm",
    "run",
    "save",
    "start",
    "stats",
    "system",
    "unpause",
    "version",
    "volume",
    "exec",
    "logs",
    "stop",
}


def commands(documents: bool = False) -> list[str]:
    """Every command between backticks in a text of the product, and of its documents; what is filled in is a word."""
    texts = [text for path in (ROOT / "boulder_k8s").rglob("*.py") for text in joined(path)]
    texts += documents * [path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))]
    return sorted({command for text in texts for command in re.findall(r"`([^`\n]+)`", text)})


def joined(path: Path) -> list[str]:
    """The texts of a module, with WORD for each value that is filled in."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(part.value if isinstance(part, ast.Constant) else "WORD" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


def words(command: str) -> list[str]:
    """The words of a command, without variables before it and without what follows it."""
    try:
        found = shlex.split(re.split(r" && | \| |; ", command)[0])
    except ValueError:
        return []
    while found and (found[0] == "sudo" or re.fullmatch(r"[A-Z_]+=.*", found[0])):
        found = found[1:]
    return found


def handed_over(settings: Settings) -> None:
    """`BOULDER_CI_ORCH=compose` in a checkout without t.sh."""
    checkout = settings.root / "boulder"
    shutil.copytree(FIXTURE, checkout, ignore=shutil.ignore_patterns("t.sh"))
    hand_over_to_compose(settings, [], False, {"BOULDER_DIR": str(checkout)})


PROVOKED: list[tuple[Callable[[Settings], object], str]] = [
    (
        lambda _: drift.check({"services": {"bnew": {}}}, [], {}, source=lambda *_: "a.override.yml"),
        "a.override.yml is not the one that the manifests are written for: bnew (service).",
    ),
    (lambda _: arguments.timeout("x", {}), "--timeout x is not a number of seconds."),
    (lambda _: arguments.number("--tail", "x"), "--tail x is not a whole number."),
    (lambda _: arguments.words("--args", "'"), "--args cannot be taken apart: No closing quotation."),
    (lambda settings: images(settings, "x"), "There is no images x."),
    (lambda settings: parity(settings, ParityOptions(("x",)), {}), "There is no part x."),
    (lambda _: variables.check({"BOULDER_K8S_X": "1"}), "BOULDER_K8S_X is no variable of this project."),
    (lambda _: variables.check({"BOULDER_K8S_DRIFT": "1"}), "BOULDER_K8S_DRIFT=1 means nothing: it may be note."),
    (
        lambda _: answer.checked('{"services": {"a": 1}}', Path("/x"), False),
        "services.a is 1, and should be an object.",
    ),
    (
        lambda _: answer.checked("[]", Path("/x"), False),
        "docker-compose.yml: what Compose makes of it is [], and should be an object.",
    ),
    (lambda _: answer.checked("[", Path("/x"), False), "Docker Compose's answer is not the JSON"),
    (
        lambda settings: staging.stage(settings.root, "x", {"a": Path("/x/a")}),
        "The checkout has no a where the manifests expect it: /x/a.",
    ),
    (lambda settings: handed_over(settings), "t.sh cannot be started: No such file or directory."),
    (
        lambda _: fitness.check_rootless({"SecurityOptions": ["name=rootless"], "CgroupVersion": "2"}),
        "Docker runs rootless and may not limit memory, processes and CPUs",
    ),
    (lambda settings: find_kubectl(replace(settings, offline=True)), "kubectl is missing."),
    (lambda settings: find_kind(replace(settings, offline=True)), "not here, and nothing is fetched offline."),
]


@pytest.mark.parametrize(("provoke", "message"), PROVOKED)
def test_a_message_is_provoked(
    settings: Settings, monkeypatch, provoke: Callable[[Settings], object], message: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_: None)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(Problem) as caught:
        provoke(settings)
    assert message in caught.value.message and caught.value.fix


def test_every_message_is_looked_for_by_a_test() -> None:
    assert len(messages()) > 80
    assert [message.name for message in messages() if not is_looked_for(message)] == []


def test_every_invoke_that_is_named_can_be_typed() -> None:
    import tasks

    parser = Parser(contexts=Collection.from_module(tasks).to_contexts())
    named = [
        found
        for command in commands(documents=True)
        if (found := words(command))[:1] == ["invoke"] and len(found) > 1 and not found[1].startswith("-")
    ]
    assert len(named) > 15
    for found in named:
        typed = [word.strip("[]") for word in found[1:]]
        if typed[0] in TAKES:
            typed[1:] = apart(typed[1:], parser.contexts[typed[0]])[0]
        typed = typed[: typed.index("--")] if "--" in typed else typed
        if PLACEHOLDER.fullmatch(typed[0]):  # invoke TASK
            continue
        try:
            parser.parse_argv(typed)  # raises for an unknown task or flag
        except ParseError as error:
            assert "required positional" in str(error), found  # the task is spoken of


def test_every_program_that_is_named_has_such_a_command() -> None:
    for command in commands():
        found = words(command)
        if found[:1] == ["git"] and len(found) > 1:
            verb = next(
                (
                    word
                    for number, word in enumerate(found)
                    if number and not word.startswith("-") and found[number - 1] != "-C"
                ),
                "",
            )
            if verb and not PLACEHOLDER.fullmatch(verb):
                answer = subprocess.run(["git", verb, "-h"], capture_output=True, text=True)
                assert "is not a git command" not in answer.stderr, command
        if found[:1] == ["docker"] and len(found) > 1 and not found[1].startswith("-"):
            assert found[1] in DOCKER or PLACEHOLDER.fullmatch(found[1]), command


def test_no_advice_for_what_fails_for_certain_is_to_try_again() -> None:
    """Only where waiting can help: a pod or an API server that was slow."""
    again = {
        message.where for message in messages() if any("Run the command again" in piece for piece in message.advice)
    }
    assert again <= {"commands/cli.py", "commands/deployment.py", "cluster/leftovers.py", "run/runner.py"}


def test_causes_point_at_lines_that_the_doctor_has() -> None:
    assert {check for *_, check in causes.KNOWN} <= {check.__name__.replace("_", "-") for check in CHECKS}


@pytest.mark.parametrize("text", ["f'a {b} c'", "'a' 'b'"])
def test_texts_are_found_in_expressions(text: str) -> None:
    assert constants(ast.parse(text))
