"""Brings the cluster's objects to what was rendered: applies them in order, and removes what an earlier checkout had."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ..cluster import leftovers, ranges, rollout
from ..cluster.api import Api
from ..host import state
from ..host.names import BOULDER, WORKLOAD_KINDS
from ..host.progress import step


@dataclass(frozen=True)
class Before:
    """What the cluster had before. last: the file that remembers what was applied. node_id: the node's. known: workloads
    and pods, as this command saw them; None: unknown.
    """

    last: Path
    node_id: str
    known: list[dict] | None


def ensure(api: Api, before: Before, objects: list[dict], waves: Sequence[set[str]], timeout: float) -> bool:
    """Applies objects, unless this node got exactly these last time and their workloads are there. Returns whether it did.

    waves: workloads that wait for those of the wave before, each `timeout` seconds; if given, objects that nobody wants any
    more are removed first. Raises Problem naming what is not ready, or ApiError.
    """
    last = before.last
    key = [before.node_id, hashlib.sha256(json.dumps(objects, sort_keys=True).encode()).hexdigest()]
    wanted = {(item["kind"], item["metadata"]["name"]) for item in objects if item["kind"] in WORKLOAD_KINDS}
    there = {(item["kind"], item["metadata"]["name"]) for item in before.known or () if not leftovers.is_failed(item)}
    if wanted <= there and state.read(last, key):
        return False
    last.unlink(missing_ok=True)
    if waves:
        leftovers.remove(api, objects)
        ranges.remove(api, objects)
    with step("applying the manifests"):
        later = set().union(*waves[1:])
        ranges.apply(api, [item for item in objects if not is_workload(item, later)])
    for earlier, wave in pairwise(waves):
        if workloads := [item for item in objects if is_workload(item, wave)]:
            rollout.wait(api, sorted(earlier - {BOULDER}), timeout, "what others depend on")
            api.apply(workloads)
    state.write(last, True, key)
    return True


def is_workload(item: dict, names: set[str]) -> bool:
    """Returns whether an object is a workload of one of these names."""
    return item["kind"] in WORKLOAD_KINDS and item["metadata"]["name"] in names
