"""kind and kubectl of the right versions, or a plain word about it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import urllib.request
from pathlib import Path

import pytest
from support.programs import Programs

from boulder_k8s.host import tools
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import Settings


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KIND", "KUBECTL"):
        monkeypatch.delenv(name, raising=False)


def is_kind(programs: Programs, version: str) -> Path:
    return programs.answer("kind", "version", f"echo 'kind v{version} go1.26.0 linux/amd64'")


def is_kubectl(programs: Programs, version: str) -> Path:
    return programs.answer("kubectl", "version --client", f"echo 'Client Version: v{version}'")


@pytest.mark.parametrize("version", ["1.36.9", "1.37.0", "1.38.1"])
def test_a_kubectl_within_one_version_of_the_cluster_is_used(programs, settings, monkeypatch, version: str) -> None:
    monkeypatch.setenv("KUBECTL", str(is_kubectl(programs, version)))
    assert tools.find_kubectl(settings) == programs.directory / "kubectl"


@pytest.mark.parametrize("version", ["1.35.0", "1.39.0", "2.37.0", "nonsense"])
def test_any_other_kubectl_is_refused(programs: Programs, settings: Settings, monkeypatch, version: str) -> None:
    monkeypatch.setenv("KUBECTL", str(is_kubectl(programs, version)))
    with pytest.raises(Problem, match=r"the cluster needs 1\.36 to 1\.38") as caught:
        tools.find_kubectl(settings)
    assert "KUBECTL" in caught.value.fix


def test_without_a_named_kubectl_the_environments_own_is_used_before_paths(
    programs: Programs, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_kubectl(programs, "1.37.0")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert tools.find_kubectl(settings) == programs.directory / "kubectl"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/kubectl").symlink_to(programs.directory / "kubectl")
    assert tools.find_kubectl(settings) == tmp_path / "bin/kubectl"


@pytest.mark.parametrize("variable", ["KIND", "KUBECTL"])
def test_a_name_that_is_no_program_is_said(programs: Programs, settings, monkeypatch, variable: str) -> None:
    is_kind(programs, tools.KIND)
    monkeypatch.setenv(variable, "/no/such/program")
    with pytest.raises(Problem, match="/no/such/program is not an executable"):
        tools.find(settings)


def test_a_named_kind_must_be_the_pinned_one(programs: Programs, settings: Settings, monkeypatch) -> None:
    monkeypatch.setenv("KIND", str(is_kind(programs, "0.20.0")))
    with pytest.raises(Problem, match=r"is kind 0\.20\.0; this project is made for") as caught:
        tools.find_kind(settings)
    assert "KIND" in caught.value.fix
    is_kind(programs, tools.KIND)
    assert tools.find_kind(settings) == programs.directory / "kind"


def test_another_kind_on_path_is_passed_over_for_ours(programs: Programs, settings: Settings) -> None:
    is_kind(programs, "0.20.0")
    ours = settings.root / ".state/bin" / f"kind-{tools.KIND}"
    ours.parent.mkdir(parents=True)
    ours.touch()
    assert tools.find_kind(settings) == ours
    is_kind(programs, tools.KIND)
    assert tools.find_kind(settings) == programs.directory / "kind"


def test_a_version_is_asked_for_once_and_again_when_the_program_changes(
    programs: Programs, settings, monkeypatch
) -> None:
    monkeypatch.setenv("KUBECTL", str(is_kubectl(programs, "1.37.0")))
    tools.find_kubectl(settings)
    tools.find_kubectl(settings)
    assert programs.called("kubectl", "version") == 1
    is_kubectl(programs, "1.20.0")
    with pytest.raises(Problem):
        tools.find_kubectl(settings)


def test_a_program_that_failed_once_is_asked_again(programs: Programs, settings: Settings, monkeypatch) -> None:
    """A version that could not be had (memory, a signal) is not remembered as wrong until the program changes."""
    path = programs.answer("kubectl", "version", "[ -e $cd/well ] || exit 137; echo Client Version: v1.37.0")
    monkeypatch.setenv("KUBECTL", str(path))
    with pytest.raises(Problem):
        tools.find_kubectl(settings)
    (programs.directory / "well").touch()
    assert tools.find_kubectl(settings) == path


class Release:
    """The release page: a binary, and as its published checksum whatever fits that binary."""

    def __init__(self, binary: bytes) -> None:
        self.binary = binary

    def __call__(self, url: str, timeout: float) -> io.BytesIO:
        assert f"/v{tools.KIND}/kind-" in url
        assert timeout <= 30  # for each answer: a network that swallows packets must not hold us for minutes
        checksum = hashlib.sha256(self.binary).hexdigest()
        return io.BytesIO(f"{checksum}  kind\n".encode() if url.endswith(".sha256sum") else self.binary)


@pytest.mark.parametrize(
    ("system", "machine", "release"),
    [
        ("Linux", "x86_64", "linux-amd64"),
        ("Linux", "aarch64", "linux-arm64"),
        ("Darwin", "x86_64", "darwin-amd64"),
        ("Darwin", "arm64", "darwin-arm64"),
    ],
)
def test_kind_is_fetched_if_it_has_the_checksum_in_this_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, machine: str, release: str
) -> None:
    monkeypatch.setattr(tools.platform, "system", lambda: system)
    monkeypatch.setattr(tools.platform, "machine", lambda: machine)
    monkeypatch.setattr(urllib.request, "urlopen", Release(b"kind"))
    assert len(tools.KIND_SUMS[release]) == 64
    monkeypatch.setitem(tools.KIND_SUMS, release, hashlib.sha256(b"kind").hexdigest())
    path = tools.fetch_kind(tmp_path / "kind")
    assert path.read_bytes() == b"kind"
    assert os.access(path, os.X_OK)


def test_a_download_that_only_its_own_server_vouches_for_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", Release(b"something else"))
    with pytest.raises(Problem, match="does not have the checksum that this project knows") as caught:
        tools.fetch_kind(tmp_path / "kind")
    assert hashlib.sha256(b"something else").hexdigest() in caught.value.detail
    assert not list(tmp_path.iterdir())


def offline(url: str, timeout: float) -> None:
    raise urllib.error.URLError("no route to host")


def test_without_the_release_go_builds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Programs) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", offline)
    downloaded(programs, tools.KIND_SOURCES)
    programs.answer("go", f"install sigs.k8s.io/kind@v{tools.KIND}", 'echo built > "$GOBIN/kind"')
    assert tools.fetch_kind(tmp_path / "kind-pinned").read_text() == "built\n"


def downloaded(programs: Programs, checksum: str) -> None:
    """Lets `go mod download` answer."""
    (programs.directory / "module").write_text(json.dumps({"Path": "sigs.k8s.io/kind", "Sum": checksum}))
    programs.answer("go", f"mod download -json sigs.k8s.io/kind@v{tools.KIND}", "cat $cd/module")


def test_sources_with_another_checksum_are_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Programs
) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", offline)
    downloaded(programs, "h1:AAAA")
    with pytest.raises(Problem, match="source code of kind .* does not have the checksum"):
        tools.fetch_kind(tmp_path / "kind")
    assert not programs.called("go", "install")


def test_a_machine_that_kind_has_no_release_for_builds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Programs
) -> None:
    monkeypatch.setattr(tools.platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(urllib.request, "urlopen", Release(b"kind"))
    downloaded(programs, tools.KIND_SOURCES)
    programs.answer("go", "install", 'echo built > "$GOBIN/kind"')
    assert tools.fetch_kind(tmp_path / "kind-pinned").read_text() == "built\n"


def test_without_both_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Programs
) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", offline)
    programs.answer("go", "mod download", "echo proxy.golang.org: no such host >&2; exit 1")
    with pytest.raises(Problem, match="is not here and cannot be fetched") as caught:
        tools.fetch_kind(tmp_path / "kind")
    assert "no route to host" in caught.value.detail
    assert "proxy.golang.org" in caught.value.detail
    assert not list(tmp_path.glob("kind*"))


def test_a_version_that_was_not_written_whole_is_asked_for_again(programs: Programs, settings, monkeypatch) -> None:
    """An empty memory: a full disk's, another wrapper's that is just writing, or an older boulder-k8s's."""
    monkeypatch.setenv("KUBECTL", str(is_kubectl(programs, "1.37.0")))
    tools.find_kubectl(settings)
    settings.file("versions").write_text("")
    assert tools.find_kubectl(settings) == programs.directory / "kubectl"
