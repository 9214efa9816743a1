"""The checkout as git sees it, packed once and delivered once: a git pack, in pieces, in ConfigMaps.

A pack holds one commit, what is staged, and the working tree: tracked files as they are now, and files that git does not ignore. It has
no history. Boulder's is 8 MB, nine ConfigMaps. They lie where the Jobs lie, in the cluster's own store: a row whose node dies gets them
again, whoever else is gone, and nothing has to run, be pulled or be reached for it.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..host import git, process
from ..host.errors import Problem
from ..host.files import private_directory
from ..host.settings import ROOT
from ..manifests import working_tree
from ..manifests.checkout import Checkout

PIECE = 1_000_000  # bytes in a ConfigMap, which takes 1 MiB with its names
MOST = 100  # pieces: etcd keeps 2 GiB, and its members send each other all of it
PROGRAMS = "matrix-programs"  # the ConfigMap that row-job.yaml mounts
PATIENCE = 120.0  # seconds for each git
ADVICE = "`git status` shows what git sees there; what it ignores stays here."


@dataclass(frozen=True)
class Delivery:
    """What the rows unpack. pack: the git pack. commit: HEAD, "" if there is none. index, tree: what is staged, and the files."""

    pack: bytes
    commit: str
    index: str
    tree: str

    @property
    def variables(self) -> dict[str, str]:
        """What deliver.sh reads."""
        return {"COMMIT": self.commit, "INDEX": self.index, "TREE": self.tree}

    @property
    def names(self) -> list[str]:
        """The names of the ConfigMaps, in order; another pack has others."""
        digest = hashlib.sha256(self.pack).hexdigest()[:10]
        return [f"checkout-{digest}-{number:03}" for number in range(-(-len(self.pack) // PIECE))]

    @property
    def sources(self) -> list[dict]:
        """The sources of the projected volume: files whose names are in the order of the pieces."""
        return [
            {"configMap": {"name": name, "items": [{"key": "pack", "path": f"pack.{number:03}"}]}}
            for number, name in enumerate(self.names)
        ]

    def config_maps(self) -> list[dict]:
        """Returns the ConfigMaps, without a namespace. Nobody can change them: then no kubelet watches them."""
        found = []
        for number, name in enumerate(self.names):
            piece = self.pack[number * PIECE : (number + 1) * PIECE]
            data = {"pack": base64.b64encode(piece).decode()}
            metadata = {"name": name}
            found.append(
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "immutable": True, "binaryData": data}
            )
        return found


def programs() -> dict:
    """Returns the ConfigMap with what runs in the rows' containers besides the checkout's own."""
    pods = ROOT / "boulder_k8s/run/pod"
    files = [*sorted(pods.glob("*.py")), ROOT / "k8s/base/boulder/writeback.py", ROOT / "k8s/matrix/deliver.sh"]
    data = {path.name: path.read_text() for path in files}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": PROGRAMS}, "data": data}


def pack(checkout: Checkout, kept: Path) -> Delivery:
    """Packs the checkout as git sees it now. Neither its index nor its objects change. kept: a directory of ours for what git writes.

    Raises Problem if git cannot read it, or if it is too large.
    """
    try:
        delivery = packed(checkout, kept)
    except (OSError, process.Failed, subprocess.TimeoutExpired) as error:
        raise Problem(
            f"git cannot pack {checkout.path} for the cluster.",
            f"Correct what it names. {ADVICE}",
            getattr(error, "output", None) or str(error),
        ) from error
    if len(delivery.names) > MOST:
        raise Problem(
            f"{checkout.path} is {len(delivery.pack) >> 20} MiB as a git pack; a cluster gets at most {MOST * PIECE >> 20} MiB.",
            f"Let git ignore what the tests do not need (.git/info/exclude is yours alone). {ADVICE}",
        )
    return delivery


def packed(checkout: Checkout, kept: Path) -> Delivery:
    """As `pack`, but raises what git's failures are: OSError, process.Failed, subprocess.TimeoutExpired."""
    private_directory(kept)
    commit = head(checkout.path)
    also = working_tree.prepare(checkout, kept) if commit else fresh(checkout.path, kept)

    def ask(*words: str) -> str:
        return git.run(checkout.path, *words, timeout=PATIENCE, also=also).strip()

    index = ""
    if commit:
        try:
            index = ask("write-tree")
        except process.Failed:  # in the middle of a merge
            index = ask("rev-parse", "HEAD^{tree}")
    ask("add", "--all", ".")
    tree = ask("write-tree")
    wanted = [name for name in (commit, index, tree) if name]
    return Delivery(
        objects(checkout.path, ask("rev-list", "--objects", "--no-walk", *wanted), also), commit, index, tree
    )


def head(checkout: Path) -> str:
    """Returns the commit of a checkout that is a repository itself; "" if it has none."""
    if not (checkout / ".git").exists():  # else it would be about a repository that the checkout lies in
        return ""
    with suppress(process.Failed):
        return git.run(checkout, "rev-parse", "--verify", "--quiet", "HEAD^{commit}", timeout=PATIENCE).strip()
    return ""


def fresh(checkout: Path, kept: Path) -> dict[str, str]:
    """Makes a repository for a checkout that is in none, or has no commit; returns the variables that let git work with it. Raises process.Failed."""
    git.run(None, "init", "--quiet", "--bare", kept / "repository")
    (kept / "index").unlink(missing_ok=True)
    return {
        "GIT_DIR": str(kept / "repository"),
        "GIT_WORK_TREE": str(checkout),
        "GIT_INDEX_FILE": str(kept / "index"),
    }


def objects(checkout: Path, names: str, also: Mapping[str, str]) -> bytes:
    """Returns a pack with these objects. Raises process.Failed."""
    command = ("pack-objects", "--quiet", "--stdout", "--threads=1")  # one: the result is the same each time
    with (
        tempfile.TemporaryFile() as listed,
        tempfile.TemporaryFile() as made,
        tempfile.TemporaryFile() as said,
    ):
        listed.write(f"{names}\n".encode())
        listed.seek(0)
        with git.started(checkout, *command, also=also, stdin=listed, stdout=made, stderr=said) as child:
            child.wait(PATIENCE)
        if child.returncode:
            said.seek(0)
            raise process.Failed(child.args, child.returncode, said.read().decode(errors="replace"))
        made.seek(0)
        return made.read()
