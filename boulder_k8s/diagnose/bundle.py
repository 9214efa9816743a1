"""The archive of a run, for another person to look at: what goes into it. sieve.py says what of that is shown."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from ..cluster import snapshot
from ..cluster.kind import Cluster
from ..host import process, state, tools
from ..host.decoration import decoration, described
from ..host.errors import Problem
from ..host.files import whole, write_whole
from ..host.progress import note, shown, step
from ..host.settings import Settings
from ..run import record
from ..run.directory import Run, last_run
from . import broken, cause, doctor, output, private
from .sieve import STRUCTURED, Sieve

NAME = "bundle.tar.gz"
SUMMARY = "summary.txt"
MOST = 2 << 20  # bytes kept of a file: the last ones
# Files of a run directory. Not stdin (what the user typed), and not the files through which wrapper and pod talk.
KEPT = ("run.json", "command.json", "exitcode", "stdout", "stderr", "bsetup", "var-log", "cluster")


def tail(path: Path, most: int = MOST) -> bytes:
    """Returns the last `most` bytes of a file. If it is larger, a line before them says how many bytes are missing.
    Raises OSError.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(max(0, size - most))
        data = file.read(most)
    if size <= most:
        return data
    data = broken.resumed(data)  # half a line may be half a secret, which nobody would know
    return b"(%d bytes before this were left out)\n" % (size - len(data)) + data


def readable(path: Path) -> bytes:
    """Returns all of a file that is understood as a whole, else its end, or why it cannot be read."""
    try:
        return path.read_bytes() if path.name in STRUCTURED else tail(path)
    except OSError as error:
        return f"could not be read: {error.strerror}\n".encode()


def of_run(run: Path) -> Iterator[tuple[str, bytes]]:
    """Yields the files of a run directory that go into the archive: name there, content."""
    for name in KEPT:
        top = run / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            relative = path.relative_to(run)
            if path.is_file() and not path.is_symlink() and allowed(relative.parts):
                yield f"run/{relative}", readable(path)


def allowed(parts: tuple[str, ...]) -> bool:
    """Returns whether a file may be in the archive. bsetup/ is a run directory in a run directory, so the same names
    count there.
    """
    return parts[0] != "bsetup" or parts[1] in KEPT


def manifests(settings: Settings) -> Iterator[tuple[str, bytes]]:
    """Yields rendered.yaml, the objects that were applied last, without Secrets."""
    if kept := [item for item in private.applied(settings) if item.get("kind") != "Secret"]:
        yield "rendered.yaml", yaml.safe_dump_all(kept, sort_keys=False).encode()


def write_archive(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Writes a .tar.gz at `path`, whole or not at all, for its user's eyes alone. files: name and content, in this order, as
    a sieve lets them through. Raises OSError.
    """
    with whole(path) as file:
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as archive:
            for name, data in files:
                entry = tarfile.TarInfo(f"boulder-k8s/{name}")
                entry.size, entry.mtime = len(data), int(time.time())
                archive.addfile(entry, io.BytesIO(data))


def pack(settings: Settings, run: Run) -> None:
    """Writes RUN/bundle.tar.gz, and its summary beside it; prints where it is. Raises OSError."""
    sieve = Sieve.of(settings, run.record or record.read(run.path))
    write_archive(run.path / NAME, with_summary(run.path, sieve.sifted(contents(settings, run.path))))
    note(f"{shown(run.path / NAME)} has everything about it; begin with its summary.txt")


def with_summary(run: Path, files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Yields the files of an archive, and writes its summary into the run directory too. Raises OSError."""
    for name, data in files:
        if name == SUMMARY:
            write_whole(run / SUMMARY, data)
        yield name, data


def contents(settings: Settings, run: Path | None, cluster: Path | None = None) -> Iterator[tuple[str, bytes]]:
    """Yields the archive's files, name and content, the summary first. A file that cannot be read is there with the
    reason.

    run: the run directory. cluster: a directory that `snapshot.take` made, in place of the one in the run directory.
    """
    yield SUMMARY, summary(settings, run, cluster).encode(errors="backslashreplace")
    if run:
        yield from of_run(run)
    if cluster:
        yield from ((f"cluster/{path.name}", readable(path)) for path in sorted(cluster.iterdir()))
    yield from manifests(settings)
    for name in ("kind.yaml", "cluster.json", "images.json"):
        if (path := settings.state / name).exists():
            yield f"state/{name}", readable(path)
    yield from node(settings)


def summary(settings: Settings, run: Path | None, cluster: Path | None = None) -> str:
    """Returns the text that comes first in the archive: what probably happened, and what the archive holds. Never
    fails: what cannot be read or understood is not in it, and it says so.
    """
    try:
        text = cause.summary(gather_facts(settings, run, cluster))
    except Exception as error:  # a file that ends anywhere holds anything
        text = f"What happened could not be worked out: {described(error)}.\n"
    return text + (
        "\nIn this archive: run/ (run.json, the tests' output), cluster/ or run/cluster/ (every service's log,\n"
        "events.txt, describe.txt), node/ (kubelet, containerd), rendered.yaml (what was applied, without Secrets).\n"
        "Of values it has those that everybody knows: this project's, and those committed in the checkout. Secrets, stdin,\n"
        "other values of variables, configuration that was changed, and what looks like a key or a password are (left out).\n"
    )


def gather_facts(settings: Settings, run: Path | None, cluster: Path | None = None) -> cause.Facts:
    """Returns what the run directory, the cluster's objects and the disks tell. Raises OSError."""
    found = cause.Facts()
    if run:
        found.record = record.read(run)
        found.code = Run(run).exit_code()
        found.said = output.read(run)
    directory = cluster or (run / "cluster" if run else None)
    if directory:
        found.objects = objects(directory / "objects.json")
    for path in (settings.runs, Path("/var/lib/docker")):
        if path.exists():
            found.free[str(path)] = shutil.disk_usage(path).free
    return found


def objects(path: Path) -> list[dict]:
    """Returns the cluster's objects as snapshot.take wrote them; none if the file is missing or ends early."""
    return [item for item in state.read_list(path) if isinstance(item, dict) and isinstance(item.get("metadata"), dict)]


def node(settings: Settings) -> Iterator[tuple[str, bytes]]:
    """Yields the end of the node's kubelet and containerd journal, and its disks; nothing if the cluster does not run.

    That is far less than `kind export logs`, which copies the log of every container.
    """
    try:
        if not Cluster(settings, tools.find(settings)).is_running():
            return
    except Problem:  # the cluster is not ours, or no engine answers
        return
    commands = {
        "journal.txt": ["journalctl", "--no-pager", "--lines=1500", "--unit=kubelet", "--unit=containerd"],
        "disk.txt": ["df", "-h"],
    }
    for name, command in commands.items():
        try:
            yield f"node/{name}", process.run(["docker", "exec", settings.node, *command], timeout=20).encode()
        except (process.Failed, subprocess.TimeoutExpired, OSError) as error:
            yield f"node/{name}", f"could not be read: {error}\n".encode()


def pack_in_background(run: Path, settings: Settings) -> None:
    """Adds what the cluster knows to the run directory, then writes the archive. `packed` starts it as a process after
    failed tests.
    """
    os.nice(10)
    with decoration("without the cluster"):  # the engine or the run directory may be gone by now
        cluster = Cluster(settings, tools.find(settings))
        if cluster.is_running():
            snapshot.take(cluster.api, cluster.kubectl, run / "cluster")
    with decoration(f"{NAME} was not written"):
        pack(settings, Run(run))


def bundle(settings: Settings, output: Path | None = None) -> None:
    """`invoke bundle`: writes an archive about the newest run of this cluster, the cluster, and the machine.

    output: the archive's path; .runs/bundle.tar.gz if it is None. Prints the summary. Raises Problem if the archive
    cannot be written.
    """
    last = last_run(settings, started=True)
    run = Path(last["directory"]).resolve() if last else None
    path = (output or settings.runs / NAME).absolute()
    with tempfile.TemporaryDirectory() as directory, step("looking at the cluster and the machine"):
        found, versions = Path(directory) / "cluster", {}
        try:
            cluster = Cluster(settings, tools.find(settings))
            versions = tools.versions(settings, cluster.tools)
            if cluster.is_running():
                snapshot.take(cluster.api, cluster.kubectl, found)
            else:
                note("without the cluster: it does not run")
        except Problem as problem:
            note(f"without the cluster: {problem.message}")
        if not run and not found.exists():
            raise Problem(
                f"There is nothing to pack: no run, and no cluster {settings.cluster} that runs.",
                "Run what fails first, such as `invoke up`; `invoke doctor` looks at the machine.",
            )
        sieve = Sieve.of(settings, record.read(run) if run else {})
        text = sieve.text(summary(settings, run, found if found.exists() else None))
        lines = doctor.lines(settings)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_archive(
                path,
                sieve.sifted(
                    (
                        *contents(settings, run, found if found.exists() else None),
                        ("doctor.txt", "".join(f"{line}\n" for line in lines).encode()),
                        ("versions.json", json.dumps(versions, indent=2).encode()),
                    )
                ),
            )
        except OSError as error:
            raise Problem(
                f"{path} cannot be written: {error.strerror}.", "Name another place: --output FILE."
            ) from error
    print(text, end="")
    note(f"the bundle is {shown(path)}")


def main(words: list[str]) -> int:
    """What a run that failed leaves behind (failure.py). words: the run's directory, and the cluster's name."""
    pack_in_background(Path(words[0]), Settings.from_environment({**os.environ, "KIND_CLUSTER": words[1]}))
    return 0
