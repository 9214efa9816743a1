"""What git sees in the checkout's working tree, in one word: whether Boulder was started from the code that is there now."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from ..host import git, process
from ..host.files import private_directory
from ..host.settings import Settings
from .checkout import Checkout

PATIENCE = 20.0  # seconds for each git


def place(settings: Settings) -> Path:
    """Returns where what git has seen in the checkout is kept; `down` removes it."""
    return settings.state / "code"


def digest(checkout: Checkout, kept: Path) -> str:
    """Returns a word that is another one whenever a file differs that git tracks, or one that it does not ignore; "" if git cannot tell.

    The content of tracked files counts, not whether it is committed; of other files, their size and date. kept: a directory of ours for
    what git writes: neither the checkout's index nor its objects change.
    """
    if not (checkout.path / ".git").exists():  # else it would be about a repository that the checkout lies in
        return ""
    try:
        settings = prepare(checkout, kept)
        git.run(checkout.path, "add", "--update", timeout=PATIENCE, also=settings)
        tree = git.run(checkout.path, "write-tree", timeout=PATIENCE, also=settings).strip()
        listed = git.run(
            checkout.path, "ls-files", "--others", "--exclude-standard", "-z", timeout=PATIENCE, also=settings
        )
        others = "".join(f"{identity(checkout.path / name)} {name}\0" for name in listed.split("\0") if name)
        write = ("hash-object", "-w", "--stdin", "--no-filters")
        return f"{tree}-{git.run(checkout.path, *write, input=others, timeout=PATIENCE, also=settings).strip()}"
    except (OSError, UnicodeError, process.Failed, subprocess.TimeoutExpired):
        return ""


def prepare(checkout: Checkout, kept: Path) -> dict[str, str]:
    """Copies the checkout's index; returns the variables that let git work on the copy. Raises OSError, process.Failed and
    subprocess.TimeoutExpired.
    """
    where = git.run(checkout.path, "rev-parse", "--git-path", "index", "--git-path", "objects", timeout=PATIENCE)
    index, objects = (checkout.path / line for line in where.splitlines())
    private_directory(kept / "objects/info")
    (kept / "objects/info/alternates").write_text(f"{objects.resolve()}\n")
    shutil.copyfile(index, kept / "index")
    return {"GIT_INDEX_FILE": str(kept / "index"), "GIT_OBJECT_DIRECTORY": str(kept / "objects")}


def identity(path: Path) -> str:
    """Returns what is another if a file changes, also one too large to be read; of a file that is gone, or whose name is not UTF-8, zeros."""
    try:
        facts = path.lstat()
    except OSError:
        return "0 0 0"
    return f"{facts.st_mode} {facts.st_size} {facts.st_mtime_ns}"


def changed(checkout: Checkout, kept: Path, before: str, now: str) -> list[str]:
    """Returns the files that differ between two words of `digest`; an empty list if git has forgotten the earlier one."""
    try:
        settings = prepare(checkout, kept)
        (tree, others), (tree_now, others_now) = before.split("-"), now.split("-")
        words = ("diff-tree", "-r", "-z", "--name-only", tree, tree_now)
        found = set(git.run(checkout.path, *words, timeout=PATIENCE, also=settings).split("\0"))
        lines = [
            set(git.run(checkout.path, "cat-file", "blob", blob, timeout=PATIENCE, also=settings).split("\0"))
            for blob in (others, others_now)
        ]
        return sorted((found | {line.split(" ", 3)[-1] for line in lines[0] ^ lines[1]}) - {""})
    except (OSError, ValueError, process.Failed, subprocess.TimeoutExpired):
        return []
