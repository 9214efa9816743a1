"""A checkout's files on their way into ConfigMaps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from boulder_k8s.host.errors import Problem
from boulder_k8s.host.files import below
from boulder_k8s.manifests.checkout import Checkout
from boulder_k8s.manifests.staging import MAXIMUM, SECRETS, configuration, mode, needs_generate, stage


def test_keys_are_unique_and_such_as_kubernetes_takes(tmp_path: Path) -> None:
    names = ["a/b/c.json", "a__b__c.json", "a__b/c.json", "a b", "a_b", "a+b", "ü", ".hidden", "x.1", "-dash"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    found = configuration(below(tmp_path))
    keys = [key for key, _, _ in found]
    assert len(set(keys)) == len(names)
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key) for key in keys)
    assert sorted(relative for _, _, relative in found) == sorted(names)
    assert all(path.read_text() == relative for _, path, relative in found)


def test_an_executable_file_stays_one(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.touch()
    script.chmod(0o755)
    assert mode(script) == 0o755
    script.chmod(0o640)
    assert mode(script) == 0o640


def test_files_are_staged_byte_for_byte_up_to_the_limit_of_a_config_map(tmp_path: Path) -> None:
    source = {"a": tmp_path / "one", "b": tmp_path / "two"}
    source["a"].write_bytes(bytes(range(256)) * 4095)
    source["b"].write_bytes(b"\r\n\x00\xff" * 64)
    assert sum(path.stat().st_size for path in source.values()) == MAXIMUM
    assert stage(tmp_path, "config", source) == ["a=config/a", "b=config/b"]
    for key, path in source.items():
        assert (tmp_path / "config" / key).read_bytes() == path.read_bytes()


def test_one_byte_more_is_refused_by_the_largest_files_name(tmp_path: Path) -> None:
    source = {"a": tmp_path / "small", "b": tmp_path / "large"}
    source["a"].write_bytes(b"x")
    source["b"].write_bytes(b" " * MAXIMUM)
    with pytest.raises(Problem, match="1,048,577 bytes") as caught:
        stage(tmp_path, "config", source)
    assert str(source["b"]) in caught.value.fix


def test_what_an_interrupted_generate_sh_left_to_root_is_named(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refused)
    with pytest.raises(Problem, match="cannot be read by you") as caught:
        needs_generate(Checkout(checkout))
    assert "sudo rm -r test/certs/ipki" in caught.value.fix


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"no proxysql\.cnf where the manifests expect it"):
        stage(tmp_path, "config", {"k": tmp_path / "proxysql.cnf"})


def test_certificates_are_made_when_any_that_is_mounted_is_missing(checkout: Path) -> None:
    assert not needs_generate(Checkout(checkout))
    for path in {path for files in SECRETS.values() for path in files.values()}:
        content = (checkout / path).read_bytes()
        (checkout / path).unlink()
        assert needs_generate(Checkout(checkout)), path
        (checkout / path).write_bytes(content)
