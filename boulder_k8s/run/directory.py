"""The directory of one run, on the host: everything about the run lies in it, and it belongs to the user."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from ..host.decoration import decoration
from ..host.errors import Problem
from ..host.files import own_directory, private_directory, write_private, write_whole
from ..host.progress import overdue, shown
from ..host.settings import ROOT, Settings
from . import picture, result
from . import record as records
from .retention import prune

# Phases that show no progress, and the line that stderr gets when one takes long.
QUIET = {"stop boulder": "making room for the tests' pod", "pod": "starting the tests' pod"}


@dataclass
class Run:
    """A directory under .runs/ and what is known of the run so far; docs/runs.md describes its files."""

    path: Path
    record: dict = field(default_factory=dict)

    @classmethod
    def create(cls, settings: Settings, what: list[str], record: dict, prepared: Path | None = None) -> Run:
        """Makes a directory `<UTC time>-<what>`, points `latest` at it and removes old ones (retention.py).

        what: the words of the name. record: what run.json starts with. prepared: a directory that `prepare` has filled.
        It becomes the new one, and a link at its old path leads there, because a pod may be about to mount it. Raises
        Problem if .runs is no directory that we may write to, OSError if the disk is full.
        """
        slug = re.sub(r"[^A-Za-z0-9]+", "-", " ".join(what)).strip("-")[:60] or "run"
        stem = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{slug}"
        path, number = settings.runs / stem, 2
        with taken(settings.runs):
            while True:
                try:
                    path.mkdir(mode=0o700)
                    break
                except FileExistsError:
                    path, number = settings.runs / f"{stem}-{number}", number + 1
        run = cls(path, {"cluster": settings.cluster, **record})
        moved = False
        try:
            if prepared:
                link = prepared.with_name(f"{prepared.name}.moved")
                link.symlink_to(os.path.relpath(path, prepared.parent))  # first: fails if the disk is full
                prepared.rename(path)
                moved = True
                link.replace(prepared)
        except OSError:  # taken away meanwhile; or the node has made it again, for a pod that was about to mount it
            if moved:
                (path / "pod.json").unlink(missing_ok=True)  # no pod waits in this directory
                run.copy_programs()
        run.begin() if moved else run.prepare()
        with decoration(".runs/latest does not lead to this run"):
            point_latest(path)
        with decoration("old run directories were not removed"):
            prune(settings.runs, path)
        return run

    def within(self, name: str) -> Run:
        """Makes the directory `name` in this run's directory, for a run that is part of this one, and returns that run.
        Raises OSError.
        """
        run = Run(self.path / name, {})
        private_directory(run.path)
        run.prepare()
        return run

    def prepare(self) -> None:
        """Makes the files through which the wrapper and the pod's supervisor talk. We make them so that the user owns
        them. Raises OSError.
        """
        (self.path / "signals").mkdir(mode=0o700)
        for name in ("stdout", "stderr", "stdin"):
            write_private(self.path / name, "")
        self.copy_programs()
        self.begin()

    def copy_programs(self) -> None:
        """Copies the programs that the pod runs into the directory, over the copies of an earlier version. Raises
        OSError.
        """
        source, ignored = Path(__file__).parent / "pod", shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, self.path / "pod", ignore=ignored, dirs_exist_ok=True)
        shutil.copy(ROOT / "k8s/base/boulder/writeback.py", self.path / "pod")

    def begin(self) -> None:
        """Starts the record: notes the time, and saves run.json."""
        self.record |= {"began": time.time(), "phases": {}}
        self.save()

    def save(self) -> None:
        """Writes run.json. If that fails, it prints a note and raises nothing."""
        with decoration("run.json was not written"):
            record = self.record.copy()  # because a thread may add to it
            record |= {f"{name}_at": date(record[name]) for name in ("began", "ended") if name in record}
            text = json.dumps(record, indent=2, sort_keys=True, default=str)
            write_whole(self.path / "run.json", text + "\n")

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Saves run.json when the block ends, however it ends. If an exception ends it, run.json has that
        as `failure`.
        """
        try:
            yield
        except BaseException as error:
            self.record["failure"] = f"{type(error).__name__}: {error}"
            raise
        finally:
            self.record["ended"] = time.time()
            self.save()
            with decoration("phases.svg was not written"):
                picture.draw(self.record, self.path)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measures how long the block takes; run.json gets the duration in seconds under `name`."""
        begun = time.monotonic()
        try:
            with overdue(QUIET[name]) if name in QUIET else nullcontext():
                yield
        finally:
            self.record["phases"][name] = round(time.monotonic() - begun, 3)

    def wait_for_file(self, *names: str, seconds: float) -> str:
        """Waits until the supervisor has made one of these files. Returns the first that it finds, or "" after
        `seconds`.
        """
        deadline = time.monotonic() + seconds
        while True:
            for name in names:
                if (self.path / name).exists():
                    return name
            if time.monotonic() > deadline:
                return ""
            time.sleep(0.01)

    def has_ended(self) -> bool:
        """Returns whether the supervisor has recorded how the tests ended, even if that cannot be read."""
        return os.path.lexists(self.path / "exitcode")

    def exit_code(self) -> int | None:
        """Returns the exit code that the supervisor recorded when the tests had ended, or None if it has not recorded
        one, or if the record is damaged or cannot be read.
        """
        try:
            found = result.read(self.path)
        except result.Damaged:
            return None
        return found.code if found else None


def date(seconds: float) -> str:
    """Returns a Unix time as people read it: 2026-01-31T12:00:00Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@contextmanager
def taken(runs: Path) -> Iterator[None]:
    """Makes .runs if it is not there. Raises Problem if that fails, or if the block cannot write to it, but OSError if
    the disk is full.
    """
    try:
        own_directory(runs)
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Problem(
            f"{runs} does not take the run's directory: {error.strerror}.",
            "It must be a directory that you may write to, or a link to one; if you remove it, it is made anew.",
        ) from error


def point_latest(path: Path) -> None:
    """Makes the link `latest` beside a run directory lead to it. Raises OSError."""
    link = path.with_name(f".latest.{os.getpid()}")
    link.unlink(missing_ok=True)  # of a command that was killed and had our process id
    link.symlink_to(path.name)
    try:
        link.replace(path.with_name("latest"))
    finally:
        link.unlink(missing_ok=True)


def last_run(settings: Settings, started: bool = False) -> dict:
    """Returns facts about the newest run of this cluster, or {} if there was no run. started: an `up` counts as a run.

    Its keys: directory, arguments, exit_code, failure; began: Unix time; seconds: the duration, or None if the run has
    not recorded its end; restarts: which dependencies ended meanwhile (restarts.py).
    """
    left_out = [None] if started else [["up"], None]
    for path in sorted(settings.runs.glob("2*"), reverse=True) if settings.runs.exists() else ():
        record = records.read(path)
        began, arguments = record.get("began"), record.get("arguments")
        if record.get("cluster") == settings.cluster and arguments not in left_out and began is not None:
            ended = record.get("ended")
            return {
                "directory": shown(path),
                "arguments": arguments,
                "exit_code": record.get("exit_code"),
                "failure": record.get("failure"),
                "began": began,
                "restarts": record.get("restarts", []),
                "seconds": round(ended - began, 1) if ended else None,
            }
    return {}
