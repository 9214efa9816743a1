"""Databases that were made from other files than the checkout has now, and how a service gets empty ones."""

from __future__ import annotations

import hashlib
import subprocess

from ..cluster.api import Api
from ..cluster.watch import wait_until_gone
from ..host import process, state
from ..host.errors import Problem
from ..host.names import BOULDER, NAME, WORKLOAD_KINDS
from ..host.progress import note, step
from ..host.settings import Settings
from ..manifests.checkout import Checkout

DATA = "/var/local/boulder"  # on the node: k8s/base/*/*-persistentvolume.yaml, manifests/volumes.py
MADE_FROM = f"{DATA}/.made-from"  # beside the data, a file for each service: the digest of what it was made from
SCHEMAS = {"bmariadb": ("sa/db",), "bvitess": ("sa/db", "sa/vtschema")}  # read once, when the data is made
READ = {".sql", ".sh", ".gz", ".xz", ".zst", ".json"}  # by MariaDB's image (staging.py), and vschemas
ENDING = 60.0  # seconds that a service gets to end


def check(settings: Settings, node_id: str, checkout: Checkout, names: list[str]) -> None:
    """Says in a line which databases were made from other files than the checkout has. names: services that are ready, so their
    data is made. As under Compose, they go on with what they have.
    """
    wanted = {name: digest(checkout, name) for name in sorted(SCHEMAS.keys() & set(names))}
    try:
        differ = state.remembered(settings.file("databases"), [node_id, wanted], lambda: different(settings, wanted))
    except (process.Failed, subprocess.TimeoutExpired):  # the next command asks again
        return
    if differ:
        places = sorted({place for name in differ for place in SCHEMAS[name] if (checkout.path / place).exists()})
        note(
            f"the databases of {' and '.join(differ)} were made from other files of {' and '.join(places)} than the checkout has; "
            f"`invoke up --fresh {' --fresh '.join(differ)}` makes them anew"
        )


def digest(checkout: Checkout, name: str) -> str:
    """Returns what tells the files apart from which a service makes its databases."""
    found = hashlib.sha256()
    for place in SCHEMAS[name]:
        for path in sorted(
            path for path in (checkout.path / place).rglob("*") if path.suffix in READ and path.is_file()
        ):
            found.update(f"{path.relative_to(checkout.path)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return found.hexdigest()


def different(settings: Settings, wanted: dict[str, str]) -> list[str]:
    """Returns the services whose data was made from something else. Those of which it is not known are taken to have been made from
    this. wanted: the digests, by service. Raises process.Failed.
    """
    on_node = ["docker", "exec", "-i", settings.node]
    process.run([*on_node, "mkdir", "-p", MADE_FROM], timeout=60)
    found = []
    for name, now in wanted.items():
        try:
            made_from = process.run([*on_node, "cat", f"{MADE_FROM}/{name}"], timeout=60).strip()
        except (process.Failed, subprocess.TimeoutExpired):
            made_from = ""
        if not made_from:
            process.run([*on_node, "tee", f"{MADE_FROM}/{name}"], input=now, timeout=60)
        elif made_from != now:
            found.append(name)
    return found


def empty(settings: Settings, api: Api, names: list[str]) -> None:
    """Ends services, and Boulder, and removes their data; whoever applies the manifests next starts them again, with new databases. The
    cluster runs. Raises Problem naming what does not end, process.Failed or ApiError.
    """
    ending = sorted({*names, BOULDER})  # Boulder would go on with what it has read from them
    with step(f"emptying {', '.join(names)}"):
        for name in ending:
            for kind in WORKLOAD_KINDS:
                api.delete(kind, name)
        for name in ending:
            if not wait_until_gone(api, "Pod", labels=f"{NAME}={name}", timeout=ENDING):
                raise Problem(
                    f"{name} did not end within {ENDING:.0f} s, so its data is as it was.",
                    f"Run `invoke up --fresh {names[0]}` again; `invoke down` starts from nothing.",
                )
        for name in names:
            on_node = ["docker", "exec", settings.node, "find", DATA]
            own = ["-mindepth", "1", "(", "-path", f"{DATA}/{name}/*", "-o", "-path", f"{MADE_FROM}/{name}"]
            own += ["-o", "-path", f"{DATA}/volumes/{name}-[0-9]*", ")", "-delete"]
            process.run([*on_node, "-depth", *own], timeout=300)
    for name in ("applied", "applied-boulder", "databases"):
        settings.file(name).unlink(missing_ok=True)
