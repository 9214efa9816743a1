"""The one file: whole or refused, and the same bytes for the same content."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from boulder_k8s.airgap import tarball
from boulder_k8s.host.errors import Interrupted, Problem

LONG = f"wheels/{'x' * 120}.whl"  # longer than a tar header holds
CONTENT = {"kind": b"#!/bin/sh\n" * 100, LONG: b"", "images.tar": bytes(range(256)) * 8192}


def write(path: Path, content: dict[str, bytes] = CONTENT) -> Path:
    with tarball.writing(path) as writer:
        for name, data in content.items():
            writer.add(name, io.BytesIO(data))
        writer.finish({"platform": "here"})
    return path


def test_what_was_written_is_read_and_any_tar_reads_it_too(tmp_path: Path) -> None:
    with tarball.reading(write(tmp_path / "file")) as saved:
        saved.verify()
        assert saved.manifest["platform"] == "here"
        assert {name: saved.member(name).read() for name in saved.names()} == CONTENT
    with tarfile.open(tmp_path / "file") as tar:
        assert tar.getnames() == [*CONTENT, tarball.MANIFEST]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_same_content_is_the_same_file(tmp_path: Path) -> None:
    assert write(tmp_path / "one").read_bytes() == write(tmp_path / "two").read_bytes()


@pytest.mark.parametrize("name", ["images.tar", LONG])
def test_a_headers_length_is_known_before_the_size_is(name: str) -> None:
    assert len(tarball.header(name, 0)) == len(tarball.header(name, 2**40))


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "file").read_bytes()
    end = len(whole) - 2 * tarfile.BLOCKSIZE  # what follows are zeros that end a tar
    for length in (0, 1, 700, 5000, len(whole) // 2, end - 1500, end - 513):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(Problem, match="cut is not a whole file of `invoke images save`"):
            with tarball.reading(tmp_path / "cut") as saved:
                saved.verify()


@pytest.mark.parametrize("name", ["kind", "images.tar"])
def test_a_changed_byte_is_refused_with_the_name_of_its_member(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "file")
    with tarfile.open(path) as tar:
        place = tar.getmember(name).offset_data + 5
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(b"!")
    with tarball.reading(path) as saved, pytest.raises(Problem, match=f"{name} does not have its checksum"):
        saved.verify()


def test_what_is_no_such_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="cannot be read: No such file"), tarball.reading(tmp_path / "nothing"):
        pass
    with pytest.raises(Problem, match="cannot be read: Is a directory"), tarball.reading(tmp_path):
        pass
    with pytest.raises(Problem, match="cannot be written"), tarball.writing(tmp_path / "no/file"):
        pass
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("a"))
    with pytest.raises(Problem, match="it has no manifest"), tarball.reading(tmp_path / "other.tar"):
        pass


def test_an_interrupted_save_leaves_nothing_and_keeps_the_earlier_file(tmp_path: Path) -> None:
    before = write(tmp_path / "file").read_bytes()
    with pytest.raises(Interrupted), tarball.writing(tmp_path / "file") as writer:
        writer.add("kind", io.BytesIO(b"half"))
        raise Interrupted(2)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == before
