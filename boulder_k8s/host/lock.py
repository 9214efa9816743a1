"""One command at a time per cluster, as `--name boulder_tests` means under Compose."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import Problem
from .files import own_directory
from .settings import Settings


@contextmanager
def held(settings: Settings, what: str) -> Iterator[None]:
    """Holds the cluster's lock while the block runs. `what` tells others what is going on.

    The kernel drops the lock with the process, however it ends, so a killed command leaves none. Raises Problem when
    another command holds it.
    """
    own_directory(settings.root / ".state")
    settings.lock.parent.mkdir(exist_ok=True)
    with open(settings.lock, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = describe(file.read())
            raise Problem(
                f"Cluster {settings.cluster} is in use: {holder}.",
                "Wait for it to end, or use another cluster: KIND_CLUSTER=NAME with BOULDER_PORTS.",
                check="lock",
            ) from None
        file.truncate(0)
        file.write(json.dumps({"what": what, "pid": os.getpid(), "since": time.time()}))
        file.flush()
        yield
        file.truncate(0)


def look(settings: Settings) -> tuple[str, bool]:
    """Who holds the lock, or held it and was killed (empty: nobody), and whether it is held now. Changes nothing."""
    if not settings.lock.exists():
        return "", False
    with open(settings.lock) as file:
        text = file.read()
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return describe(text), True
    return describe(text) if text else "", False


def describe(text: str) -> str:
    """Who holds the lock, for people."""
    try:
        holder = json.loads(text)
    except ValueError:
        return "another command has just started"
    since = time.strftime("%H:%M:%S", time.localtime(holder["since"]))
    return f"`{holder['what']}` runs since {since} (process {holder['pid']})"
