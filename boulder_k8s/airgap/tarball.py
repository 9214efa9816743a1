"""A tar file whose last member lists the size and the SHA-256 of every other one. Nothing is held in memory.

The same members make the same file, byte for byte.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ..host.errors import Problem
from ..host.process import PIECE, Said, Sink, silent

MANIFEST = "manifest.json"
FORMAT = 1


@dataclass
class Writer:
    """Writes members one after the other. file: must allow seeking."""

    file: BinaryIO
    files: dict[str, dict] = field(default_factory=dict)

    @contextmanager
    def member(self, name: str, said: Said = silent) -> Iterator[Sink]:
        """Adds a member; yields a Sink, to which the block writes its content. said: gets the progress.
        Raises OSError.
        """
        start = self.file.tell()
        self.file.write(header(name, 0))
        sink = Sink(self.file.write, said)
        yield sink
        self.file.write(bytes(-sink.size % tarfile.BLOCKSIZE))
        end = self.file.tell()
        self.file.seek(start)
        self.file.write(header(name, sink.size))
        self.file.seek(end)
        self.files[name] = {"size": sink.size, "sha256": sink.digest.hexdigest()}

    def add(self, name: str, source: BinaryIO) -> None:
        """Adds a member with everything that is left in `source`. Raises OSError."""
        with self.member(name) as sink:
            shutil.copyfileobj(source, sink, PIECE)

    def add_tar(self, name: str, source: BinaryIO, said: Said = silent) -> None:
        """Adds the tar in `source` as a member, without what differs each time it is made: dates and owners.

        said: gets the progress. Raises tarfile.TarError if it is not a whole tar, or OSError.
        """
        with (
            self.member(name, said) as sink,
            tarfile.open(fileobj=source, mode="r|", bufsize=PIECE) as old,
            tarfile.open(fileobj=sink, mode="w|", bufsize=PIECE, format=tarfile.GNU_FORMAT) as new,
        ):
            for info in old:
                info.mtime = info.uid = info.gid = 0
                info.uname = info.gname = ""
                info.pax_headers = {}
                new.addfile(info, old.extractfile(info) if info.isreg() else None)

    def finish(self, facts: dict) -> None:
        """Adds the manifest, which is `facts` and every member's checksum, and ends the archive. Raises OSError."""
        text = json.dumps({"format": FORMAT, **facts, "files": self.files}, indent=2) + "\n"
        self.add(MANIFEST, io.BytesIO(text.encode()))
        self.file.write(bytes(2 * tarfile.BLOCKSIZE))


def header(name: str, size: int) -> bytes:
    """Returns a member's header. Its length depends only on the name."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Yields the writer of an archive, which appears at `path` after the block, whole.

    Raises Problem if the file cannot be made, or OSError later.
    """
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
    """An open archive with a valid manifest. Only `verify` reads the members' content."""

    path: Path
    tar: tarfile.TarFile
    manifest: dict

    def member(self, name: str) -> BinaryIO:
        """Returns the content of a member. Raises KeyError if there is no such member."""
        return self.tar.extractfile(name)

    def names(self) -> list[str]:
        """Returns the names of the members, without the manifest."""
        return list(self.manifest["files"])

    def verify(self, said: Said = silent) -> None:
        """Reads every member. Raises Problem naming the first that is missing or changed. said: gets the progress."""
        for name, wanted in self.manifest["files"].items():
            sink = Sink(lambda _: None, said)
            try:
                shutil.copyfileobj(self.member(name), sink, PIECE)
            except KeyError:
                raise broken(self.path, f"it has no {name}") from None
            except tarfile.TarError:
                raise broken(self.path, f"{name} ends early") from None
            if {"size": sink.size, "sha256": sink.digest.hexdigest()} != wanted:
                raise broken(self.path, f"{name} does not have its checksum")


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Opens an archive and yields its reader. Raises Problem if the file cannot be read, is no archive of ours, or is
    cut short.
    """
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
    """Returns the Problem for an archive that is not whole. why: the reason, as a part of a sentence."""
    return Problem(
        f"{path.name} is not a whole file of `invoke images save`: {why}.", "Copy it again, or save it again."
    )
