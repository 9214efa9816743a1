"""What `invoke doctor` checks of this project: the checkout, and what earlier commands have left. Returns as in
machine.py.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from ..cluster import volume
from ..cluster.kind import Cluster
from ..cluster.node import mounts
from ..host import docker, process, tools
from ..host import lock as locks
from ..host.errors import Problem
from ..host.names import CHECKOUT_MOUNT, RUNS_MOUNT
from ..manifests import borrowed, checkout, compose, drift, overlay, selection, written
from .machine import FAIL, OK, WARNING, Machine


def boulder_checkout(machine: Machine) -> tuple[str, ...]:
    """Checks that the checkout is one of Boulder, belongs to the user, can be written, and is known to git."""
    found = checkout.Checkout(
        checkout.place(
            machine.environ, checkout.current_directory(), machine.settings.root, machine.settings.known_checkout
        )
    )
    if missing := found.missing():
        if named := machine.environ.get("BOULDER_DIR"):
            return (
                FAIL,
                f"BOULDER_DIR={named} is not a Boulder checkout: it has no {missing[0]}",
                "Set BOULDER_DIR to a clone of Boulder.",
            )
        return OK, "no checkout here: the first run clones the pinned revision, unless BOULDER_DIR names a checkout"
    owner = found.path.stat().st_uid
    if os.geteuid() not in (0, owner):
        return (
            WARNING,
            f"{found.path} belongs to user {owner}, not to you",
            "Use a checkout that is yours: tests write to it, and git refuses those of other users.",
        )
    if not os.access(found.path, os.W_OK):
        return FAIL, f"{found.path} cannot be written by you", "Tests write to it: use a checkout that is yours."
    borrowed.check(found.path)
    if outside := found.external_git_directory():
        return (
            WARNING,
            f"{found.path} is a git worktree; git in the pod cannot see {outside}",
            "Use a clone for --generate; everything else works.",
        )
    revision = found.revision()
    if revision == "unknown" and (found.path / ".git").exists():
        return (
            WARNING,
            f"git does not say which revision {found.path} is",
            f"Run `git -C {found.path} status` and correct what it reports; until then, runs record no revision.",
        )
    return OK, f"{found.path} at {revision[:9]}"


def compose_file(machine: Machine) -> tuple[str, ...]:
    """Checks whether the checkout's Compose files are followed, as a run does before it starts anything: config and config-next.

    Needs neither a cluster nor an image. Raises Problem in a run's words if Compose or we refuse them.
    """
    found = checkout.Checkout(checkout.path_of_command(machine.settings, machine.environ))
    if found.missing():
        return OK, "no checkout here: nothing to compare"
    converted, said = set(), {}
    for config_next in (False, True):
        new, notes = followed(machine, found, config_next)
        converted |= new
        said |= dict.fromkeys(notes)
    files = " with ".join(written.files(found.path, False, machine.environ))
    if said:
        return WARNING, "; ".join(said), "Runs go on nevertheless; docs/parity.md says what is followed."
    if converted:
        return OK, f"{files} is followed; converted are {', '.join(sorted(converted))}"
    return OK, f"{files} is followed; k8s/base has every service"


def followed(machine: Machine, found: checkout.Checkout, config_next: bool) -> tuple[set[str], list[str]]:
    """Returns which services are converted, and what a run would tell. Raises Problem."""
    said: list[str] = []
    try:
        given = compose.document(found.path, config_next, machine.environ)
    except Problem as problem:
        words = [line for line in problem.detail.splitlines() if line.strip() and "level=warning" not in line]
        raise Problem(" ".join([problem.message, *words]), problem.fix) from problem
    document = selection.followed(given, found.path, config_next, machine.environ, said.append)
    services = compose.services(document)
    with tempfile.TemporaryDirectory() as directory:
        options = overlay.RenderOptions.of(
            found,
            document,
            tools.find_kubectl(machine.settings),
            Path(directory) / "overlay",
            config_next=config_next,
            secrets=False,
        )
        rendered = overlay.render(machine.settings, options)
    source = written.finder(found.path, config_next, machine.environ)
    drift.check(document, rendered.objects, machine.environ, said.append, source)
    return {service.name for service in selection.converted(services)}, said


def cluster(machine: Machine) -> tuple[str, ...]:
    """Checks that the cluster is complete and its checkout is there. Raises Problem if the cluster is not ours."""
    ours = Cluster(machine.settings, tools.find(machine.settings))
    node = ours.node()
    if not node:
        return OK, f"no cluster {machine.settings.cluster} yet"
    if ours.record().get("node") != node["Id"]:
        return (
            WARNING,
            f"cluster {machine.settings.cluster} is half made",
            "Nothing to do: the next command makes it again.",
        )
    made_for = mounts(node).get(CHECKOUT_MOUNT, "")
    if not os.path.exists(made_for):  # as Path.exists(), which raises if another user owns what is above
        return FAIL, f"cluster {machine.settings.cluster} is for the checkout {made_for}, which is gone", "invoke down"
    return (
        OK,
        f"cluster {machine.settings.cluster} for {made_for}, {'running' if node['State']['Running'] else 'stopped'}",
    )


def other_clusters(machine: Machine) -> tuple[str, ...]:
    """Checks whether this project has clusters of other names."""
    names = process.run(
        ["docker", "ps", "--all", "--filter", "label=io.x-k8s.kind.cluster", "--format", "{{.Names}}"], timeout=60
    ).split()
    ours = [
        name
        for name in names
        if name != machine.settings.node
        and mounts(docker.inspect_container(name) or {"Mounts": []}).get(RUNS_MOUNT) == str(machine.settings.runs)
    ]
    if not ours:
        return OK, "this project has no other cluster"
    clusters = [name.removesuffix("-control-plane") for name in ours]
    return (
        WARNING,
        f"this project's clusters of other names: {', '.join(clusters)}",
        f"If one is not needed: KIND_CLUSTER={clusters[0]} invoke down",
    )


def lock(machine: Machine) -> tuple[str, ...]:
    """Checks whether another command uses the cluster.

    The kernel drops a lock with its process, so a lock is never out of date; only the note of who held it may be.
    """
    holder, held = locks.look(machine.settings)
    if held:
        return WARNING, f"cluster {machine.settings.cluster} is in use: {holder}", "Wait for it to end."
    return OK, f"idle; the last command ({holder}) did not finish; the next one cleans up" if holder else "idle"


def volumes(machine: Machine) -> tuple[str, ...]:
    """Tells which volumes of this project keep the images of clusters that are gone; never a warning."""
    idle = [name for name in volume.kept(machine.settings) if not docker.inspect_container(f"{name}-control-plane")]
    if not idle:
        return OK, "no images of clusters that are gone"
    return (
        OK,
        f"images are kept for the next cluster {', '.join(idle)} (KIND_CLUSTER={idle[0]} invoke down --images drops them)",
    )


CHECKS: tuple[Callable[[Machine], tuple[str, ...]], ...] = (
    boulder_checkout,
    compose_file,
    cluster,
    lock,
    other_clusters,
    volumes,
)
