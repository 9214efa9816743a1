"""What is somebody else's stays as it is: repositories that a git hook's environment names, directories that bear our names."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from boulder_k8s.host import git
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.owned import MARK, work_directory
from boulder_k8s.host.settings import ROOT
from boulder_k8s.manifests import checkout as checkouts
from boulder_k8s.manifests.checkout import Checkout, clone, find, packed, unpack


def run(directory: Path, *words: str, **environ: str) -> str:
    command = ["git", "-C", str(directory), "-c", "user.name=n", "-c", "user.email=e@example.org", *words]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=clean | environ).stdout.strip()


def repository(path: Path, *files: str) -> str:
    """Makes a repository; returns its commit."""
    path.mkdir(exist_ok=True)
    run(path, "init", "--quiet")
    for name in files:
        (path / name).write_text(f"{path.name}\n")
    run(path, "add", "--all")
    run(path, "commit", "--quiet", "--allow-empty", "-m", path.name)
    return run(path, "rev-parse", "HEAD")


def everything(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's repository, with an environment as of a hook in it, and everything else that leads git astray."""
    users = tmp_path / "users"
    repository(users, "mine")
    (tmp_path / "users-config").write_text(f"[core]\n\tworktree = {users}\n")
    for name, value in {
        "GIT_DIR": users / ".git",
        "GIT_COMMON_DIR": users / ".git",
        "GIT_WORK_TREE": users,
        "GIT_INDEX_FILE": users / ".git/index",
        "GIT_OBJECT_DIRECTORY": users / ".git/objects",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": users / ".git/objects",
        "GIT_NAMESPACE": "theirs",
        "GIT_PREFIX": "deep/",
        "GIT_CEILING_DIRECTORIES": tmp_path,
        "GIT_CONFIG": tmp_path / "users-config",
        "GIT_CONFIG_PARAMETERS": f"'core.worktree'='{users}'",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.worktree",
        "GIT_CONFIG_VALUE_0": users,
        "GIT_SHALLOW_FILE": users / ".git/shallow",
        "GIT_QUARANTINE_PATH": users / ".git/objects/incoming",
        "GIT_DEFAULT_HASH": "sha256",
        "GIT_SSH_COMMAND": "ssh -i key",
        "GIT_SSL_CAINFO": "/ca.pem",
    }.items():
        monkeypatch.setenv(name, str(value))
    return users


def test_nothing_that_leads_to_another_repository_reaches_git(hook: Path) -> None:
    """Of those that git itself lists none has the user's value."""
    listed = run(hook, "rev-parse", "--local-env-vars").split()
    given = git.environment()
    assert "GIT_DIR" in listed
    assert not [name for name in listed if name in given and given[name] == os.environ.get(name)]
    assert str(hook) not in "".join(given[name] for name in given if name.startswith("GIT_"))
    assert given["GIT_SSH_COMMAND"] == "ssh -i key" and given["GIT_SSL_CAINFO"] == "/ca.pem"


def test_a_clone_inside_a_git_hook_leaves_the_users_repository_alone(
    hook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = repository(tmp_path / "upstream", "test.sh")
    monkeypatch.setattr(checkouts, "REPOSITORY", str(tmp_path / "upstream"))
    monkeypatch.setattr(checkouts, "REVISION", revision)
    before = everything(hook)
    made = clone(tmp_path / "project/.boulder")
    assert made.revision() == revision
    assert run(made.path, "rev-parse", "HEAD") == revision
    with packed(made, revision) as pack:
        content = io.BytesIO(pack.read())
    again = unpack(tmp_path / "other/.boulder", revision, content)
    assert again.revision() == run(again.path, "rev-parse", "HEAD") == revision
    assert everything(hook) == before


def test_a_users_hooks_do_not_run_in_our_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (hooks / "post-checkout").chmod(0o755)
    (tmp_path / "gitconfig").write_text(f"[core]\n\thooksPath = {hooks}\n")
    revision = repository(tmp_path / "upstream", "test.sh")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setattr(checkouts, "REPOSITORY", str(tmp_path / "upstream"))
    monkeypatch.setattr(checkouts, "REVISION", revision)
    clone(tmp_path / ".boulder")
    assert not (tmp_path / "ran").exists()


def test_only_one_module_starts_git() -> None:
    starting = [path.name for path in (ROOT / "boulder_k8s").rglob("*.py") if '"git",' in path.read_text()]
    assert starting == ["git.py"]


@pytest.mark.parametrize("name", [".boulder", ".boulder.partial", ".boulder.mine.partial"])
def test_a_directory_that_bears_our_name_stays(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkouts, "REPOSITORY", str(tmp_path / "upstream"))
    monkeypatch.setattr(checkouts, "REVISION", repository(tmp_path / "upstream", "test.sh"))
    project = tmp_path / "project"
    (project / name).mkdir(parents=True)
    (project / name / "thesis.txt").write_text("years of work")
    if name == ".boulder":
        with pytest.raises(Problem, match="is no Boulder checkout, and something is in it"):
            find({}, project, project)
    else:
        assert find({}, project, project) == Checkout(project / ".boulder")
    assert (project / name / "thesis.txt").read_text() == "years of work"


def test_what_a_killed_command_left_is_removed_and_what_a_living_one_uses_is_not(tmp_path: Path) -> None:
    killed = tmp_path / ".boulder.killed.partial"
    killed.mkdir()
    (killed / MARK).touch()
    with work_directory(tmp_path / ".boulder") as living, work_directory(tmp_path / ".boulder") as other:
        assert living != other and living.is_dir() and other.is_dir()
        assert not killed.exists()
    assert not living.exists() and not other.exists()
