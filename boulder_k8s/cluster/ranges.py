"""Ranges of Services' addresses beyond the cluster's own: ServiceCIDR objects, for checkouts whose networks are others than usual.

https://kubernetes.io/docs/tasks/network/extend-service-ip-ranges/
"""

from __future__ import annotations

import time

from ..host.names import PART_OF
from . import api as door
from .api import Api
from .errors import Rejected

KIND = "ServiceCIDR"
PATIENCE = (
    60.0  # seconds until a Service can have an address of a new range; a range that is being deleted takes 10 s to end
)


def apply(api: Api, objects: list[dict]) -> None:
    """Applies objects as `api.apply` does, ranges first, then Services: these are asked again as long as the API server does not yet give
    out addresses of a range. Raises ApiError.
    """
    ranges = [item for item in objects if item["kind"] == KIND]
    if not ranges:
        api.apply(objects)
        return
    first = [item for item in objects if item["kind"] == "Namespace"]
    services = [item for item in objects if item["kind"] == "Service"]
    deadline = time.monotonic() + PATIENCE
    while True:
        api.apply([*first, *ranges])  # each time: one that was being deleted is gone in the end
        try:
            api.apply(services)
            break
        except Rejected:
            if time.monotonic() > deadline:
                raise
            time.sleep(door.PAUSE)  # nothing to watch: the server's own idea of its ranges comes after the object
    api.apply([item for item in objects if item not in services])


def remove(api: Api, wanted: list[dict]) -> None:
    """Deletes our ranges that are not wanted, without waiting: each ends when no Service has an address of it. Raises ApiError."""
    names = {item["metadata"]["name"] for item in wanted if item["kind"] == KIND}
    for item in api.list(KIND, labels=PART_OF):
        if item["metadata"]["name"] not in names:
            api.delete(KIND, item["metadata"]["name"])
