"""A clone that borrows git objects of another one: a container sees the checkout alone, and Go asks git there for the revision."""

from __future__ import annotations

import shlex
from pathlib import Path

from ..host.errors import Problem


def objects(checkout: Path) -> str | None:
    """Returns the directory with objects of another clone, which `git clone --shared` or `--reference` wrote down; None if the clone
    has all of its own.
    """
    try:
        lines = (checkout / ".git/objects/info/alternates").read_text(errors="replace").splitlines()
    except OSError:  # there is no such file, or .git is one: a worktree
        return None
    return next((line for line in lines if line.strip() and not line.startswith("#")), None)


def check(checkout: Path) -> None:
    """Raises Problem if git in a container could not read the commit: Go then builds nothing, after two minutes."""
    if not (outside := objects(checkout)):
        return
    there = (checkout / ".git/objects" / outside).is_dir()
    link = shlex.quote(str(checkout / ".git/objects/info/alternates"))
    raise Problem(
        f"{checkout} borrows git objects from {outside}, which containers do not see: Go could build nothing there.",
        f"Run `git -C {shlex.quote(str(checkout))} repack -a -d && rm {link}`."
        if there
        else "That directory is gone: clone Boulder anew, without --shared and --reference.",
        check="boulder-checkout",
    )
