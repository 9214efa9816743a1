"""Finds the Boulder checkout that is tested, and checks that it is one."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..host import git, process
from ..host.errors import Problem, not_here
from ..host.files import in_utf_8
from ..host.owned import work_directory
from ..host.progress import note, step
from ..host.settings import Settings

REPOSITORY = "https://github.com/letsencrypt/boulder"
# We clone this revision if there is no checkout; the manifests were measured with it.
REVISION = "2d00c8e27919fe945e53b2cf857838e68a1da111"
# What t.sh and this project need of every checkout; t.sh, tn.sh and the Compose file name what else there has to be.
MARKS = (
    "docker-compose.yml",
    "test.sh",
    "start.py",
    "test/entrypoint.sh",
    "test/config",
    "test/config-next",
)


@dataclass(frozen=True)
class Checkout:
    """A Boulder work tree. path: absolute, without symbolic links."""

    path: Path

    def missing(self) -> list[str]:
        """Returns which of MARKS are missing; an empty list if it is a Boulder checkout."""
        return [mark for mark in MARKS if not (self.path / mark).exists()]

    def revision(self) -> str:
        """Returns the commit, with "-dirty" if tracked files differ, or "unknown" if git does not know it."""
        try:
            words = ("describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")
            return git.run(self.path, *words, timeout=60).strip()
        except (OSError, process.Failed):
            return "unknown"

    def external_git_directory(self) -> str | None:
        """Returns the git directory, outside the checkout, of a git worktree; None for any other checkout."""
        marker = self.path / ".git"
        return marker.read_text(errors="replace").removeprefix("gitdir:").strip() or None if marker.is_file() else None


def current_directory() -> Path:
    """Returns where the command was started. Raises Problem if that directory is gone."""
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise Problem(
            "The current directory is gone.", "Change to one that exists: `cd` to the new checkout."
        ) from error


def named(environ: Mapping[str, str], directory: Path) -> Path | None:
    """Returns the checkout that a command names, or None. The first of these counts:

    BOULDER_DIR, even if it is no checkout; `directory`, where the command was started, or one above it (Docker Compose
    looks there too); the directory of the wrapper (BOULDER_K8S_WRAPPER).
    """
    if given := environ.get("BOULDER_DIR"):
        return in_utf_8((directory / given).resolve())
    wrapper = environ.get("BOULDER_K8S_WRAPPER")
    above = directory.resolve()
    for candidate in (above, *above.parents, *([Path(wrapper).resolve()] if wrapper else [])):
        if not Checkout(candidate).missing():
            return in_utf_8(candidate)
    return None


def place(environ: Mapping[str, str], directory: Path, root: Path, known: Path | None = None) -> Path:
    """Returns the path of the checkout that a command uses: the named one, else `known`, for which the cluster was
    made, else `root`/.boulder.

    It need not exist.
    """
    return named(environ, directory) or unnamed(root, known)


def unnamed(root: Path, known: Path | None) -> Path:
    """Returns the path of the checkout that a command uses if it names none."""
    return known if known and not Checkout(known).missing() else root / ".boulder"


def find(
    environ: Mapping[str, str], directory: Path, root: Path, offline: bool = False, known: Path | None = None
) -> Checkout:
    """Returns the checkout at `place`; if there is none, clones the pinned revision. Prints a note if nobody named the
    checkout and the cluster was not made for it.

    Raises Problem if BOULDER_DIR is not a checkout, if cloning fails, or if it would have to clone offline.
    """
    meant = named(environ, directory)
    checkout = Checkout(meant or unnamed(root, known))
    missing = checkout.missing()
    if missing and (given := environ.get("BOULDER_DIR")):
        what = "does not exist" if not checkout.path.exists() else f"has no {missing[0]}"
        raise Problem(
            f"BOULDER_DIR={given} is not a Boulder checkout: it {what}.",
            "Set BOULDER_DIR to a clone of Boulder, or unset it.",
            check="boulder-checkout",
        )
    if missing and offline:
        raise not_here("A Boulder checkout is")
    if missing:
        return clone(checkout.path)
    if not meant and checkout.path != known:  # else it is the one of the last time
        note(f"the checkout is {checkout.path}: no other one is here, and BOULDER_DIR names none")
    return checkout


def clone(path: Path) -> Checkout:
    """Clones the pinned revision of Boulder to `path`, and returns it. Raises Problem if that fails, or if something else
    is there.
    """
    free(path)
    note(f"no Boulder checkout here; cloning revision {REVISION[:9]} into {path.name}/ (BOULDER_DIR names another)")
    with work_directory(path) as directory:
        partial = directory / path.name
        try:
            with step("cloning Boulder"):
                git.run(None, "init", "--quiet", partial)
                git.run(partial, "fetch", "--quiet", "--depth=1", REPOSITORY, REVISION)
                git.run(partial, "checkout", "--quiet", "--detach", "FETCH_HEAD")
        except (OSError, process.Failed) as error:
            raise Problem(
                "Boulder cannot be cloned.",
                "Clone it yourself and set BOULDER_DIR to it, or run this in a Boulder checkout.",
                getattr(error, "output", str(error)),
                check="internet",
            ) from error
        partial.rename(path)
    return Checkout(path)


def free(path: Path) -> None:
    """Makes sure that nothing is at `path`, where a checkout is to be. Raises Problem if something is: it may be somebody's work."""
    if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
        path.rmdir()
    if os.path.lexists(path):
        raise Problem(
            f"{path} is no Boulder checkout, and something is in it.",
            f"Move it away (`mv {shlex.quote(str(path))} {shlex.quote(f'{path}.old')}`), or set BOULDER_DIR to a clone of Boulder.",
            check="boulder-checkout",
        )


@contextmanager
def packed(checkout: Checkout, revision: str) -> Iterator[BinaryIO]:
    """Yields a stream with a commit and its files as a git pack: no earlier commits, and nothing that is not committed.

    Raises process.Failed.
    """
    with tempfile.TemporaryFile() as objects:
        objects.write(git.run(checkout.path, "rev-list", "--objects", "--no-walk", revision).encode())
        objects.seek(0)
        pack = ("pack-objects", "--quiet", "--stdout", "--threads=1")  # one: the result is the same each time
        pipe = subprocess.PIPE
        with git.started(checkout.path, *pack, stdin=objects, stdout=pipe, stderr=pipe) as child:
            yield child.stdout
            if child.wait():
                raise process.Failed(child.args, child.returncode, child.stderr.read().decode(errors="replace"))


def unpack(path: Path, revision: str, pack: BinaryIO) -> Checkout:
    """Makes a checkout at `path` from the pack that `packed` gave; returns it. Raises process.Failed, or Problem if
    something else is there.
    """
    free(path)
    with work_directory(path) as directory:
        partial = directory / path.name
        git.run(None, "init", "--quiet", partial)
        (partial / ".git/shallow").write_text(f"{revision}\n")  # as `git clone --depth=1` leaves it
        git.feed(partial, "index-pack", "--stdin", source=pack)
        git.run(partial, "checkout", "--quiet", "--detach", revision)
        partial.rename(path)
    return Checkout(path)


def name_for(checkout: Path) -> str:
    """Returns a cluster name for a checkout that no other checkout has (KIND_CLUSTER=auto).

    It contains the name of the directory, so that people recognise it.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", checkout.name.lower()).strip("-")[:20].strip("-") or "checkout"
    return f"boulder-{slug}-{hashlib.sha256(os.fsencode(checkout)).hexdigest()[:6]}"


def cluster_name(environ: Mapping[str, str], root: Path) -> str:
    """Returns the name that KIND_CLUSTER=auto stands for: that of the checkout that the command uses.
    Raises Problem.
    """
    return name_for(place(environ, current_directory(), root))


def path_of_command(settings: Settings, environ: Mapping[str, str]) -> Path:
    """Returns the path of the checkout that a command uses, as `place` does. Raises Problem if the current directory
    is gone.
    """
    return place(environ, current_directory(), settings.root, settings.known_checkout)


def of_command(settings: Settings, environ: Mapping[str, str]) -> Checkout:
    """Returns the checkout that a command uses; prints a note if it is a git worktree. Raises Problem as
    `find` does.
    """
    found = find(environ, current_directory(), settings.root, settings.offline, settings.known_checkout)
    if outside := found.external_git_directory():
        note(
            f"{found.path} is a git worktree; git in the pod cannot see {outside}, so --generate fails here as it does under Compose"
        )
    return found
