"""One run's directory: everything about a run of the tests, on the host, the user's to keep."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from ..host import state
from ..host.files import own_directory
from ..host.progress import note, overdue, shown
from ..host.settings import Settings

# Phases that show nothing of their own, and what is said when one takes long.
QUIET = {"stop boulder": "making room for the tests' pod", "pod": "starting the tests' pod"}
KEEP = 20  # run directories; older ones are removed when a new one is made


@dataclass
class Run:
    """A directory under .runs/ and what is known of the run so far; docs/runs.md describes its files."""

    path: Path
    record: dict = field(default_factory=dict)

    @classmethod
    def create(cls, settings: Settings, what: list[str], record: dict, prepared: Path | None = None) -> Run:
        """A new directory `<UTC time>-<what>`, with `latest` pointing at it. Removes the oldest beyond KEEP.

        prepared: a directory that `prepare` has filled; it becomes the new one, and its place leads there: a pod may be about to mount it.
        """
        own_directory(settings.runs)
        slug = re.sub(r"[^A-Za-z0-9]+", "-", " ".join(what)).strip("-")[:60] or "run"
        stem = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{slug}"
        path, number = settings.runs / stem, 2
        while True:
            try:
                path.mkdir()
                break
            except FileExistsError:
                path, number = settings.runs / f"{stem}-{number}", number + 1
        run = cls(path, {"cluster": settings.cluster, **record})
        moved = False
        try:
            if prepared:
                link = prepared.with_name(f"{prepared.name}.moved")
                link.symlink_to(os.path.relpath(path, prepared.parent))  # first: what may fail for want of room
                prepared.rename(path)
                moved = True
                link.replace(prepared)
        except OSError:  # taken away meanwhile; or the node has made it again, for a pod that was about to mount it
            if moved:
                (path / "pod.json").unlink(missing_ok=True)  # no pod waits in this directory
                run.copy_programs()
        run.begin() if moved else run.prepare()
        link = settings.runs / f".latest.{os.getpid()}"
        link.symlink_to(path.name)
        link.replace(settings.runs / "latest")
        prune(settings.runs, path)
        return run

    def within(self, name: str) -> Run:
        """A run that is part of this one, in a directory of its own below this one's."""
        run = Run(self.path / name, {})
        run.path.mkdir()
        run.prepare()
        return run

    def prepare(self) -> None:
        """Makes the files through which the wrapper and the pod's supervisor talk. Ours, so that they are the user's."""
        (self.path / "signals").mkdir()
        for name in ("stdout", "stderr", "stdin"):
            (self.path / name).touch()
        self.copy_programs()
        self.begin()

    def copy_programs(self) -> None:
        """Puts what the pod runs into the directory, over what an earlier version put there."""
        source, ignored = Path(__file__).parent / "pod", shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, self.path / "pod", ignore=ignored, dirs_exist_ok=True)

    def begin(self) -> None:
        self.record |= {"began": time.time(), "phases": {}}
        self.save()

    def save(self) -> None:
        """Writes run.json. A disk that does not take it must not change what the run has decided: it is said, not raised."""
        partial = self.path / ".run.json"
        try:
            partial.write_text(json.dumps(self.record, indent=2, sort_keys=True) + "\n")
            partial.replace(self.path / "run.json")
        except OSError as error:
            note(f"run.json was not written: {error.strerror}")

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Saves run.json when the block ends, however it ends; an exception is its `failure`."""
        try:
            yield
        except BaseException as error:
            self.record["failure"] = f"{type(error).__name__}: {error}"
            raise
        finally:
            self.record["ended"] = time.time()
            self.save()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measures the block; its duration in seconds goes to run.json."""
        begun = time.monotonic()
        try:
            with overdue(QUIET[name]) if name in QUIET else nullcontext():
                yield
        finally:
            self.record["phases"][name] = round(time.monotonic() - begun, 3)

    def wait_for_file(self, *names: str, seconds: float) -> str:
        """Waits until the supervisor has made one of these files; returns the first that is there, "" after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            for name in names:
                if (self.path / name).exists():
                    return name
            if time.monotonic() > deadline:
                return ""
            time.sleep(0.01)

    def exit_code(self) -> int | None:
        """The record that the supervisor wrote when the tests had ended; None while there is none."""
        try:
            return int((self.path / "exitcode").read_text())
        except (FileNotFoundError, ValueError):
            return None


def prune(runs: Path, newest: Path) -> None:
    """Removes the oldest run directories beyond KEEP, but for those of runs that go on (on another cluster)."""
    found = sorted(
        (path for path in runs.iterdir() if path.is_dir() and not path.is_symlink() and path.name[0] != "."),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    for path in found[KEEP:]:
        if path != newest and not goes_on(path):
            shutil.rmtree(path, ignore_errors=True)


def goes_on(path: Path) -> bool:
    """Whether that run may not have ended yet. One that began a day ago and never said so was killed."""
    record = state.read_object(path / "run.json")
    return "ended" not in record and time.time() - record.get("began", 0) < 86400


def last_run(settings: Settings, started: bool = False) -> dict:
    """Returns the newest run of this cluster, with `started` an `up` as well; {} if there is none.

    directory, arguments, exit_code, failure; began: Unix time; seconds: None while it goes on.
    """
    left_out = [None] if started else [["up"], None]
    for path in sorted(settings.runs.glob("2*"), reverse=True) if settings.runs.exists() else ():
        record = state.read_object(path / "run.json")
        if record.get("cluster") == settings.cluster and record.get("arguments") not in left_out:
            ended = record.get("ended")
            return {
                "directory": shown(path),
                "arguments": record["arguments"],
                "exit_code": record.get("exit_code"),
                "failure": record.get("failure"),
                "began": record["began"],
                "seconds": round(ended - record["began"], 1) if ended else None,
            }
    return {}
