"""Lets one command at a time use a cluster, as `--name boulder_tests` does under Compose."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .decoration import decoration
from .errors import Problem
from .files import own_directory, private_directory, private_file, write_private
from .settings import Settings

# A cluster is made for one checkout, and two clusters do not use one checkout, nor the same ports.
ELSEWHERE = "Wait for it to end, or use another checkout with a cluster of its own: BOULDER_DIR, KIND_CLUSTER and BOULDER_PORTS (docs/runs.md)."


@contextmanager
def held(settings: Settings, what: str) -> Iterator[None]:
    """Holds the cluster's lock while the block runs. what: tells other commands what is going on.

    The kernel drops the lock when the process ends, so a killed command leaves no lock. Raises Problem if another
    command holds it.
    """
    own_directory(settings.root / ".state")
    private_directory(settings.lock.parent)
    with open(settings.lock, "a+", errors="replace", opener=private_file) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = describe(file.read())
            raise Problem(
                f"Cluster {settings.cluster} is in use: {holder}.",
                ELSEWHERE,
                check="lock",
            ) from None
        file.truncate(0)
        file.write(json.dumps({"what": what, "pid": os.getpid(), "since": time.time()}))
        file.flush()
        try:
            yield
        finally:  # only a killed command leaves its note
            with decoration("the lock file still names this command"):
                file.truncate(0)


@contextmanager
def checkout_held(settings: Settings, checkout: Path, what: str) -> Iterator[None]:
    """Lets one command at a time use a checkout while the block runs, whatever its cluster and whichever clone of this
    project it is of: certificates and softhsm's tokens are no place for two. what: tells other commands what is going on.

    The lock is on the directory itself: nothing is written into the checkout. Raises Problem if another command holds it.
    """
    told = settings.checkout_note(checkout)
    directory = os.open(checkout, os.O_RDONLY)
    try:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Problem(
                f"The checkout {checkout} is in use: {user_of(told)}.",
                ELSEWHERE,
                check="lock",
            ) from None
        except OSError:  # a file system without locks: the cluster's own lock has to do
            pass
        private_directory(told.parent)
        note = {"what": what, "pid": os.getpid(), "since": time.time(), "cluster": settings.cluster}
        write_private(told, json.dumps(note))
        try:
            yield
        finally:
            told.unlink(missing_ok=True)
    finally:
        os.close(directory)


def user_of(told: Path) -> str:
    """Returns who uses a checkout, for people. told: the note of this project's last command that did."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        text = told.read_text()
        os.kill(json.loads(text)["pid"], 0)  # one that was killed has left its note
        return describe(text)
    return "a boulder-k8s in another directory runs with it"


def look(settings: Settings) -> tuple[str, bool]:
    """Returns who holds the lock, and whether it is held. Changes nothing.

    If it is not held, the first is the command that held it and was killed, or "".
    """
    if not settings.lock.exists():
        return "", False
    with open(settings.lock, errors="replace") as file:
        text = file.read()
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return describe(text), True
    return describe(text) if text else "", False


def describe(text: str) -> str:
    """Returns who holds the lock, for people. text: the content of the lock file."""
    try:
        holder = json.loads(text)
        since = time.strftime("%H:%M:%S", time.localtime(holder["since"]))
        where = f" on cluster {holder['cluster']}" if holder.get("cluster") else ""
        return f"`{holder['what']}` runs{where} since {since} (process {holder['pid']})"
    except (ValueError, TypeError, LookupError, OverflowError, OSError, AttributeError):
        return "a command that did not say which"  # it has just started, or the disk was full
