"""A tar file whose last member says how large every other one is and what its SHA-256 is. Nothing is held in memory.

The same members make the same file, byte for byte.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from .errors import Problem
from .process import Said, pour, silent

MANIFEST = "manifest.json"
FORMAT = 1


@dataclass
class Writer:
    """Writes members one after the other; `file` must be one that can be sought in."""

    file: BinaryIO
    files: dict[str, dict] = field(default_factory=dict)

    def add(self, name: str, source: BinaryIO, said: Said = silent) -> None:
        """Adds everything that `source` has to give, however much it turns out to be."""
        start = self.file.tell()
        self.file.write(header(name, 0))
        size, sha256 = pour(source, self.file.write, said)
        self.file.write(bytes(-size % tarfile.BLOCKSIZE))
        end = self.file.tell()
        self.file.seek(start)
        self.file.write(header(name, size))
        self.file.seek(end)
        self.files[name] = {"size": size, "sha256": sha256}

    def finish(self, facts: dict) -> None:
        """Adds the manifest, which is `facts` and every member's checksum, and ends the archive."""
        text = json.dumps({"format": FORMAT, **facts, "files": self.files}, indent=2) + "\n"
        self.add(MANIFEST, io.BytesIO(text.encode()))
        self.file.write(bytes(2 * tarfile.BLOCKSIZE))


def header(name: str, size: int) -> bytes:
    """A member's header; its length depends on the name alone."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Writes an archive that is at `path` once it is whole. Raises Problem where no file can be made."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        file = open(partial, "xb")
    except OSError as error:
        raise Problem(f"{path} cannot be written: {error.strerror}.", "Name a file in a directory of yours.") from error
    try:
        with file:
            yield Writer(file)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@dataclass
class Reader:
    """An archive that is whole as far as its members' names and its manifest say."""

    path: Path
    tar: tarfile.TarFile
    manifest: dict

    def member(self, name: str) -> BinaryIO:
        return self.tar.extractfile(name)

    def names(self) -> list[str]:
        return list(self.manifest["files"])

    def verify(self, said: Said = silent) -> None:
        """Reads every member. Raises Problem naming the first that is not as it was written."""
        for name, wanted in self.manifest["files"].items():
            try:
                size, sha256 = pour(self.member(name), lambda _: None, said)
            except KeyError:
                raise broken(self.path, f"it has no {name}") from None
            except tarfile.TarError:
                raise broken(self.path, f"{name} ends early") from None
            if {"size": size, "sha256": sha256} != wanted:
                raise broken(self.path, f"{name} does not have its checksum")


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Opens an archive. Raises Problem when it is none, or is cut short."""
    try:
        file = open(path, "rb")
    except OSError as error:
        raise Problem(
            f"{path} cannot be read: {error.strerror}.", "Name the file that `invoke images save` wrote."
        ) from error
    with file:
        try:
            tar = tarfile.open(fileobj=file, mode="r:")
            manifest = json.load(tar.extractfile(MANIFEST)) if MANIFEST in tar.getnames() else {}
        except (tarfile.TarError, ValueError) as error:
            raise broken(path, str(error)) from error
        if manifest.get("format") != FORMAT:
            raise broken(path, "another boulder-k8s wrote it" if manifest else "it has no manifest")
        with tar:
            yield Reader(path, tar, manifest)


def broken(path: Path, why: str) -> Problem:
    return Problem(
        f"{path.name} is not a whole file of `invoke images save`: {why}.", "Copy it again, or save it again."
    )
