"""`invoke link`: makes the wrappers ./tk8s.sh, ./tnk8s.sh and ./ck8s.sh in the checkout, and keeps them out of its `git status`."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping

from ..host import git, process
from ..host.errors import Problem
from ..host.files import write_whole
from ..host.progress import note
from ..host.settings import Settings
from ..manifests import checkout

WRAPPERS = ("tk8s.sh", "tnk8s.sh", "ck8s.sh")


def link(settings: Settings, environ: Mapping[str, str] = os.environ) -> None:
    """Makes a link to each wrapper in the checkout, and names the links in .git/info/exclude. What is there already stays. Raises Problem if
    something else has such a name, or OSError.
    """
    found = checkout.of_command(settings, environ).path
    for name in WRAPPERS:
        place = found / name
        if place.exists() and place.samefile(settings.root / name):
            continue
        if os.path.lexists(place) and not place.is_symlink():
            raise Problem(
                f"{place} is there, and is not our wrapper.",
                f"Move it away: `mv {shlex.quote(str(place))} {shlex.quote(f'{place}.old')}`.",
            )
        place.unlink(missing_ok=True)  # a link that leads elsewhere, as after this project was moved
        place.symlink_to(os.path.relpath(settings.root / name, found))
    try:
        exclude = found / git.run(found, "rev-parse", "--git-path", "info/exclude", timeout=20).strip()
    except (OSError, process.Failed, subprocess.TimeoutExpired):  # no repository: nothing shows them
        return
    exclude.parent.mkdir(exist_ok=True)
    before = exclude.read_text(errors="surrogateescape") if exclude.exists() else ""
    if lines := [line for name in WRAPPERS if (line := f"/{name}") not in before.splitlines()]:
        text = before + ("" if before.endswith("\n") or not before else "\n") + "".join(f"{line}\n" for line in lines)
        mode = exclude.stat().st_mode & 0o777 if exclude.exists() else 0o644
        write_whole(exclude, text.encode(errors="surrogateescape"), mode)
    note(f"{', '.join(f'./{name}' for name in WRAPPERS)} are in {found}, and git does not show them")
