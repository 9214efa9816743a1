"""A Boulder that another cluster of this project runs with the same checkout. Both write into it, which Compose does not prevent either."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..cluster.errors import ApiError
from ..cluster.kind import Cluster
from ..host import process
from ..host.errors import Problem
from ..host.names import BOULDER
from ..host.progress import note
from ..host.settings import Settings
from ..host.tools import Tools

PATIENCE = 3.0  # seconds for another cluster's API server


def tell(settings: Settings, tools: Tools, checkout: Path) -> None:
    """Says in one line for each other cluster that Boulder is up on it with this checkout. What cannot be asked is not said."""
    for other in others(settings, checkout):
        with suppress(Problem, ApiError, process.Failed, OSError):
            if is_up(Cluster(other, tools)):
                note(
                    f"Boulder is up on cluster {other.cluster} with this checkout; it writes into the same .gocache, test/certs and"
                    f" .softhsm-tokens. `KIND_CLUSTER={other.cluster} invoke stop boulder` ends it"
                )


def others(settings: Settings, checkout: Path) -> Iterator[Settings]:
    """Yields the other clusters that are made for a checkout and on which `up` has started Boulder."""
    for path in sorted(settings.state.parent.glob("*/boulder.json")):
        other = replace(settings, cluster=path.parent.name)
        if other.cluster != settings.cluster and other.known_checkout == checkout and other.kubeconfig.exists():
            yield other


def is_up(cluster: Cluster) -> bool:
    """Returns whether a cluster runs, and Boulder on it. Raises Problem, ApiError, process.Failed."""
    if not cluster.is_running():
        return False
    found = cluster.api.find("Deployment", BOULDER, patience=0, timeout=PATIENCE)
    return bool(found and found["spec"].get("replicas", 1))
