"""The archive of a run, for somebody else's eyes: what goes into it (scrub.py: what never does)."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import yaml

from ..cluster import snapshot
from ..cluster.kind import Cluster
from ..host import process, state, tools
from ..host.errors import Problem
from ..host.progress import note, shown, step
from ..host.settings import Settings
from ..run.directory import Run, last_run
from . import cause, doctor
from .scrub import scrub

NAME = "bundle.tar.gz"
MOST = 2 << 20  # bytes kept of a file, its end
# Of a run directory. Not stdin (what the user typed), not the files through which wrapper and pod talk.
KEPT = ("run.json", "command.json", "exitcode", "stdout", "stderr", "bsetup", "var-log", "cluster")


def tail(path: Path, most: int = MOST) -> bytes:
    """Returns a file's last bytes, after a line about those that were left out."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(max(0, size - most))
        data = file.read(most)
    return data if size <= most else b"(%d bytes before this were left out)\n" % (size - most) + data


def of_run(run: Path) -> Iterator[tuple[str, bytes]]:
    """A run directory's files, by their names in the archive."""
    for name in KEPT:
        top = run / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            relative = path.relative_to(run)
            if path.is_file() and not path.is_symlink() and allowed(relative.parts):
                yield f"run/{relative}", tail(path)


def allowed(parts: tuple[str, ...]) -> bool:
    """bsetup/ is a run directory in a run directory."""
    return parts[0] != "bsetup" or parts[1] in KEPT


def manifests(overlay: Path) -> Iterator[tuple[str, bytes]]:
    """What was applied last, without Secrets; of configuration only its hashes."""
    objects = state.read_object(overlay).get("answer", {}).get("objects", [])
    kept = [without_contents(item) for item in objects if item.get("kind") != "Secret"]
    if kept:
        yield "rendered.yaml", yaml.safe_dump_all(kept, sort_keys=False).encode()


def without_contents(item: dict) -> dict:
    if item.get("kind") != "ConfigMap":
        return item
    return item | {
        part: {key: hashlib.sha256(text.encode()).hexdigest() for key, text in item[part].items()}
        for part in ("data", "binaryData")
        if part in item
    }


def write_archive(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Writes files, scrubbed, into a .tar.gz at `path`, in the order given; whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with tarfile.open(partial, "w:gz", compresslevel=3) as archive:
            for name, data in files:
                data = scrub(data)
                entry = tarfile.TarInfo(f"boulder-k8s/{name}")
                entry.size, entry.mtime = len(data), int(time.time())
                archive.addfile(entry, io.BytesIO(data))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def pack(settings: Settings, run: Run) -> None:
    """Writes RUN/bundle.tar.gz and says where it is. Failing at it changes nothing."""
    try:
        write_archive(run.path / NAME, contents(settings, run.path))
        note(f"{shown(run.path / NAME)} has everything about it; summary.txt in it is where to begin")
    except OSError as error:
        note(f"{NAME} was not written: {error.strerror}")


def contents(settings: Settings, run: Path | None, cluster: Path | None = None) -> Iterator[tuple[str, bytes]]:
    """The archive's files, the summary first. cluster: a directory of `gather`, in place of that of the run."""
    yield "summary.txt", summary(settings, run, cluster).encode()
    if run:
        yield from of_run(run)
    if cluster:
        yield from ((f"cluster/{path.name}", tail(path)) for path in sorted(cluster.iterdir()))
    yield from manifests(settings.file("overlay"))
    for name in ("kind.yaml", "cluster.json", "images.json"):
        if (path := settings.state / name).exists():
            yield f"state/{name}", path.read_bytes()
    yield from node(settings)


def summary(settings: Settings, run: Path | None, cluster: Path | None = None) -> str:
    """What probably happened; the text that is first in the archive."""
    return cause.summary(gather_facts(settings, run, cluster)) + (
        "\nIn this archive: run/ (run.json, what the tests said), cluster/ or run/cluster/ (every service's log, events.txt,\n"
        "describe.txt), node/ (kubelet, containerd), rendered.yaml (what was applied, without Secrets). Private keys, Secrets, stdin\n"
        "and values of variables that look secret were left out.\n"
    )


def gather_facts(settings: Settings, run: Path | None, cluster: Path | None = None) -> cause.Facts:
    found = cause.Facts()
    if run:
        found.record = state.read_object(run / "run.json")
        found.code = Run(run).exit_code()
        found.said = "".join(
            tail(path, 1 << 18).decode(errors="replace") for path in (run / "stdout", run / "stderr") if path.exists()
        )
    directory = cluster or (run / "cluster" if run else None)
    if directory and (directory / "objects.json").exists():
        found.objects = json.loads((directory / "objects.json").read_text())
    for path in (settings.runs, Path("/var/lib/docker")):
        if path.exists():
            found.free[str(path)] = shutil.disk_usage(path).free
    return found


def node(settings: Settings) -> Iterator[tuple[str, bytes]]:
    """The end of what the node's own services said, and its disk. Far less than `kind export logs`, which copies every container's log."""
    try:
        if not Cluster(settings, tools.find(settings)).is_running():
            return
    except Problem:  # not ours, or there is no engine
        return
    commands = {
        "journal.txt": ["journalctl", "--no-pager", "--lines=1500", "--unit=kubelet", "--unit=containerd"],
        "disk.txt": ["df", "-h"],
    }
    for name, command in commands.items():
        try:
            yield f"node/{name}", process.run(["docker", "exec", settings.node, *command], timeout=20).encode()
        except (process.Failed, subprocess.TimeoutExpired, OSError) as error:
            yield f"node/{name}", f"could not be had: {error}\n".encode()


def pack_in_background(run: Path, settings: Settings) -> None:
    """What `packed` starts after tests that failed, when their wrapper has ended: the cluster's side, then the archive."""
    os.nice(10)
    with suppress(OSError, Problem):  # an engine that is gone meanwhile; a run directory that was removed
        cluster = Cluster(settings, tools.find(settings))
        if cluster.is_running():
            snapshot.take(cluster.api, cluster.kubectl, run / "cluster")
    pack(settings, Run(run))


def bundle(settings: Settings, output: Path | None = None) -> None:
    """`invoke bundle`: the newest run of this cluster and the cluster as it is now, what the machine has and lacks, in one archive.

    Prints the summary. Raises Problem when the archive cannot be written.
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
        text = summary(settings, run, found if found.exists() else None)
        lines = doctor.lines(settings)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_archive(
                path,
                (
                    *contents(settings, run, found if found.exists() else None),
                    ("doctor.txt", "".join(f"{line}\n" for line in lines).encode()),
                    ("versions.json", json.dumps(versions, indent=2).encode()),
                ),
            )
        except OSError as error:
            raise Problem(
                f"{path} cannot be written: {error.strerror}.", "Name another place: --output FILE."
            ) from error
    print(text, end="")
    note(f"all of it is in {shown(path)}")


if __name__ == "__main__":
    pack_in_background(Path(sys.argv[1]), Settings.from_environment({**os.environ, "KIND_CLUSTER": sys.argv[2]}))
