"""Which services a user may name: those of the cluster, and those that the checkout's Compose file starts for Boulder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher

from ..cluster.kind import Cluster
from ..host.errors import Problem
from ..host.names import PART_OF, WORKLOAD_KINDS
from ..host.progress import overdue
from ..host.settings import Settings
from ..manifests import checkout, compose
from ..manifests.checkout import Checkout
from ..manifests.compose import object_name
from ..manifests.workloads import workloads


def named(
    settings: Settings,
    cluster: Cluster,
    services: Sequence[str],
    also: Iterable[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> list[str]:
    """Returns the services' names in Kubernetes. services: as Compose spells them (bredis_3) or as Kubernetes does. also: further
    names that are right.

    The cluster and Compose are asked only for names that k8s/base does not have. Raises Problem naming those that nobody has, or
    ApiError.
    """
    wanted = [object_name(service) for service in services]
    known = {*workloads(), *also}
    for more in (lambda: on_the_cluster(cluster), lambda: of_the_checkout(settings, environ)):
        if known.issuperset(wanted):
            break
        known |= more()
    if unknown := [service for service in services if object_name(service) not in known]:
        raise Problem(
            f"There is no service {', '.join(unknown)}.",
            f"The services are, the nearest first: {', '.join(nearest(unknown[0], known))}.",
        )
    return wanted


def on_the_cluster(cluster: Cluster) -> set[str]:
    """The names of the cluster's workloads; none if it does not run. Raises Problem if it is not ours, or ApiError."""
    if not cluster.settings.kubeconfig.exists() or not cluster.is_running():
        return set()
    with overdue("asking the cluster"):
        return {item["metadata"]["name"] for item in cluster.api.list(*WORKLOAD_KINDS, labels=PART_OF)}


def of_the_checkout(settings: Settings, environ: Mapping[str, str]) -> set[str]:
    """The names in Kubernetes of what t.sh starts; none if there is no checkout, or if Compose refuses its files."""
    found = Checkout(checkout.path_of_command(settings, environ))
    if found.missing():
        return set()
    try:
        document = compose.remembered(found.path, False, settings.file("compose"), environ)
    except Problem:  # a log can be read nevertheless
        return set()
    return {object_name(service) for service in document["services"]}


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Returns the known names, those that resemble `name` most first."""
    return sorted(known, key=lambda other: (-SequenceMatcher(None, name, other).ratio(), other))
