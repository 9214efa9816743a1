"""The revisions of a checkout, as git keeps them. Nothing of the checkout is changed, neither its files nor its git directory."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath

from ..host import git, process
from ..host.errors import Problem
from .staging import CONFIG_MAPS

# Files at the top that decide what Compose and the wrappers do.
DECIDING = ("docker-compose*.y*ml", "compose*.y*ml", ".env", "t.sh", "tn.sh")
CONFIGURATIONS = ("test/config", "test/config-next")  # staged whole, whatever services mount
AGO = re.compile(r"\d+[ .](second|minute|hour|day|week|month|year)s?[ .]ago")


@dataclass(frozen=True)
class Revision:
    """One commit. date: when it was committed, in UTC, as 2026-01-31."""

    commit: str
    date: str
    subject: str


@dataclass(frozen=True)
class History:
    """The history of one checkout, from what is checked out back."""

    path: Path

    @classmethod
    def of(cls, path: Path) -> History:
        """Returns the history of the checkout at `path`. Raises Problem if git has none of it."""
        found = cls(path)
        try:
            inside = found.git("rev-parse", "--show-prefix", "HEAD").splitlines()
        except (OSError, process.Failed) as error:
            detail = getattr(error, "output", str(error))
            raise no_history(path, detail) from error
        if inside[0]:  # the checkout lies in somebody else's repository
            raise no_history(path, f"It is the directory {inside[0]} of another repository.")
        return found

    def git(self, *arguments: str) -> str:
        """Returns what git says. Raises OSError, process.Failed."""
        return git.run(self.path, *arguments, timeout=300, also={"TZ": "UTC"})

    def is_shallow(self) -> bool:
        """Returns whether earlier commits were left out when it was cloned."""
        return self.git("rev-parse", "--is-shallow-repository").strip() == "true"

    def count(self) -> int:
        """Returns how many commits are here."""
        return int(self.git("rev-list", "--count", "HEAD"))

    def revisions(self, paths: Iterable[str], since: str = "", limit: int = 0) -> list[Revision]:
        """Returns the commits that touch one of the paths, newest first. paths: also patterns. since: as `date` gives it. limit: the newest
        ones; 0: all.
        """
        chosen = [*([f"--since={since}"] if since else []), *([f"--max-count={limit}"] if limit else [])]
        named = [f":(top,glob){path}" for path in paths]
        form = ["--format=%H%x09%cd%x09%s", "--date=format-local:%Y-%m-%d"]
        lines = self.git("rev-list", *chosen, *form, "HEAD", "--", *named).splitlines()
        return [Revision(*line.split("\t", 2)) for line in lines if "\t" in line]

    @cache  # noqa: B019 - one object, for one command
    def deciding(self, commit: str) -> dict[str, str]:
        """Returns the files of DECIDING that a commit has, each with git's id of its content."""
        found = {}
        for entry in self.git("ls-tree", "-z", commit).split("\0")[:-1]:
            described, _, name = entry.partition("\t")
            if any(fnmatchcase(name, pattern) for pattern in DECIDING):
                found[name] = described
        return found

    def contents(self, commit: str, paths: Iterable[str]) -> list[str]:
        """Returns a line for each file of a commit at or below the paths, with git's id of its content and its path."""
        return self.git("ls-tree", "-r", "-z", commit, "--", *sorted(paths)).split("\0")[:-1]

    def unpack(self, commit: str, paths: Iterable[str], directory: Path) -> None:
        """Writes files and directories of a commit below `directory`, which exists. paths that the commit does not have are left out.
        Raises process.Failed, OSError.
        """
        there = self.git("ls-tree", "-z", "--name-only", commit, "--", *sorted(paths)).split("\0")[:-1]
        if not there:
            return
        words = ("-c", "tar.umask=0022", "archive", "--format=tar", commit, "--", *there)
        with git.started(self.path, *words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            process.feed(["tar", "-x", "-f", "-", "-C", directory], child.stdout)
            if child.wait():
                raise process.Failed(child.args, child.returncode, "git archive failed")


def no_history(path: Path, detail: str) -> Problem:
    """Returns the Problem for a directory whose revisions git does not know."""
    return Problem(
        f"{path} has no history: it is not the top of a git clone.", "Name a clone of Boulder with BOULDER_DIR.", detail
    )


def date(text: str) -> str:
    """Returns a date as git takes it. text: such as 2026-01-31, 2026-01-31T12:00, "14 days ago". Raises Problem if it is none.

    git itself takes any word, and gives those that it does not understand the meaning "now".
    """
    if AGO.fullmatch(text):
        return text
    try:
        return datetime.fromisoformat(
            text
        ).isoformat()  # with a time: git takes a date alone for that day's, at this hour
    except ValueError as error:
        raise Problem(
            f"--since {text} is not a date.", "Write one, as in --since 2026-01-31 or --since '14 days ago'."
        ) from error


def staged() -> set[str]:
    """Returns what the manifests take from every checkout: Boulder's configuration, and the files of ConfigMaps."""
    return {*CONFIGURATIONS, *CONFIG_MAPS.values()}


def sources(document: dict, checkout: Path) -> tuple[set[str], set[str]]:
    """Returns the files and directories of the checkout that the services of a Compose file use; and those, and what else they mount.

    A service that mounts a directory with everything in it, such as test, uses of it what its command names.
    """
    used, mounted = staged(), set()
    for name, service in document["services"].items():
        mounts = {PurePosixPath(item["target"]): inside(item, checkout) for item in service.get("volumes") or []}
        mounts = {target: source for target, source in mounts.items() if source is not None}
        everything = {source for source in mounts.values() if is_wide(source)}
        used |= {source for source in mounts.values() if source not in everything}
        mounted |= {source for source in everything if source != "."}
        words = [*(service.get("entrypoint") or []), *(service.get("command") or [])]
        for word in words:
            path = PurePosixPath(service.get("working_dir") or "/", word.rpartition("=")[2])
            over = [target for target in mounts if path.is_relative_to(target) and path != target]
            if not over:
                continue
            target = max(over, key=lambda one: len(one.parts))
            source = mounts[target]
            file = PurePosixPath(source, path.relative_to(target))
            beside = str(file.parent)  # a program may read what lies beside its configuration
            wide = is_wide(beside) or name in ("boulder", "bsetup")
            used.add(str(file) if wide else beside)
    return used, used | mounted


def inside(volume: dict, checkout: Path) -> str | None:
    """Returns the path of a mount's source in the checkout, None if it lies elsewhere."""
    source = PurePosixPath(volume.get("source") or "/")
    here = volume["type"] == "bind" and source.is_relative_to(checkout)
    return str(source.relative_to(checkout)) if here else None


def is_wide(directory: str) -> bool:
    """Returns whether a directory has Boulder's configuration in it, and so too much to be about one service."""
    return any(PurePosixPath(name).parent.is_relative_to(directory) for name in CONFIGURATIONS)
