"""Removes what an earlier checkout had and this one has not, and what cannot be changed in place."""

from __future__ import annotations

from ..host.names import BOULDER, NAME, PART_OF, TEMPLATE, WORKLOAD_KINDS
from ..host.progress import step
from .api import Api
from .watch import wait_until_gone


def remove(api: Api, wanted: list[dict]) -> None:
    """Deletes our workloads, Services and NetworkPolicies that are not wanted; those whose fixed address or, of a Job, template is
    another, which the API server lets nobody change; and Jobs that have failed, so that they run again. Raises ApiError.

    wanted: every object but the Deployment boulder, which may be there or not.
    """
    by_name = {(item["kind"], item["metadata"]["name"]): item for item in wanted}
    by_name["Deployment", BOULDER] = {}
    found = api.list(*WORKLOAD_KINDS, "Service", "NetworkPolicy", labels=PART_OF)
    stale = [item for item in found if is_stale(item, by_name.get((item["kind"], item["metadata"]["name"])))]
    if not stale:
        return
    with step("removing what the checkout no longer has") as show:
        show(", ".join(sorted({item["metadata"]["name"] for item in stale})))
        for item in stale:
            api.delete(item["kind"], item["metadata"]["name"])
        for item in stale:
            if item["kind"] in WORKLOAD_KINDS:  # two of one name would take each other's place
                wait_until_gone(api, "Pod", labels=f"{NAME}={item['metadata']['name']}")


def is_stale(item: dict, wanted: dict | None) -> bool:
    """Returns whether an object of the cluster cannot become what is wanted. wanted: None if nothing of its name is."""
    if wanted is None:
        return True
    if item["kind"] == "Service":
        return wanted["spec"].get("clusterIP") != item["spec"].get("clusterIP")
    if item["kind"] == "Job":
        return is_failed(item) or template(item) != template(wanted)
    return False


def is_failed(item: dict) -> bool:
    """Returns whether an object is a Job that has failed."""
    return item["kind"] == "Job" and bool(item.get("status", {}).get("failed"))


def template(item: dict) -> str:
    """Returns what a Job was made from."""
    return item["metadata"].get("annotations", {}).get(TEMPLATE, "")
