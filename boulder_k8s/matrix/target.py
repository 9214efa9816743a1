"""Which cluster a matrix is on, and who follows it: written down in `.runs/matrix-NAME/`, so that another command finds it again.

A cluster is this project's own, or one whose context the user has typed. The current context of his kubeconfig is no name.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..cluster.api import Api
from ..host import state
from ..host.errors import Problem
from ..host.files import own_directory, private_directory, write_whole
from ..host.settings import Settings

RECORD, LOCK = "matrix.json", "client.lock"
KEEP = 10  # matrices in .runs/


@dataclass(frozen=True)
class Target:
    """A place for a matrix. context: in the kubeconfig, "" for this project's own cluster. kubeconfig: absolute, or several as in
    KUBECONFIG. namespace: one that is there already, "" for one that the matrix makes.
    """

    context: str = ""
    kubeconfig: str = ""
    namespace: str = ""

    @classmethod
    def typed(cls, context: str, kubeconfig: str, environ: Mapping[str, str], namespace: str = "") -> Target:
        """Returns what the user typed. Without a kubeconfig it is kubectl's: KUBECONFIG, else ~/.kube/config. Raises Problem."""
        if not context:
            if kubeconfig:
                raise Problem(
                    f"--kubeconfig {kubeconfig} names no cluster without --context.",
                    "Add --context NAME: the current context of a kubeconfig is never used.",
                )
            return cls(namespace=namespace)
        usual = environ.get("KUBECONFIG") or "~/.kube/config"
        parts = (kubeconfig or usual).split(os.pathsep)
        files = [os.path.abspath(os.path.expanduser(part)) for part in parts if part]
        return cls(context, os.pathsep.join(files), namespace)

    def with_claim(self, claim: str) -> str:
        """Returns a claim for the build cache. Raises Problem if it cannot be where the rows are."""
        if claim and not self.namespace:
            raise Problem(
                f"--cache {claim} names a claim, and the namespace of this matrix is new: it has none.",
                "Add --namespace NAME: that of the claim.",
            )
        return claim

    def api(self, settings: Settings) -> Api:
        """Returns the API server of a cluster that is not ours."""
        digest = hashlib.sha256(json.dumps([self.kubeconfig, self.context]).encode()).hexdigest()[:16]
        cache = private_directory(settings.root / ".state" / "contexts") / f"{digest}.json"
        return Api(Path(self.kubeconfig), self.context, cache, theirs=True)


def directory_of(settings: Settings, name: str) -> Path:
    """Returns the directory of a matrix."""
    return settings.runs / f"matrix-{name}"


def remember(settings: Settings, name: str, target: Target) -> Path:
    """Makes the directory of a matrix, which says where it is; returns it. Removes those of old ones. Raises OSError."""
    own_directory(settings.runs)
    path = private_directory(directory_of(settings, name))
    found = {"name": name, "cluster": settings.cluster, **asdict(target)}
    write_whole(path / RECORD, json.dumps(found) + "\n")
    prune(settings.runs, path)
    return path


def prune(runs: Path, newest: Path) -> None:
    """Removes the directories of the oldest matrices beyond KEEP. `newest` stays, and what a client follows."""
    ours = [path.parent for path in runs.glob(f"matrix-*/{RECORD}") if path.parent != newest]
    ours.sort(key=lambda path: path.name, reverse=True)  # names begin with the time
    for path in ours[KEEP - 1 :]:
        if not is_followed(path):
            shutil.rmtree(path, ignore_errors=True)


def recall(settings: Settings, name: str) -> Target | None:
    """Returns the cluster of a matrix that this project has started, None if it is not known here."""
    found = state.read_object(directory_of(settings, name) / RECORD)
    texts = {item.name: found.get(item.name) for item in fields(Target)}
    return Target(**texts) if all(isinstance(text, str) for text in texts.values()) else None


@contextmanager
def following(path: Path) -> Iterator[None]:
    """Holds the lock of a matrix's directory while the block runs: a client follows it. Raises Problem if another one does."""
    with open(path / LOCK, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Problem(
                f"Another command follows {path.name} already.", "Wait until it ends, or end it with Ctrl-C there."
            ) from None
        yield


def is_followed(path: Path) -> bool:
    """Returns whether a client on this machine follows a matrix. path: the matrix's directory."""
    try:
        with open(path / LOCK) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
