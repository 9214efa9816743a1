"""Which cluster a matrix is on: one that was named, or this project's own; never the current context."""

from __future__ import annotations

from pathlib import Path

import pytest

from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import Settings
from boulder_k8s.matrix import target
from boulder_k8s.matrix.target import Target, following, is_followed, recall, remember


def test_without_a_context_it_is_our_own_whatever_the_environment_says() -> None:
    assert Target.typed("", "", {"KUBECONFIG": "/x"}) == Target()
    assert Target.typed("", "", {}, "there") == Target(namespace="there")
    with pytest.raises(Problem, match="names no cluster without --context"):
        Target.typed("", "/x", {})


def test_a_context_is_looked_for_where_kubectl_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir(tmp_path)
    assert Target.typed("c", "", {}) == Target("c", "/home/me/.kube/config")
    assert Target.typed("c", "", {"KUBECONFIG": "/a::b"}) == Target("c", f"/a:{tmp_path}/b")
    assert Target.typed("c", "~/k", {"KUBECONFIG": "/a"}) == Target("c", "/home/me/k")


def test_a_claim_needs_its_namespace() -> None:
    assert Target(namespace="there").with_claim("go") == "go" and Target().with_claim("") == ""
    with pytest.raises(Problem, match="names a claim, and the namespace of this matrix is new"):
        Target().with_claim("go")


def test_a_matrix_is_found_again_where_it_was_made(settings: Settings) -> None:
    where = Target("c", "/k", "theirs")
    path = remember(settings, "m1", where)
    assert recall(settings, "m1") == where and recall(settings, "m2") is None
    (path / target.RECORD).write_text('{"context": 1}')
    assert recall(settings, "m1") is None


def test_one_client_follows_a_matrix(settings: Settings) -> None:
    path = remember(settings, "m1", Target())
    assert not is_followed(path)
    with following(path):
        assert is_followed(path)
        with pytest.raises(Problem, match="Another command follows matrix-m1 already"), following(path):
            pass
    assert not is_followed(path)


def test_old_matrices_make_room_and_nothing_else_does(settings: Settings) -> None:
    for number in range(12):
        remember(settings, f"202601{number:02}-000000-aaaa", Target())
    (settings.runs / "matrix-mine").mkdir()
    with following(target.directory_of(settings, "20260102-000000-aaaa")):
        remember(settings, "20260120-000000-aaaa", Target())
    left = sorted(path.name[7:15] for path in settings.runs.iterdir() if path.is_dir())
    assert left == ["20260102", *(f"202601{number:02}" for number in range(3, 12)), "20260120", "mine"]
