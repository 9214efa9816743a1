"""`invoke up --watch`: Boulder is built and started again whenever the checkout's code changes, as `docker compose watch` does."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..host import lock as locks
from ..host.errors import Problem
from ..host.progress import note
from ..host.settings import Settings
from ..host.signals import Signals, decisive
from ..manifests import checkout as checkouts
from ..manifests import working_tree
from .arguments import Options
from .cli import reported
from .up import up

# File systems that tell nobody here what somebody else changes, such as an editor outside of a virtual machine: inotify(7).
SILENT = ("9p", "virtiofs", "nfs", "nfs4", "cifs", "smb3", "vboxsf", "fuse", "drvfs", "prl_fs", "ceph", "afs")
LEFT_OUT = (
    ".git",
    ".gocache",
    "bin",
    "test/certs",
    ".softhsm-tokens",
)  # what a start itself writes, and too much of it
QUIET, POLL = 1000, 2000  # milliseconds without a change before Boulder starts again; between two looks without events


def watch(settings: Settings, signals: Signals, options: Options, fresh: Sequence[str] = ()) -> int:
    """As `up`, and again after every change of a file that git tracks or would list. A signal ends it: returns 128 + its number.

    If Boulder does not start, its Problem is shown, and the next change tries again. Returns the exit code of a first `up` that failed.
    Raises Problem if the checkout is no git repository.
    """
    from watchfiles import watch as changes  # here: no other command needs it

    checkout = checkouts.of_command(settings, options.environ)
    kept = working_tree.place(settings)
    before = working_tree.digest(checkout, kept)
    if not before:
        raise Problem(
            f"{checkout.path} is no git repository, so nobody can tell when its code changes.",
            "`invoke restart` after an edit builds Boulder anew; `git init` and `git add -A` there make it one.",
        )
    if code := reported(lambda settings, signals: up(settings, signals, options, fresh), signals):
        return code
    polling = kind_of(checkout.path) in SILENT
    if polling:
        note(
            f"{checkout.path} is on a file system without events ({kind_of(checkout.path)}): its files are looked at every {POLL // 1000} s"
        )
    note(f"watching {checkout.path}: Boulder starts again after a change. Ctrl-C ends that, and Boulder stays up")
    logging.getLogger("watchfiles").setLevel(logging.ERROR)  # it would say how a signal is called in Python
    refused = True  # what was changed while it started, nobody has watched
    for found in changes(
        checkout.path,
        watch_filter=Filter(checkout.path),
        debounce=QUIET,
        step=QUIET // 2,
        rust_timeout=POLL,
        yield_on_timeout=True,  # to try again what another command did not allow
        force_polling=polling,
        poll_delay_ms=POLL,
        raise_interrupt=False,  # it drops what our handler raises, and ends
    ):
        if not found and (not refused or locks.look(settings)[1]):
            continue
        now, refused = working_tree.digest(checkout, kept), False
        if now != before:
            in_use = locks.look(settings)[1]  # by tests, for example
            refused = bool(reported(lambda settings, signals: up(settings, signals, options), signals)) and in_use
            before = "" if refused else now
    note("the watch has ended; Boulder stays up")
    return 128 + (decisive(signals.received) or [signal.SIGINT])[0]


class Filter:
    """Which changes count: none in what git or a start of Boulder writes. What git ignores otherwise, working_tree.py leaves out."""

    def __init__(self, checkout: Path, left_out: Iterable[str] = LEFT_OUT) -> None:
        self.places = tuple(f"{checkout / name}/" for name in left_out)

    def __call__(self, change: object, path: str) -> bool:
        return not f"{path}/".startswith(self.places)


def kind_of(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Returns the kind of file system that a path is on, such as ext4; "" if the kernel does not say, as on macOS.

    mounts: https://man7.org/linux/man-pages/man5/proc_pid_mounts.5.html
    """
    try:
        lines = [line.split() for line in mounts.read_text(errors="replace").splitlines()]
    except OSError:
        return ""
    place = os.path.realpath(path)
    places = {line[1].encode().decode("unicode_escape"): line[2] for line in lines if len(line) > 2}  # a space is \040
    above = [mount for mount in places if place == mount or place.startswith(f"{mount.rstrip('/')}/")]
    return places[max(above, key=len)].partition(".")[0] if above else ""
