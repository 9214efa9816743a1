"""Whether the code has changed since Boulder was started: what counts, what does not, and that the checkout stays as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.pods import FIXTURE

from boulder_k8s.manifests import working_tree
from boulder_k8s.manifests.checkout import Checkout


def git(checkout: Path, *words: str) -> str:
    command = ["git", "-C", str(checkout), "-c", "user.name=unit", "-c", "user.email=unit@example.invalid", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Checkout:
    path = tmp_path / "boulder"
    shutil.copytree(FIXTURE, path, symlinks=True)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "The miniature"]):
        git(path, *words)
    return Checkout(path)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def test_what_is_saved_in_an_editor_is_named(repository: Checkout, kept: Path) -> None:
    before = working_tree.digest(repository, kept)
    assert before == working_tree.digest(repository, kept)
    (repository.path / "start.py").write_text("changed")
    (repository.path / "new file.go").write_text("package new")
    (repository.path / "test.sh").unlink()
    now = working_tree.digest(repository, kept)
    assert now != before
    assert working_tree.changed(repository, kept, before, now) == ["new file.go", "start.py", "test.sh"]
    assert working_tree.changed(repository, kept, now, now) == []


def test_what_git_ignores_a_date_and_a_commit_do_not_count(repository: Checkout, kept: Path) -> None:
    (repository.path / "start.py").write_text("changed")
    before = working_tree.digest(repository, kept)
    (repository.path / ".gocache").mkdir()
    (repository.path / ".gocache/x").touch()
    os.utime(repository.path / "test.sh", (1, 1))
    git(repository.path, "add", "start.py")
    assert working_tree.digest(repository, kept) == before
    git(repository.path, "commit", "-qm", "Change it")
    assert working_tree.digest(repository, kept) == before


def test_the_checkout_and_its_repository_stay_as_they_are(repository: Checkout, kept: Path) -> None:
    (repository.path / "start.py").write_text("changed")
    (repository.path / "new.go").write_text("package new")

    def files() -> set[tuple[str, int]]:
        return {(str(path), path.lstat().st_mtime_ns) for path in repository.path.rglob("*")}

    before = files()
    assert working_tree.digest(repository, kept)
    assert files() == before


def test_without_git_nothing_is_known(tmp_path: Path, repository: Checkout, kept: Path, monkeypatch) -> None:
    inside = repository.path / "below"  # a directory of somebody's repository, and no repository
    shutil.copytree(FIXTURE, inside)
    assert working_tree.digest(Checkout(inside), kept) == ""
    found = working_tree.digest(repository, kept)
    shutil.rmtree(kept)
    (repository.path / "new.go").touch()
    now = working_tree.digest(repository, kept)
    assert found != now and working_tree.changed(repository, kept, found, now) == []
    monkeypatch.setenv("PATH", str(tmp_path))
    assert working_tree.digest(repository, kept) == ""


def test_a_worktree_is_a_working_tree(repository: Checkout, kept: Path, tmp_path: Path) -> None:
    git(repository.path, "worktree", "add", "-q", str(tmp_path / "other"))
    other = Checkout(tmp_path / "other")
    before = working_tree.digest(other, kept)
    (other.path / "start.py").write_text("changed")
    assert working_tree.changed(other, kept, before, working_tree.digest(other, kept)) == ["start.py"]
