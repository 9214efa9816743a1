"""What is remembered about a cluster is compared here before it is used. What differs is repaired without losing data, or named
with the command that does it.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from pathlib import Path

from ..host import docker, process, state
from ..host.errors import Problem
from ..host.names import CHECKOUT_MOUNT, RUNS_MOUNT
from ..host.progress import note, step
from ..host.settings import Settings
from . import configuration, limits
from .node import identities as node_identities
from .node import identity_in, mounts, published
from .node import state as node_state

RECORD = "/kind/boulder-k8s.json"  # in the node's own file system: it lives as long as the node, and is gone with it
NETWORK = "kind"  # Docker's network of kind's nodes


def identities(settings: Settings, checkout: Path) -> dict[str, list[int]]:
    """Returns what tells the directories that the node mounts from others of their paths, by their keys in the record. Raises
    OSError.
    """
    return dict(zip(("checkout", "runs"), node_identities(checkout, settings.runs), strict=True))


def replaced(settings: Settings, record: dict, checkout: Path) -> bool:
    """Returns whether a directory that the node mounts is another one than when the record was written. Raises OSError.

    An older version wrote less: no `runs`, and of the checkout its inode alone, last.
    """
    return any(
        record.get(name, found) != found and record[name][-1:] != found[:1]
        for name, found in identities(settings, checkout).items()
    )


def recall(settings: Settings, node: dict) -> bool:
    """Takes the record of the node itself, if ours is lost; returns whether there is one: without, the cluster is half made. Raises Problem
    if the node mounts what cannot be made again."""
    ensure_mounted(settings, node)  # otherwise `docker cp` of a stopped node makes directories there, too
    try:
        # `docker cp` reads a node that is paused or stopped, too. A stream of tar, since a file's place may be read-only.
        text = process.run(["docker", "cp", f"{settings.node}:{RECORD}", "-"], timeout=60)
        record = json.loads(text[text.index("{") : text.rindex("}") + 1])
    except (process.Failed, ValueError, subprocess.TimeoutExpired):
        return False
    if record.get("node") not in (node["Id"], ""):
        return False
    state.write(settings.file("cluster"), {**record, "node": node["Id"]})
    note(f"what was remembered about cluster {settings.cluster} was lost; its node tells it")
    return True


def keep_in_node(settings: Settings, record: dict) -> None:
    """Writes the record into the running node. If that fails, only a lost .state can no longer be made up for."""
    command = ["docker", "exec", "-i", settings.node, "tee", RECORD]
    with suppress(process.Failed, subprocess.TimeoutExpired):
        process.run(command, input=json.dumps(record), timeout=60)


def check_fits(settings: Settings, node: dict, checkout: Path) -> None:
    """Raises Problem when the cluster's mounts and ports, fixed when it was made, are not what this command needs."""
    made_for = mounts(node).get(CHECKOUT_MOUNT)
    again = "Run `invoke down` and start again (its databases go with it), or use a second cluster: KIND_CLUSTER=NAME with BOULDER_PORTS."
    if made_for != str(checkout):
        raise Problem(
            f"Cluster {settings.cluster} was made for the checkout {made_for}, not {checkout}.", again, check="cluster"
        )
    ports = published(node)
    if ports != set(settings.ports):
        have = ",".join(str(port) for port in sorted(ports))
        raise Problem(
            f"Cluster {settings.cluster} publishes the ports {have}, not those of BOULDER_PORTS.",
            again,
            check="cluster",
        )


def wake(settings: Settings, node: dict, checkout: Path, record: dict) -> bool:
    """Makes the node run, with the directories that are there now: continues one that is paused, starts one that is stopped, and
    starts one anew that mounts a directory which was replaced. Returns whether its API server has to be waited for. Raises Problem or
    process.Failed.

    Docker looks at the paths of a node's mounts at each start. The databases are in the node's own volume and stay.
    """
    doing = node_state(node)
    if doing == "paused":
        with step(f"the node of cluster {settings.cluster} is paused; continuing it"):
            process.run(["docker", "unpause", settings.node], timeout=60)
    if doing == "stopped":
        start(settings)
        return True
    if replaced(settings, record, checkout) and not sees(settings, checkout):
        note("the checkout or .runs was replaced; the node still has the old one")
        ensure_mounted(settings, node)
        with step(f"starting the node of cluster {settings.cluster} anew; its databases stay"):
            process.run(["docker", "restart", settings.node], timeout=180)
        return True
    return doing == "paused"


def sees(settings: Settings, checkout: Path) -> bool:
    """Returns whether the running node has the very directories that are there now."""
    there = identities(settings, checkout)
    return all(
        identity_in(settings.node, inside) == there[name]
        for name, inside in (("checkout", CHECKOUT_MOUNT), ("runs", RUNS_MOUNT))
    )


def start(settings: Settings) -> None:
    """Starts the stopped node, and makes first what it needs and is gone. Raises Problem or process.Failed."""
    ensure_mounted(settings, docker.inspect_container(settings.node) or {})
    with step(f"starting the node of cluster {settings.cluster}"):
        try:
            process.run(["docker", "start", settings.node])
        except process.Failed as error:
            if "network" not in error.output or "not found" not in error.output:
                raise
            connect_anew(settings)
            process.run(["docker", "start", settings.node])


def connect_anew(settings: Settings) -> None:
    """Makes kind's network again if it was removed, and has the stopped node use it. Raises process.Failed."""
    note(f"Docker's network {NETWORK} was removed; making it again")
    found = process.run(["docker", "network", "ls", "--format", "{{.Name}}"], timeout=60).split()
    if NETWORK not in found:  # as kind makes it, but for IPv6: pkg/cluster/internal/providers/docker/network.go
        masquerade = "com.docker.network.bridge.enable_ip_masquerade=true"
        process.run(["docker", "network", "create", "--driver=bridge", f"--opt={masquerade}", NETWORK], timeout=60)
    process.run(["docker", "network", "disconnect", "--force", NETWORK, settings.node], timeout=60)
    process.run(["docker", "network", "connect", NETWORK, settings.node], timeout=60)


def ensure_mounted(settings: Settings, node: dict) -> None:
    """Makes those files below .state that a node mounts and that are gone: at its next start Docker would make directories of root's
    in their places. Raises Problem if this version of the project has others.
    """
    own = settings.root / ".state"

    def gone() -> list[str]:
        sources = (Path(source) for source in mounts(node).values())
        return [str(source) for source in sources if source.is_relative_to(own) and not is_there(source)]

    if not gone():
        return
    configuration.mounted(settings.root, json.dumps(limits.base_specification(node["Config"]["Image"])))
    if left := gone():
        raise Problem(
            f"{left[0]} is gone, which the node of cluster {settings.cluster} mounts.",
            "Run `invoke down` and start again (its databases go with it).",
            check="cluster",
        )


def is_there(source: Path) -> bool:
    """Returns whether what a node mounts is there: a file, if its name has a suffix, and no directory that Docker made in its place."""
    return source.is_file() if source.suffix else source.exists()
