"""What this project remembers between two commands: a table of every file, and one rule of validity.

Each file holds {"key": ..., "answer": ...}. The answer is valid as long as its key is the same. A file that is missing,
cut short or has another key counts as no answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .files import private_directory, write_whole


@dataclass(frozen=True)
class File:
    """A remembered file. place: its path below .state/. key: what its answer depends on. until: what removes it."""

    place: str
    key: str
    until: str


DOWN, IMAGES, NEVER = "`invoke down`", "`invoke down --images`", "never: an old answer is not read"
FILES = {
    "cluster": File(
        "clusters/{cluster}/cluster.json", "", DOWN
    ),  # the node container and what it mounts: kind.py compares
    "images": File("clusters/{cluster}/images.json", "the node container's id", DOWN),
    "applied": File("clusters/{cluster}/applied.json", "the node container's id and the objects' digest", DOWN),
    "applied-boulder": File("clusters/{cluster}/applied-boulder.json", "as `applied`", DOWN),
    "boulder": File("clusters/{cluster}/boulder.json", "", DOWN),  # how `up` started Boulder, for `restart`: up.py
    "route": File("clusters/{cluster}/route.json", "the node container's id and start, and this project's rules", DOWN),
    "dns": File("clusters/{cluster}/dns.json", "as `route`, and Boulder's `dns`", DOWN),
    "closed": File("clusters/{cluster}/closed.json", "as `route`, the Services' addresses and the networks", DOWN),
    "databases": File(
        "clusters/{cluster}/databases.json", "the node container's id, and the files that databases are made from", DOWN
    ),
    "engine": File("clusters/{cluster}/engine.json", "the node container's id and start", DOWN),
    "overlay": File(
        "clusters/{cluster}/overlay.json", "kubectl, and the digest of every file of the run overlay and of k8s/", DOWN
    ),
    "discovery": File("clusters/{cluster}/discovery.json", "the kubernetes package's version, which checks it", DOWN),
    "volume": File("volumes/{cluster}.json", "", IMAGES),  # its node image and creation time: volume.py compares
    "compose": File("compose/config.json", "whatever Compose reads: compose_key.py", NEVER),
    "compose-next": File("compose/next.json", "as `compose`", NEVER),
    "loaded": File("loaded.json", "", NEVER),  # which images `images load` loaded: ids by reference
    "versions": File("versions.json", "", NEVER),  # of kind and kubectl, by the executable's identity
}


def path(state: Path, cluster: str, name: str) -> Path:
    """Returns the path of a file of FILES. state: the directory .state."""
    return state / FILES[name].place.format(cluster=cluster)


def read(path: Path, key: Any = None) -> Any:
    """Returns the answer that was kept under this key, or None."""
    record = read_json(path)
    return record.get("answer") if isinstance(record, dict) and record.get("key") == key else None


def write(path: Path, answer: Any, key: Any = None) -> None:
    """Keeps an answer, a JSON value, under a key. Another command may write the same file at the same time. Raises
    OSError.
    """
    private_directory(path.parent)
    write_whole(path, json.dumps({"key": key, "answer": answer}))


def remembered(path: Path, key: Any, ask: Callable[[], Any], holds: Callable[[], bool] = lambda: True) -> Any:
    """Returns the answer that was kept under this key; if there is none, calls `ask`, keeps its answer if `holds` says that it is the
    answer to this key, and returns it.
    """
    known = read(path, key)
    if known is not None:
        return known
    answer = ask()
    if holds():
        with suppress(OSError):  # a full disk: the next command asks again
            write(path, answer, key)
    return answer


def read_object(path: Path) -> dict:
    """Returns the JSON object in a file that is not an answer, such as run.json; {} if it cannot be read."""
    found = read_json(path)
    return found if isinstance(found, dict) else {}


def read_list(path: Path) -> list:
    """Returns the JSON list in a file, as `read_object`; [] if it cannot be read."""
    found = read_json(path)
    return found if isinstance(found, list) else []


def read_json(path: Path) -> Any:
    """Returns the JSON value in a file, which may end anywhere; None if it cannot be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None
