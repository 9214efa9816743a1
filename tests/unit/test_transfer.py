"""One file carries an `up` from a machine to another: both are directories here, their engine is a script."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
from support.programs import Programs

from boulder_k8s.airgap import tarball, transfer
from boulder_k8s.cluster import images
from boulder_k8s.host import docker, tools
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import Settings
from boulder_k8s.manifests.checkout import Checkout
from boulder_k8s.manifests.compose import Service

NODE = "node:test@sha256:abc"
INSPECT = """for i in "${@:5}"; do
    cat "$cd/have/$i.$([ "$4" = "{{.Id}}" ] && echo id || echo json)" 2>/dev/null || { echo "Error: No such image: $i" >&2; exit 1; }
done"""

# A tar of today, with what was to be saved in it.
SAVE = """at=$(mktemp -d); head -c 3000000 /dev/zero > $at/layer; echo "${@:3}" > $at/names; tar -C $at -c layer names; rm -r $at"""


@pytest.fixture
def machine(programs: Programs, settings: Settings, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Docker, kind, pip and a checkout under git; the engine has the node image by its digest alone, as a pull leaves it."""
    (programs.directory / "have").mkdir()
    have(programs, NODE, "sha256:n", layers=("n",))
    have(programs, "sha256:n", "sha256:n", layers=("n",))
    have(programs, "redis:7", "sha256:r")
    programs.answer("docker", "image inspect", INSPECT)
    programs.answer("docker", "image inspect --format {{.Os}}", 'for i in "${@:5}"; do echo linux/amd64/; done')
    programs.answer("docker", "image tag", 'for e in id json; do cp "$cd/have/$3.$e" "$cd/have/$4.$e"; done')
    programs.answer("docker", "info", """echo '{"ServerVersion": "28.0.0"}'""")
    programs.answer("docker", "version", "echo 28.0.0")
    programs.answer("docker", "image save", SAVE)
    programs.answer(
        "docker", "image load", "cat > $cd/given; echo Loaded image: redis:7; echo Loaded image ID: sha256:n"
    )
    programs.answer("kind", "version", f"echo 'kind v{tools.KIND} go1.26.0 linux/amd64'")
    programs.answer("kubectl", "version", "echo 'Client Version: v1.37.0'")
    monkeypatch.setenv("KUBECTL", str(programs.directory / "kubectl"))
    monkeypatch.setenv("BOULDER_DIR", str(checkout))
    programs.answer("python", "pip download", 'touch "${9#--dest=}/p-1-${11#--python-version=}.whl"')
    monkeypatch.setattr(sys, "executable", str(programs.directory / "python"))
    monkeypatch.setattr(
        transfer.compose, "services", lambda _: {"bredis_1": Service("bredis_1", "redis:7", {}, False, {})}
    )
    monkeypatch.setattr(transfer.compose, "remembered", lambda *_: {})
    monkeypatch.setattr(images.workloads, "init_image", lambda: "redis:7")
    git(checkout, "init", "--quiet")
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message=One")
    git(checkout, "commit", "--quiet", "--message=Two", "--allow-empty")
    return programs


def git(path: Path, *arguments: str) -> str:
    command = ["git", "-C", str(path), "-c", "user.name=unit", "-c", "user.email=unit@example.invalid", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def have(machine: Programs, name: str, image: str, layers: tuple[str, ...] = ("l",)) -> None:
    facts = {"Id": image, "RootFS": {"Layers": list(layers)}, "RepoDigests": [name] if "@" in name else []}
    (machine.directory / "have" / f"{name}.id").write_text(f"{image}\n")
    (machine.directory / "have" / f"{name}.json").write_text(json.dumps(facts))


def in_tar(file: BinaryIO) -> str:
    with tarfile.open(fileobj=file) as tar:
        return tar.extractfile("names").read().decode()


def lose(machine: Programs, name: str) -> None:
    for end in ("id", "json"):
        (machine.directory / "have" / f"{name}.{end}").unlink()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, node_image=NODE)


@pytest.fixture
def file(machine: Programs, settings: Settings, tmp_path: Path) -> Path:
    transfer.save(settings, tmp_path / "file", {**os.environ, "BOULDER_TOOLS_TAG": "mine"})
    return tmp_path / "file"


@pytest.fixture
def other(settings: Settings, machine: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A second copy of the project, on a machine where nothing names a checkout and the node image's digest is not known."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    return replace(settings, root=tmp_path / "other")


def test_a_file_has_everything_and_says_what(file: Path, checkout: Path, machine: Programs) -> None:
    with tarball.reading(file) as saved:
        saved.verify()
        names = ["kind", *(f"wheels/p-1-{python}.whl" for python in transfer.PYTHONS), "boulder.pack", "images.tar"]
        assert saved.names() == names
        assert in_tar(saved.member("images.tar")) == f"{NODE} redis:7\n"
        facts = saved.manifest
    assert facts["boulder"] == git(checkout, "rev-parse", "HEAD")
    assert facts["environment"] == {"BOULDER_TOOLS_TAG": "mine"}
    assert facts["versions"]["kind"] == tools.KIND
    assert facts["images"] == [
        {"reference": NODE, "id": "sha256:n", "digests": [NODE], "layers": ["n"]},
        {"reference": "redis:7", "id": "sha256:r", "digests": [], "layers": ["l"]},
    ]


def test_images_of_another_platform_are_a_member_of_their_own(machine, settings, other, tmp_path: Path) -> None:
    platforms = 'for i in "${@:5}"; do [ $i = redis:7 ] && echo linux/amd64/ || echo linux/arm64/v8; done'
    machine.answer("docker", "image inspect --format {{.Os}}", platforms)
    transfer.save(settings, tmp_path / "file")
    with tarball.reading(tmp_path / "file") as saved:
        assert in_tar(saved.member("images.tar")) == f"{NODE}\n"
        assert in_tar(saved.member("images-1.tar")) == "redis:7\n"
    transfer.load(other, tmp_path / "file", {})
    assert machine.called("docker", "image load") == 2


def test_the_same_things_make_the_same_file(file: Path, settings: Settings) -> None:
    transfer.save(settings, file.with_name("again"), {**os.environ, "BOULDER_TOOLS_TAG": "mine"})
    assert file.read_bytes() == file.with_name("again").read_bytes()


def test_the_other_machine_has_it_all_afterwards(
    file: Path, other: Settings, checkout: Path, machine: Programs
) -> None:
    lose(machine, NODE)
    transfer.load(other, file, {})
    with open(machine.directory / "given", "rb") as given:
        assert in_tar(given) == f"{NODE} redis:7\n"
    assert docker.image_ids(["node:test"]) == {"node:test": "sha256:n"}  # tagged: the file knows no tag of it
    assert images.brought(other) == {NODE: "sha256:n", "redis:7": "sha256:r"}
    kind = other.root / f".state/bin/kind-{tools.KIND}"
    assert kind.read_bytes() == (machine.directory / "kind").read_bytes()
    assert os.access(kind, os.X_OK)
    there = Checkout(other.root / ".boulder")
    assert there.missing() == []
    assert there.revision() == git(checkout, "rev-parse", "HEAD")
    assert git(there.path, "log", "--format=%s") == "Two"  # one commit, whole


def test_a_checkout_that_is_there_stays(file: Path, other: Settings, checkout: Path, capsys) -> None:
    transfer.load(other, file, {"BOULDER_DIR": str(checkout)})
    assert not (other.root / ".boulder").exists()
    assert f"Boulder stays {checkout} at" in capsys.readouterr().err


def test_load_says_which_tags_up_needs(file: Path, other: Settings, capsys) -> None:
    transfer.load(other, file, {})
    assert capsys.readouterr().err.splitlines()[-1].endswith("BOULDER_TOOLS_TAG=mine .venv/bin/invoke up --offline")


def test_what_is_not_committed_is_said_and_left_out(machine, settings, checkout: Path, tmp_path: Path, capsys) -> None:
    (checkout / "test.sh").write_text("changed\n")
    transfer.save(settings, tmp_path / "file")
    assert f"not committed in {checkout} is not in the file" in capsys.readouterr().err
    (checkout / ".git").rename(checkout / "git")
    transfer.save(settings, tmp_path / "file")
    assert "not under git and not in the file: copy it yourself" in capsys.readouterr().err
    with tarball.reading(tmp_path / "file") as saved:
        assert saved.manifest["boulder"] is None


def changed(file: Path, **facts: object) -> Path:
    """The same file with other words in its manifest."""
    with tarball.reading(file) as saved, tarball.writing(file.with_name("changed")) as writer:
        for name in saved.names():
            writer.add(name, saved.member(name))
        writer.finish({**{key: value for key, value in saved.manifest.items() if key != "files"}, **facts})
    return file.with_name("changed")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"platform": "plan9/mips"}, "is for plan9/mips; this machine is"),
        ({"versions": {"kind": "0.1.0"}}, r"has kind 0\.1\.0; this boulder-k8s is made for"),
        ({"format": 2}, "another boulder-k8s wrote it"),
    ],
)
def test_a_file_that_does_not_fit_changes_nothing(file, other, machine, facts: dict, message: str) -> None:
    with pytest.raises(Problem, match=message):
        transfer.load(other, changed(file, **facts), {})
    untouched(other, machine)


def untouched(other: Settings, machine: Programs) -> None:
    assert machine.called("docker", "image load") == 0
    assert list(other.root.iterdir()) == []


def test_a_damaged_file_changes_nothing(file: Path, other: Settings, machine: Programs) -> None:
    data = file.read_bytes()
    file.write_bytes(data.replace(f"{NODE} redis".encode(), f"{NODE} radis".encode()))
    with pytest.raises(Problem, match=r"images\.tar does not have its checksum"):
        transfer.load(other, file, {})
    untouched(other, machine)


def test_an_image_that_is_not_the_saved_one_is_refused(file: Path, other: Settings, machine: Programs) -> None:
    have(machine, "redis:7", "sha256:x", layers=("other",))
    with pytest.raises(Problem, match="The engine loaded the images, but redis:7 is not the one that was saved"):
        transfer.load(other, file, {})
    assert images.brought(other) == {}


def test_another_image_store_has_other_ids_and_the_same_layers(file: Path, other: Settings, machine: Programs) -> None:
    lose(machine, NODE)
    lose(machine, "sha256:n")
    have(machine, "redis:7", "sha256:manifest")
    have(machine, "sha256:m", "sha256:m", layers=("n",))
    machine.answer("docker", "image load", "cat > /dev/null; echo Loaded image ID: sha256:m")
    transfer.load(other, file, {})
    assert images.brought(other) == {NODE: "sha256:m", "redis:7": "sha256:manifest"}
    assert docker.image_ids(["node:test"]) == {"node:test": "sha256:m"}


def test_an_engine_that_refuses_the_images_is_quoted(file: Path, other: Settings, machine: Programs, capsys) -> None:
    machine.answer("docker", "image load", "head -c 1000 > /dev/null; echo no space left >&2; exit 1")
    with pytest.raises(transfer.process.Failed, match="no space left"):
        transfer.load(other, file, {})


def test_images_that_cannot_be_saved_leave_no_file(machine: Programs, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    machine.answer("docker", "image save", f"({SAVE}) | head -c 2000000; echo unexpected EOF >&2; exit 1")
    with pytest.raises(transfer.process.Failed, match="unexpected EOF"):
        transfer.save(settings, tmp_path / "here/file")
    assert list((tmp_path / "here").iterdir()) == []


def test_packages_that_cannot_be_had_are_a_problem(machine: Programs, settings: Settings, tmp_path: Path) -> None:
    machine.answer("python", "--python-version=3.12", "echo no matching distribution >&2; exit 1")
    with pytest.raises(Problem, match=r"The Python packages for Python 3\.12 cannot be downloaded"):
        transfer.save(settings, tmp_path / "file")
    with pytest.raises(Problem, match="Offline nothing is saved"):
        transfer.save(replace(settings, offline=True), tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_a_pack_that_git_refuses_leaves_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(transfer.process.Failed):
        transfer.checkout.unpack(tmp_path / ".boulder", "1" * 40, io.BytesIO(b"nonsense"))
    assert not (tmp_path / ".boulder").exists()
