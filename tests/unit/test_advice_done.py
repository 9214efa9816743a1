"""Advice that can be followed without a cluster is followed here, word for word as it is given, and then the same works.

tests/support/advice.py says where each message's advice is followed.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.pods import FIXTURE
from support.programs import Programs

from boulder_k8s.airgap import tarball
from boulder_k8s.cluster import configuration, node, volume
from boulder_k8s.commands import arguments, exec, forward, inside, link, logs, rerun, run
from boulder_k8s.commands.images import images
from boulder_k8s.faces import compose as words_of_compose
from boulder_k8s.faces.verbs import VERBS, WITHOUT
from boulder_k8s.host import tools, variables
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.lock import checkout_held, held
from boulder_k8s.host.settings import ROOT, Settings, parse_offline, parse_ports
from boulder_k8s.host.tools import Tools
from boulder_k8s.manifests import checkout as checkouts
from boulder_k8s.manifests import history
from boulder_k8s.manifests.overrides import Overrides
from boulder_k8s.parity.command import ParityOptions, parity

TOOLS = Tools(Path("/kind"), Path("/kubectl"))


def refused(action: Callable[..., object], *words: object) -> Problem:
    with pytest.raises(Problem) as caught:
        action(*words)
    return caught.value


def advised(problem: Problem) -> list[str]:
    """The commands between backticks."""
    return re.findall(r"`([^`]+)`", problem.fix)


def typed(command: str) -> None:
    """Runs a command as a user would who stands somewhere else; root needs no sudo."""
    subprocess.run(["bash", "-c", command.replace("sudo ", "")], check=True, cwd="/", capture_output=True)


# What takes a value, one that it refuses, and what its advice names as right.
VALUES: list[tuple[Callable[[str], object], str, str]] = [
    (parse_ports, "4001-", r"BOULDER_PORTS=(\S+)\."),
    (parse_offline, "yes", r"Set it to (\w+)"),
    (lambda word: arguments.timeout(word, {}), "soon", r"as in --timeout (\w+)\."),
    (lambda word: arguments.number("--tail", word), "few", r"as in --tail (\w+)\."),
    (lambda word: logs.moment(word), "then", r"Write (\S+),"),
    (lambda word: logs.moment(word), "then", r", (\S+), or"),
    (lambda word: logs.moment(word), "then", r"or (\S+)\."),
    (history.date, "then", r"--since (\d\S+) or"),
    (history.date, "then", r"--since '(.*)'"),
    (lambda word: Overrides.read({}, word), "here", r", or (\S+) if"),
    (lambda word: Overrides.read({}, "", [word]), "a", r"as in (\S+) or"),
    (lambda word: Overrides.read({}, "", [word]), "a", r"or (\S+)\."),
    (lambda word: variables.check({"BOULDER_K8S_DRIFT": word}), "yes", r"BOULDER_K8S_DRIFT=(\w+)"),
    (lambda word: inside.variables([word]), "=x", r"Write (\S+),"),
]


@pytest.mark.parametrize(("action", "wrong", "right"), VALUES)
def test_the_value_that_advice_names_is_taken(action: Callable[[str], object], wrong: str, right: str) -> None:
    action(re.search(right, refused(action, wrong).fix)[1])


def test_names_that_advice_asks_for_are_taken(tmp_path: Path, settings: Settings) -> None:
    def cluster(name: str) -> object:
        return Settings.from_environment({"KIND_CLUSTER": name, "KIND_NODE_IMAGE": "x"}, settings.root)

    assert "49 lower-case letters, digits and dashes" in refused(cluster, "Boulder!").fix
    cluster("a-1" + "z" * 46)
    assert "counterpart" in refused(parse_ports, "1:4001,1:4003").fix
    parse_ports("1:4001,2:4003")
    overlay = refused(lambda: Overrides.read({}, config=str(tmp_path / "none"))).fix
    assert overlay.startswith("Name one") and Overrides.read({}, config=str(tmp_path))
    (words,) = re.findall(r"--args '(.*)'", refused(arguments.words, "--args", "'").fix)
    assert arguments.words("--args", words) == ["--unit", "-p", "./va"]
    parts = refused(parity, settings, ParityOptions(("x",)), {}).fix.removeprefix("The parts are ").rstrip(".")
    assert set(parts.split(", ")) == set(ParityOptions().parts)
    unknown = refused(variables.check, {"BOULDER_K8S_OFLINE": "true"}).fix
    variables.check({re.search(r"write (\w+)", unknown)[1]: "true"})
    variables.check({})
    arguments.timeout("", {"BOULDER_K8S_TIMEOUT": "900"})
    action = re.search(r"There are (\w+), images save", refused(images, settings, "x").fix)[1]
    assert action == "images"


@pytest.mark.parametrize(
    "typed_words",
    [
        "logz", "-f docker-compose.yml", "logs --folow", "logs --follow=maybe", "logs --tail", "exec bconsul", "run", "run bredis_1 sh", "up --force-recreate",
        "rm bmariadb", "run -d boulder go test", "ps --format xml", "down boulder", "-f other.yml up",
    ],
)  # fmt: skip
def test_composes_words_that_advice_names_are_taken(typed_words: str) -> None:
    problem = refused(words_of_compose.turned, typed_words.split(), {})
    instead = [command for command in advised(problem) if not command.startswith(("docker ", "ck8s.sh"))]
    if problem.fix == "Leave the name out.":
        instead = ["down"]
    elif "means config-next" in problem.fix:
        instead = [f"{problem.fix.partition(' means')[0]} up"]
    elif problem.fix.endswith(", or leave it out."):
        instead = ["logs " + problem.fix.removeprefix("Write ").partition(",")[0]]
    assert instead
    for command in instead:
        whole = {"--follow": "logs --follow", "table": "ps --format table", "json": "ps --format json"}.get(
            command, command
        )
        words_of_compose.turned(shlex.split(whole), {})


def test_commands_that_advice_names_are_taken_by_what_refused(settings: Settings, monkeypatch) -> None:
    """Whether they can be typed at all is looked at in test_messages.py."""
    for action, name in ((run.run, "run"), (exec.execute, "exec")):
        (command,) = advised(refused(action, settings, *(["", []] if name == "exec" else [None, [], None])))
        assert shlex.split(command)[:2] == ["invoke", name] and len(shlex.split(command)) > 3
    (command,) = advised(refused(forward.ports, None, "boulder", ["x"]))
    assert forward.ports(None, "boulder", [shlex.split(command)[-1]]) == {2345: 2345}


PLACES = ["plain", "with a blank", "it's"]


@pytest.mark.parametrize("place", PLACES)
def test_what_is_in_the_way_is_moved_by_the_command_that_is_named(
    settings: Settings, tmp_path: Path, place: str, monkeypatch
) -> None:
    """Whatever its path is like, and wherever the user stands."""
    root = tmp_path / place
    root.mkdir()
    (root / "there").mkdir()
    (root / "there/work").touch()
    (command,) = advised(refused(checkouts.free, root / "there"))
    typed(command)
    checkouts.free(root / "there")

    shutil.copytree(FIXTURE, root / "boulder")
    for name in ("tk8s.sh", "tnk8s.sh", "ck8s.sh"):
        (settings.root / name).touch()
    (root / "boulder/ck8s.sh").write_text("mine")
    environ = {"BOULDER_DIR": str(root / "boulder")}
    (command,) = advised(refused(link.link, settings, environ))
    typed(command)
    link.link(settings, environ)
    assert (root / "boulder/ck8s.sh.old").read_text() == "mine"

    (root / "kept").mkdir()
    monkeypatch.setattr(Path, "rmdir", lambda path: (_ for _ in ()).throw(PermissionError(13, "denied", str(path))))
    (command,) = advised(refused(configuration.remove_directory, root / "kept"))
    typed(command)
    assert not (root / "kept").exists()
    elsewhere = replace(settings, root=root)
    elsewhere.runs.mkdir()
    typed(advised(refused(rerun.named, elsewhere, "none"))[0])


def given(problem: Problem, **values: str) -> dict[str, str]:
    """The variables that advice names, with values of the user's."""
    return {name: values[name] for name in re.findall(r"\b((?:BOULDER|KIND)_[A-Z_]+)", problem.fix)}


@pytest.mark.parametrize("who", ["this cluster", "another cluster"])
def test_who_finds_the_cluster_or_the_checkout_in_use_gets_on_with_what_is_named(
    settings: Settings, checkout: Path, tmp_path: Path, who: str
) -> None:
    """Each variable alone leads to the next refusal: a cluster is made for one checkout, and its ports are taken."""
    shutil.copytree(checkout, tmp_path / "another")
    values = {"BOULDER_DIR": str(tmp_path / "another"), "KIND_CLUSTER": "second", "BOULDER_PORTS": "24921:4001"}

    @contextmanager
    def working(cluster: Settings, path: Path) -> Iterator[None]:
        with held(cluster, "x"), checkout_held(cluster, path, "x"):
            yield

    with working(settings if who == "this cluster" else replace(settings, cluster="other"), checkout):
        problem = refused(working(settings, checkout).__enter__)
        named = given(problem, **values)
        with working(replace(settings, cluster=named["KIND_CLUSTER"]), Path(named["BOULDER_DIR"])):
            assert named == values


def test_a_kubectl_that_is_missing_or_does_not_fit_comes_with_the_environment_made_anew(
    settings: Settings, tmp_path: Path, monkeypatch
) -> None:
    """./tk8s.sh alone would not do it: it takes an environment that is complete as it is."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    command = advised(refused(tools.find_kubectl, settings))[0]
    assert command == f"rm -rf {ROOT}/.venv && python3 {ROOT}/boulder_k8s/bootstrap.py"  # test_bootstrap.py runs it


@pytest.mark.parametrize("name", WITHOUT)
def test_what_stands_for_a_verb_of_compose_can_be_typed(name: str) -> None:
    for command in advised(refused(words_of_compose.turned, [name], {})):
        if command.split()[0] in VERBS:
            words_of_compose.turned(shlex.split(command.partition(" > ")[0]), {})


def test_files_are_written_and_read_where_advice_says(tmp_path: Path, settings: Settings) -> None:
    def save(path: Path) -> None:
        with tarball.writing(path) as writer:
            writer.finish({})

    def load(path: Path) -> None:
        with tarball.reading(path):
            pass

    assert "directory of yours" in refused(save, tmp_path / "none/file").fix
    save(tmp_path / "file")
    assert "the file that `invoke images save` wrote" in refused(load, tmp_path / "other").fix
    load(tmp_path / "file")
    (tmp_path / "cut").write_bytes((tmp_path / "file").read_bytes()[:700])
    assert "Copy it again" in refused(load, tmp_path / "cut").fix
    shutil.copy(tmp_path / "file", tmp_path / "cut")
    load(tmp_path / "cut")


def test_another_name_or_a_volume_that_is_removed_makes_room(
    programs: Programs, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:

    def wanted(cluster: Settings) -> None:
        volume.require_ours(cluster, volume.inspect(cluster))

    there = programs.directory / volume.name(settings)
    there.touch()
    labels = 'echo \'[{"Mountpoint": "/v", "CreatedAt": "then", "Labels": {}}]\''
    missing = 'echo "Error: No such volume" >&2; exit 1'
    programs.answer("docker", "volume inspect", f'[ -e "$cd/$3" ] && {labels} || {{ {missing}; }}')
    programs.answer("docker", "volume rm", 'rm "$cd/$3"')
    problem = refused(wanted, settings)
    assert "KIND_CLUSTER=NAME" in problem.fix
    wanted(replace(settings, cluster="another"))
    subprocess.run(["bash", "-c", advised(problem)[0]], check=True)
    wanted(settings)


def test_an_address_that_advice_names_is_this_machines(settings: Settings, programs: Programs) -> None:
    programs.answer("docker", "ps", "true")
    elsewhere = replace(settings, ports=parse_ports("203.0.113.7:24931:4001"))
    address = re.search(r"or (\S+) for all", refused(node.check_ports, elsewhere).fix)[1]
    node.check_ports(replace(settings, ports=parse_ports(f"{address}:24931:4001")))
