"""Which checkout a command means, and what is said when there is none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support.programs import Programs

from boulder_k8s.host.errors import Problem
from boulder_k8s.manifests.checkout import MARKS, REVISION, Checkout, find


@pytest.fixture
def three(checkout: Path, tmp_path: Path) -> dict[str, Path]:
    """Three checkouts to choose from."""
    found = {name: tmp_path / name for name in ("named", "current", "wrapper")}
    for path in found.values():
        shutil.copytree(checkout, path)
    return found


def test_the_named_checkout_comes_first_then_the_current_then_the_wrappers(
    three: dict[str, Path], tmp_path: Path
) -> None:
    wrapper = {"BOULDER_K8S_WRAPPER": str(three["wrapper"])}
    named = {"BOULDER_DIR": str(three["named"]), **wrapper}
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    assert find(named, three["current"], tmp_path).path == three["named"]
    assert find(wrapper, three["current"], tmp_path).path == three["current"]
    assert find({"BOULDER_DIR": "", **wrapper}, nothing, tmp_path).path == three["wrapper"]


def test_a_relative_name_starts_from_where_the_command_was_started_and_links_are_resolved(
    three: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(three["named"])
    assert find({"BOULDER_DIR": "../link"}, three["current"], tmp_path).path == three["named"]
    assert find({}, tmp_path / "link", tmp_path).path == three["named"]


def test_a_subdirectory_of_a_checkout_means_that_checkout(three: dict[str, Path], tmp_path: Path) -> None:
    wrapper = {"BOULDER_K8S_WRAPPER": str(three["wrapper"])}
    assert find(wrapper, three["current"] / "test/config", tmp_path).path == three["current"]


def test_where_none_is_named_it_is_that_of_the_cluster_and_another_one_is_said(
    three: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    shutil.copytree(three["named"], nothing / ".boulder")
    assert find({}, three["current"], nothing, known=three["named"]).path == three["current"]
    assert capfd.readouterr().err == ""
    assert find({}, nothing, nothing, known=three["named"]).path == three["named"]
    assert capfd.readouterr().err == ""  # as the last time
    shutil.rmtree(three["named"])
    assert find({}, nothing, nothing, known=three["named"]).path == nothing / ".boulder"
    assert str(nothing / ".boulder") in capfd.readouterr().err


def test_a_named_directory_that_is_no_checkout_is_an_error_even_if_another_is_there(
    three: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(Problem, match="it does not exist"):
        find({"BOULDER_DIR": "/no/where"}, three["current"], tmp_path)
    shutil.rmtree(three["named"] / "test/config-next")
    with pytest.raises(Problem, match="it has no test/config-next") as caught:
        find({"BOULDER_DIR": str(three["named"])}, three["current"], tmp_path)
    assert "BOULDER_DIR" in caught.value.fix


@pytest.mark.parametrize("mark", MARKS)
def test_without_any_of_its_marks_a_directory_is_no_checkout(checkout: Path, mark: str) -> None:
    path = checkout / mark
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert mark in Checkout(checkout).missing()


def test_without_a_checkout_the_pinned_revision_is_cloned_once(
    checkout: Path, tmp_path: Path, programs: Programs
) -> None:
    (tmp_path / ".boulder.partial").mkdir()  # a clone that was interrupted
    (tmp_path / ".boulder.partial/rest").touch()
    for words in ("init --quiet", "fetch --quiet"):
        programs.answer("git", words, "true")
    programs.answer("git", "checkout --quiet", f'cp -r {checkout} "$2"')
    assert find({}, tmp_path, tmp_path) == Checkout(tmp_path / ".boulder")
    assert not (tmp_path / ".boulder/rest").exists()
    assert programs.called("git", REVISION) == 1
    find({}, tmp_path, tmp_path)
    assert programs.called("git", REVISION) == 1


def test_a_clone_that_fails_is_a_problem_with_gits_words_and_leaves_no_checkout(
    tmp_path: Path, programs: Programs
) -> None:
    programs.answer("git", "init --quiet", 'mkdir "$3"')
    programs.answer("git", "fetch --quiet", "echo no route to host >&2; exit 128")
    with pytest.raises(Problem, match="cannot be cloned") as caught:
        find({}, tmp_path, tmp_path)
    assert caught.value.detail == "no route to host"
    assert not (tmp_path / ".boulder").exists()


def test_the_revision_says_whether_tracked_files_differ(checkout: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        return subprocess.run(
            ["git", "-C", checkout, *identity, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    assert Checkout(checkout).revision() == "unknown"
    git("init", "--quiet")
    git("add", "test.sh")
    git("commit", "--quiet", "-m", "one")
    git("tag", "v1")  # a tag does not hide the commit
    assert Checkout(checkout).revision() == git("rev-parse", "HEAD")
    (checkout / "test.sh").write_text("changed\n")
    assert Checkout(checkout).revision() == git("rev-parse", "HEAD") + "-dirty"


def test_a_worktrees_git_directory_is_outside(checkout: Path) -> None:
    assert Checkout(checkout).external_git_directory() is None
    (checkout / ".git").write_text("gitdir: /elsewhere/.git/worktrees/w\n")
    assert Checkout(checkout).external_git_directory() == "/elsewhere/.git/worktrees/w"
    (checkout / ".git").unlink()
    (checkout / ".git").mkdir()
    assert Checkout(checkout).external_git_directory() is None
