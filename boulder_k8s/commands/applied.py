"""Brings the cluster's objects to what was rendered: applies them in order, and removes what an earlier checkout had."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

from ..cluster import leftovers, ranges, rollout
from ..cluster.api import Api
from ..host import state
from ..host.names import BOULDER, WORKLOAD_KINDS
from ..host.progress import step

# What may have been taken away, and makes a difference. A list of each kind takes some milliseconds.
LOOKED_AT = (*WORKLOAD_KINDS, "Service", "ConfigMap", "Secret", "NetworkPolicy")


def look(api: Api, timeout: float) -> list[dict]:
    """Returns the workloads and pods, and other objects without their contents. timeout: seconds for one answer. Raises ApiError
    if it does not come.
    """
    with ThreadPoolExecutor(1) as pool:
        ours = pool.submit(rollout.objects, api, timeout=timeout, patience=0)
        others = api.list(*LOOKED_AT[len(WORKLOAD_KINDS) :], timeout=timeout, patience=0)
        slim = [{"kind": item["kind"], "metadata": {"name": item["metadata"]["name"]}, "spec": {}} for item in others]
        return ours.result() + slim


def ensure(
    api: Api,
    objects: list[dict],
    last: Path,
    node_id: str,
    known: list[dict] | None,
    waves: Sequence[set[str]] = (),
    timeout: float = rollout.PATIENCE,
    prune: bool = False,
    only: Set[str] | None = None,
) -> bool:
    """Applies objects, unless this node got exactly these last time and they are there: Jobs run before each command's tests. Returns
    whether it did.

    last: the file that remembers what was applied. node_id: the node's. known: what `look` told this command; None: unknown. waves: workloads that wait for those of the wave before, each `timeout` seconds. prune: first remove what nobody wants
    any more. only: names of the workloads that are applied; the others stay as they are. Raises Problem naming what is not ready or does not end, or ApiError.
    """
    every = objects
    if only is not None:
        objects = [item for item in every if item["kind"] not in WORKLOAD_KINDS or item["metadata"]["name"] in only]
        waves = [wave for wave in (each & only for each in waves) if wave]
    key = [node_id, hashlib.sha256(json.dumps(objects, sort_keys=True).encode()).hexdigest()]
    wanted = {(item["kind"], item["metadata"]["name"]) for item in objects if item["kind"] in LOOKED_AT}
    there = {(item["kind"], item["metadata"]["name"]) for item in known or () if not leftovers.has_ended(item)}
    if wanted <= there and state.read(last, key):
        return False
    last.unlink(missing_ok=True)
    if prune:
        leftovers.remove(api, every)
        ranges.remove(api, every)
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
