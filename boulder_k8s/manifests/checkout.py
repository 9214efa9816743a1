"""The Boulder checkout that is tested: where it is, and whether it is one."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..host import process
from ..host.errors import Problem, not_here
from ..host.progress import note, step
from ..host.settings import Settings

REPOSITORY = "https://github.com/letsencrypt/boulder"
# The revision that is cloned when there is no checkout, and that the manifests were measured with.
REVISION = "2d00c8e27919fe945e53b2cf857838e68a1da111"
# What t.sh and this project need of a checkout.
MARKS = (
    "docker-compose.yml",
    "docker-compose.next.yml",
    "test.sh",
    "start.py",
    "test/entrypoint.sh",
    "test/certs/generate.sh",
    "test/config",
    "test/config-next",
)


@dataclass(frozen=True)
class Checkout:
    """A Boulder work tree; path is absolute, without symbolic links."""

    path: Path

    def missing(self) -> list[str]:
        """Which files of a Boulder checkout are not there."""
        return [mark for mark in MARKS if not (self.path / mark).exists()]

    def revision(self) -> str:
        """The commit, with "-dirty" when tracked files differ; "unknown" where git does not know."""
        try:
            return process.run(
                [
                    "git",
                    "-C",
                    str(self.path),
                    "-c",
                    "core.fsmonitor=false",
                    "describe",
                    "--always",
                    "--abbrev=40",
                    "--dirty",
                    "--exclude=*",
                ],
                timeout=60,
            ).strip()
        except (OSError, process.Failed):
            return "unknown"

    def external_git_directory(self) -> str | None:
        """For a git worktree, the directory outside the checkout that its .git file names."""
        marker = self.path / ".git"
        return marker.read_text().removeprefix("gitdir:").strip() if marker.is_file() else None


def current_directory() -> Path:
    """Where the command was started. Raises Problem when that directory is gone."""
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise Problem(
            "The current directory is gone.", "Change to one that is there: `cd` to the new checkout."
        ) from error


def named(environ: Mapping[str, str], directory: Path) -> Path | None:
    """The checkout that a command names, None where it names none: BOULDER_DIR, whether or not it is one; the directory where the
    command was started, or one above it (where Docker Compose looks too); the wrapper's own directory (BOULDER_K8S_WRAPPER).
    """
    if given := environ.get("BOULDER_DIR"):
        return (directory / given).resolve()
    wrapper = environ.get("BOULDER_K8S_WRAPPER")
    above = directory.resolve()
    for candidate in (above, *above.parents, *([Path(wrapper).resolve()] if wrapper else [])):
        if not Checkout(candidate).missing():
            return candidate
    return None


def place(environ: Mapping[str, str], directory: Path, root: Path, known: Path | None = None) -> Path:
    """Where the checkout is that a command means: the one that is named, the `known` one that the cluster was made for, `root`/.boulder."""
    return named(environ, directory) or unnamed(root, known)


def unnamed(root: Path, known: Path | None) -> Path:
    """Where it is when a command names none."""
    return known if known and not Checkout(known).missing() else root / ".boulder"


def find(
    environ: Mapping[str, str], directory: Path, root: Path, offline: bool = False, known: Path | None = None
) -> Checkout:
    """The checkout at `place`; without any, a clone of the pinned revision is made. One that nobody named is said.

    Raises Problem when BOULDER_DIR is not a checkout, when the clone fails, or when it would have to be made offline.
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
    if not meant:
        note(f"the checkout is {checkout.path}: no other one is here, and BOULDER_DIR names none")
    return checkout


def clone(path: Path) -> Checkout:
    """Clones the pinned revision of Boulder to `path`, in place of what is there. Raises Problem when that fails."""
    note(f"no Boulder checkout here; cloning revision {REVISION[:9]} into {path.name}/ (BOULDER_DIR names another)")
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with step("cloning Boulder"):
            process.run(["git", "init", "--quiet", partial])
            process.run(["git", "-C", partial, "fetch", "--quiet", "--depth=1", REPOSITORY, REVISION])
            process.run(["git", "-C", partial, "checkout", "--quiet", "--detach", "FETCH_HEAD"])
    except (OSError, process.Failed) as error:
        raise Problem(
            "Boulder cannot be cloned.",
            "Clone it yourself and set BOULDER_DIR to it, or run this in a Boulder checkout.",
            getattr(error, "output", str(error)),
            check="internet",
        ) from error
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)
    return Checkout(path)


@contextmanager
def packed(checkout: Checkout, revision: str) -> Iterator[BinaryIO]:
    """A commit and every file of it as a git pack, without what came before and without what is not committed."""
    git = ["git", "-C", checkout.path]
    with tempfile.TemporaryFile() as objects:
        objects.write(process.run([*git, "rev-list", "--objects", "--no-walk", revision]).encode())
        objects.seek(0)
        pack = [*git, "pack-objects", "--quiet", "--stdout", "--threads=1"]  # one: the same objects, the same bytes
        with process.started(pack, stdin=objects, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            yield child.stdout
            if child.wait():
                raise process.Failed(child.args, child.returncode, child.stderr.read().decode(errors="replace"))


def unpack(path: Path, revision: str, pack: BinaryIO) -> Checkout:
    """Makes a checkout of what `packed` gave, in place of what is at `path`."""
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    process.run(["git", "init", "--quiet", partial])
    (partial / ".git/shallow").write_text(f"{revision}\n")  # as `git clone --depth=1` leaves it
    process.feed(["git", "-C", partial, "index-pack", "--stdin"], pack)
    process.run(["git", "-C", partial, "checkout", "--quiet", "--detach", revision])
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)
    return Checkout(path)


def name_for(checkout: Path) -> str:
    """A cluster name that is this checkout's own: KIND_CLUSTER=auto. Its directory's name is in it, for people to recognise."""
    slug = re.sub(r"[^a-z0-9]+", "-", checkout.name.lower()).strip("-")[:20].strip("-") or "checkout"
    return f"boulder-{slug}-{hashlib.sha256(str(checkout).encode()).hexdigest()[:6]}"


def cluster_name(environ: Mapping[str, str], root: Path) -> str:
    """Returns what KIND_CLUSTER=auto stands for: a name of the checkout that the command means."""
    return name_for(place(environ, current_directory(), root))


def of_command(settings: Settings, environ: Mapping[str, str]) -> Checkout:
    """Returns the checkout that a command means; says what does not work in a git worktree. Raises Problem as `find`."""
    found = find(environ, current_directory(), settings.root, settings.offline, settings.known_checkout)
    if outside := found.external_git_directory():
        note(
            f"{found.path} is a git worktree; git in the pod cannot see {outside}, so --generate fails here as it does under Compose"
        )
    return found
