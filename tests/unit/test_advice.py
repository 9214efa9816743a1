"""Advice helps: what a message says to do is done here, and then all is well. Which messages there are, and which test provokes each, is
in test_messages.py.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from support.programs import Programs

from boulder_k8s.cluster import causes, node
from boulder_k8s.diagnose import bundle, cause
from boulder_k8s.host import docker, fitness, tools, variables
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import Port, Settings, parse_ports
from boulder_k8s.host.tools import Tools
from boulder_k8s.manifests import borrowed, certificates, staging
from boulder_k8s.manifests.checkout import Checkout


def git(*words: object) -> str:
    identity = {"GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x", "GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x"}
    command = ["git", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **identity}).stdout


def advised(text: str) -> list[str]:
    """The commands between backticks."""
    return re.findall(r"`([^`]+)`", text)


def test_ports_that_are_advised_are_free(settings: Settings, programs: Programs) -> None:
    programs.answer("docker", "ps", "true")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        try:
            blocked = socket.create_server(("127.0.0.1", 14001))  # what used to be advised
        except OSError:
            blocked = None  # somebody has it already
        numbers = [one.getsockname()[1], other.getsockname()[1]]
        taken = Settings(settings.root, "unit", "node:test", (Port(numbers[0], 4001), Port(numbers[1], 4003)))
        with pytest.raises(Problem) as caught:
            node.check_ports(taken)
        named = re.search(r"BOULDER_PORTS=(\S+)\.$", caught.value.fix)[1]
        ports = parse_ports(named)
        assert [port.container for port in ports] == [4001, 4003]
        node.check_ports(Settings(settings.root, "unit", "node:test", ports))
        if blocked:
            assert 14001 not in {port.host for port in ports}
            blocked.close()


def test_a_port_that_is_free_stays_where_it_is(settings: Settings) -> None:
    assert node.elsewhere(settings.ports) == ",".join(map(str, settings.ports))


@pytest.mark.parametrize("how", ["--shared", "--reference"])
def test_a_clone_that_borrows_objects_is_named_and_repaired(tmp_path: Path, how: str) -> None:
    origin, clone = tmp_path / "origin", tmp_path / "a clone"
    git("init", "--quiet", origin)
    (origin / "file").write_text("x")
    git("-C", origin, "add", "file")
    git("-C", origin, "commit", "--quiet", "-m", "x")
    borrowed.check(origin)
    git(
        "clone",
        "--quiet",
        *(["--shared"] if how == "--shared" else ["--reference", origin]),
        f"file://{origin}" if how != "--shared" else origin,
        clone,
    )
    with pytest.raises(Problem, match="borrows git objects from") as caught:
        borrowed.check(clone)
    (command,) = advised(caught.value.fix)
    subprocess.run(["bash", "-c", command], check=True, capture_output=True)
    borrowed.check(clone)
    shutil.rmtree(origin)
    assert git("-C", clone, "log", "-1", "--format=%s") == "x\n"  # as git in a container sees it
    git("-C", clone, "fsck")


def test_a_clone_whose_other_one_is_gone_can_only_be_made_anew(tmp_path: Path) -> None:
    path = tmp_path / ".git/objects/info/alternates"
    path.parent.mkdir(parents=True)
    path.write_text("/nowhere/objects\n")
    with pytest.raises(Problem) as caught:
        borrowed.check(tmp_path)
    assert advised(caught.value.fix) == [] and "clone Boulder anew" in caught.value.fix


def test_a_worktree_borrows_nothing(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /elsewhere/.git/worktrees/x\n")
    borrowed.check(tmp_path)
    assert Checkout(tmp_path).external_git_directory() == "/elsewhere/.git/worktrees/x"
    (tmp_path / ".git").write_bytes(b"")
    assert Checkout(tmp_path).external_git_directory() is None


def test_a_certificate_that_generate_sh_will_not_make_is_named(checkout: Path, capsys) -> None:
    certificates.tell_unmade(Checkout(checkout), False)
    assert capsys.readouterr().err == ""
    (checkout / "test/config/new.json").write_text('{"certFile": "test/certs/ipki/new.boulder/cert.pem"}')
    certificates.tell_unmade(Checkout(checkout), False)
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 2 and "test/certs/ipki/new.boulder/cert.pem" in said
    (command,) = advised(said)
    subprocess.run(["bash", "-c", command.removeprefix("sudo ")], check=True)
    certificates.tell_unmade(Checkout(checkout), False)
    assert staging.needs_generate(Checkout(checkout)) and capsys.readouterr().err == ""  # generate.sh makes all of it


@pytest.mark.parametrize(
    ("words", "meaning", "advice", "check"),
    [
        (
            "Error response from daemon: all predefined address pools have been fully subnetted",
            "no free address pool",
            "docker network prune",
            "subnets",
        ),
        (
            "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
            "no free address pool",
            "docker network prune",
            "subnets",
        ),
        ("Failed to create inotify object: Too many open files", "inotify limits", "sysctl fs.inotify", "inotify"),
        ("write /x: no space left on device", "disk is full", "docker system df", "docker-disk"),
        ("Bind for 127.0.0.1:4001 failed: port is already allocated", "port is taken", "BOULDER_PORTS", "host-ports"),
        ("something else", "", "kind's own", ""),
    ],
)
def test_kinds_words_are_explained(tmp_path: Path, words: str, meaning: str, advice: str, check: str) -> None:
    found = causes.problem("unit", f"Creating cluster\n{words}", tmp_path)
    assert meaning in found.message and advice in found.fix and found.check == check and words in found.detail


def test_a_kubelet_that_does_not_start_for_low_inotify_limits(tmp_path: Path) -> None:
    words = "The HTTP call equal to 'curl -sSL http://localhost:10248/healthz' failed: the kubelet is not running"
    limits = tmp_path / "proc/sys/fs/inotify"
    limits.mkdir(parents=True)
    for name, number in {"max_user_instances": 128, "max_user_watches": 8192}.items():
        (limits / name).write_text(f"{number}\n")
    found = causes.problem("unit", words, tmp_path)
    assert "inotify" in found.message
    for name, number in re.findall(r"fs\.inotify\.(\w+)=(\d+)", found.fix):  # as sysctl does
        (limits / name).write_text(number)
    assert fitness.low_inotify(tmp_path) == {} and causes.of(words, tmp_path) is None


@pytest.mark.parametrize(
    "typed",
    [
        "BOULDER_K8S_DRIFT=notes",
        "BOULDER_K8S_DRIFT=true",
        "BOULDER_K8S_STANDBY=no",
        "BOULDER_K8S_DRFIT=note",
        "BOULDER_K8S_X=1",
    ],
)
def test_a_variable_that_means_nothing_is_named_with_what_it_may_be(typed: str) -> None:
    name, _, value = typed.partition("=")
    with pytest.raises(Problem, match=name) as caught:
        variables.check({name: value})
    if advice := re.search(r"Write (\w+)=(\w+)", caught.value.fix):
        variables.check({advice[1]: advice[2]})
    variables.check({})
    variables.check({name: ""} if name in variables.OURS else {})


def test_another_word_for_vitess_is_passed_on_and_said(capsys) -> None:
    variables.check({"USE_VITESS": "1"})
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and "USE_VITESS=1 is passed on" in said[0] and "true or false" in said[1]
    for value in ("true", "false", ""):
        variables.check({"USE_VITESS": value, "BOULDER_K8S_TIMEOUT": "1", "BOULDER_K8S_WRAPPER": "x"})
    assert capsys.readouterr().err == ""


def event(reason: str, about: str, at: str | None) -> dict:
    return {
        "kind": "Event",
        "type": "Warning",
        "reason": reason,
        "metadata": {},
        "involvedObject": {"name": about},
        "lastTimestamp": at,
    }


def test_a_summary_names_no_warnings_of_the_clusters_first_minute() -> None:
    ready = {
        "kind": "Pod",
        "metadata": {"name": "here"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    objects = [
        ready,
        event("FailedScheduling", "here", "2026-01-01T00:00:30Z"),
        event("FailedScheduling", "waits", "2026-01-01T00:00:30Z"),
        event("SystemOOM", "node", "2025-12-31T00:00:00Z"),
        event("OOMKilling", "here", None),
    ]
    assert cause.events(cause.Facts({"began": 1767225600.0}, objects=objects).recent) == [
        "FailedScheduling waits: ",
        "OOMKilling here: ",
    ]


def test_a_bundle_of_nothing_is_refused(settings: Settings, programs: Programs, monkeypatch, capsys) -> None:
    programs.answer("docker", "container inspect", 'echo "Error: No such container: $3" >&2; exit 1')
    monkeypatch.setattr(tools, "find", lambda settings: Tools(Path("/kind"), Path("/kubectl")))
    monkeypatch.setattr(tools, "versions", lambda *_: {})
    with pytest.raises(Problem, match="nothing to pack"):
        bundle.bundle(settings)
    assert not (settings.runs / bundle.NAME).exists() and capsys.readouterr().out == ""


@pytest.mark.parametrize("answer", ["echo hello", "echo '[]'", "true"])
def test_a_docker_info_of_another_program_is_named(programs: Programs, answer: str) -> None:
    programs.answer("docker", "info", answer)
    with pytest.raises(Problem, match="docker info"):
        docker.info()


@pytest.mark.parametrize("version", ["dev", "", "0.0.0-20260131-master", "library-import", "v29.1", "29"])
def test_an_engine_of_any_version_can_save_images(programs: Programs, monkeypatch, version: str) -> None:
    monkeypatch.setattr(docker, "engine", lambda: docker.Engine("dev", False, True, ""))
    programs.answer("docker", "version", f"echo '{version}'")
    assert docker.save_command(["a"], "linux/amd64")[-1] == "a"
