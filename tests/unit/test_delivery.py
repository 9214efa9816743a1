"""The checkout's way into a row: as git sees it, packed once, and unpacked by deliver.sh."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import pytest

from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import ROOT
from boulder_k8s.manifests.checkout import Checkout
from boulder_k8s.matrix import delivery
from boulder_k8s.matrix.delivery import Delivery

GIT = ("git", "-c", "user.name=unit", "-c", "user.email=unit@example.invalid")


def git(path: Path, *words: str) -> str:
    return subprocess.run([*GIT, "-C", path, *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(checkout: Path) -> Path:
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"], ["commit", "-qm", "2", "--allow-empty"]):
        git(checkout, *words)
    return checkout


def unpacked(found: Delivery, where: Path) -> Path:
    """What deliver.sh makes of the ConfigMaps, as a pod mounts them."""
    pieces, target = where / "delivery", where / "row"
    pieces.mkdir(parents=True)
    target.mkdir()
    maps = {item["metadata"]["name"]: item["binaryData"]["pack"] for item in found.config_maps()}
    for source in found.sources:
        (item,) = source["configMap"]["items"]
        (pieces / item["path"]).write_bytes(base64.b64decode(maps[source["configMap"]["name"]]))
    script = ROOT / "k8s/matrix/deliver.sh"
    subprocess.run([script, pieces], check=True, cwd=target, env={**os.environ, **found.variables})
    return target


def files(path: Path) -> dict[str, tuple[bytes, bool]]:
    return {
        str(item.relative_to(path)): (item.read_bytes(), os.access(item, os.X_OK))
        for item in path.rglob("*")
        if item.is_file() and ".git" not in item.relative_to(path).parts
    }


def test_a_row_has_the_files_and_the_commit(repository: Path, tmp_path: Path) -> None:
    row = unpacked(delivery.pack(Checkout(repository), tmp_path / "kept"), tmp_path)
    ignored = {name for name in files(repository) if name.startswith("test/certs/ipki/")}
    assert ignored and files(row) == {name: data for name, data in files(repository).items() if name not in ignored}
    assert git(row, "rev-parse", "HEAD") == git(repository, "rev-parse", "HEAD")
    assert git(row, "status", "--porcelain") == ""
    assert git(row, "log", "--format=%s") == "2\n"  # no history


def test_a_row_sees_what_the_user_has_changed_staged_added_and_deleted(repository: Path, tmp_path: Path) -> None:
    (repository / "start.py").write_text("changed\n")
    (repository / "t.sh").write_text("staged\n")
    git(repository, "add", "t.sh")
    (repository / "t.sh").write_text("staged, then changed\n")
    (repository / "new/file").parent.mkdir()
    (repository / "new/file").write_text("new\n")
    (repository / "link").symlink_to("start.py")
    (repository / "README.md").unlink()
    (repository / "tn.sh").chmod(0o644)
    before = git(repository, "status", "--porcelain=v2")
    row = unpacked(delivery.pack(Checkout(repository), tmp_path / "kept"), tmp_path)
    assert git(repository, "status", "--porcelain=v2") == before  # we have changed nothing there
    assert git(row, "status", "--porcelain") == git(repository, "status", "--porcelain")
    assert git(row, "diff", "--cached") == git(repository, "diff", "--cached")
    assert git(row, "diff") == git(repository, "diff")
    assert os.readlink(row / "link") == "start.py" and (row / "new/file").read_text() == "new\n"


def test_a_row_has_what_was_packed_whatever_happens_to_the_checkout_then(repository: Path, tmp_path: Path) -> None:
    found = delivery.pack(Checkout(repository), tmp_path / "kept")
    git(repository, "commit", "-qm", "later", "--allow-empty")
    (repository / "t.sh").write_text("later\n")
    row = unpacked(found, tmp_path)
    assert (row / "t.sh").read_text() != "later\n" and git(row, "log", "--format=%s") == "2\n"


def test_the_same_checkout_is_packed_into_the_same_config_maps(repository: Path, tmp_path: Path) -> None:
    one, other = (delivery.pack(Checkout(repository), tmp_path / name) for name in ("one", "other"))
    assert one.names == other.names
    (repository / "t.sh").write_text("changed\n")
    assert delivery.pack(Checkout(repository), tmp_path / "one").names != one.names


@pytest.mark.parametrize("what", ["no repository", "no commit", "a merge", "a worktree"])
def test_every_kind_of_checkout_can_be_packed(checkout: Path, tmp_path: Path, what: str) -> None:
    source = checkout
    if what != "no repository":
        git(checkout, "init", "-q", "-b", "main")
    if what in ("a merge", "a worktree"):
        git(checkout, "add", "-A")
        git(checkout, "commit", "-qm", "first")
    if what == "a merge":
        for branch, text in (("other", "theirs\n"), ("main", "ours\n")):
            git(checkout, "checkout", "-q", *["-b"] * (branch == "other"), branch)
            (checkout / "t.sh").write_text(text)
            git(checkout, "commit", "-qam", branch)
        assert subprocess.run([*GIT, "-C", checkout, "merge", "-q", "other"], capture_output=True).returncode
    if what == "a worktree":
        source = tmp_path / "worktree"
        git(checkout, "worktree", "add", "-q", str(source))
    row = unpacked(delivery.pack(Checkout(source), tmp_path / "kept"), tmp_path)
    assert (row / ".git").is_dir() == (what in ("a merge", "a worktree"))
    there = {name: data for name, data in files(source).items() if "certs/ipki" not in name and name != ".git"}
    assert files(row) == there


def test_pieces_are_as_large_as_a_config_map_takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = Delivery(os.urandom(2 * delivery.PIECE + 5), "", "", "")
    sizes = [len(base64.b64decode(item["binaryData"]["pack"])) for item in found.config_maps()]
    assert sizes == [delivery.PIECE, delivery.PIECE, 5] and delivery.PIECE < 1 << 20
    assert all(item["immutable"] for item in found.config_maps())
    assert [item["configMap"]["items"][0]["path"] for item in found.sources] == sorted(
        item["configMap"]["items"][0]["path"] for item in found.sources
    )


def test_what_is_too_large_is_refused(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "PIECE", 10)
    monkeypatch.setattr(delivery, "MOST", 3)
    with pytest.raises(Problem, match="MiB as a git pack; a cluster gets at most"):
        delivery.pack(Checkout(repository), tmp_path / "kept")


def test_what_git_cannot_read_is_said(repository: Path, tmp_path: Path) -> None:
    (repository / ".git/index").write_bytes(b"no index")
    with pytest.raises(Problem, match="git cannot pack .* for the cluster") as caught:
        delivery.pack(Checkout(repository), tmp_path / "kept")
    assert "index" in caught.value.detail


def test_the_programs_are_all_that_a_row_runs() -> None:
    found = delivery.programs()["data"]
    assert {"row.py", "results.py", "supervisor.py", "deletion.py", "writeback.py", "deliver.sh"} <= found.keys()
    assert sum(map(len, found.values())) < 1 << 20
