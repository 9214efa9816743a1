"""Removes what an earlier checkout had and this one has not, and what cannot be changed in place."""

from __future__ import annotations

from collections.abc import Iterator

from ..host.errors import Problem
from ..host.names import BOULDER, NAME, PART_OF, TEMPLATE, WORKLOAD_KINDS
from ..host.progress import step
from .api import OWNER, Api
from .watch import wait_until_gone

CONFIGURATION = ("ConfigMap", "Secret")
ENDING = 60.0  # seconds that pods get to end


def remove(api: Api, wanted: list[dict]) -> None:
    """Deletes our workloads, Services and NetworkPolicies that are not wanted; those whose fixed address or, of a Job, template is
    another, which the API server lets nobody change; and Jobs that have ended: `docker compose run` starts such services again, too.

    wanted: every object but the Deployment boulder, which may be there or not. Raises Problem naming pods that do not end, or ApiError.
    """
    free_volumes(api)
    by_name = {(item["kind"], item["metadata"]["name"]): item for item in wanted}
    by_name["Deployment", BOULDER] = {}
    found = api.list(*WORKLOAD_KINDS, "Service", "NetworkPolicy", "Pod", labels=PART_OF)
    pods = [item for item in found if item["kind"] == "Pod"]
    found = [item for item in found if item["kind"] != "Pod" and is_ours(item)]
    stale = [item for item in found if is_stale(item, by_name.get((item["kind"], item["metadata"]["name"])))]
    there = {item["metadata"]["name"] for item in found if item["kind"] in WORKLOAD_KINDS}
    ending = {item["metadata"]["name"] for item in stale if item["kind"] in WORKLOAD_KINDS}
    ending |= {pod["metadata"]["labels"][NAME] for pod in pods if is_ending(pod)} - there
    if not stale and not ending:
        return
    again = stale and all(has_ended(item) for item in stale)
    with step("removing what runs again" if again else "removing what the checkout no longer has") as show:
        show(", ".join(sorted({*(item["metadata"]["name"] for item in stale), *ending})))
        for item in stale:
            api.delete(item["kind"], item["metadata"]["name"])
        for name in sorted(ending):  # two of one name would take each other's place
            if not wait_until_gone(api, "Pod", labels=f"{NAME}={name}", timeout=ENDING):
                left = [pod["metadata"]["name"] for pod in api.list("Pod", labels=f"{NAME}={name}")]
                raise Problem(
                    f"{', '.join(left) or name} did not end within {ENDING:.0f} s, and another pod is to take its place.",
                    "Run the command again: it waits as long once more; `invoke down` starts from nothing.",
                )


def free_volumes(api: Api) -> None:
    """Lets our PersistentVolumes take a claim of the same name again: one whose claim was deleted, with the namespace perhaps, keeps
    its data and waits for that very claim for ever (https://kubernetes.io/docs/concepts/storage/persistent-volumes/#retain). Raises
    ApiError.
    """
    for item in api.list("PersistentVolume", labels=PART_OF):
        if item.get("status", {}).get("phase") == "Released" and is_ours(item):
            forget = {"spec": {"claimRef": {"uid": None, "resourceVersion": None}}}
            api.patch("PersistentVolume", item["metadata"]["name"], forget)


def prune(api: Api, wanted: list[dict]) -> None:
    """Deletes our ConfigMaps and Secrets that are not wanted and that no pod and no workload names: a changed file gives
    them another hash, thus another name. Raises ApiError.
    """
    kept = {(item["kind"], item["metadata"]["name"]) for item in wanted}
    found = api.list(*CONFIGURATION, labels=PART_OF)
    unwanted = [item for item in found if (item["kind"], item["metadata"]["name"]) not in kept and is_ours(item)]
    if not unwanted:
        return
    named = set(words([item["spec"] for item in api.list(*WORKLOAD_KINDS, "Pod")]))
    for item in unwanted:
        if item["metadata"]["name"] not in named:
            api.delete(item["kind"], item["metadata"]["name"])


def words(value: object) -> Iterator[str]:
    """Yields every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from words(item)


def is_ours(item: dict) -> bool:
    """Returns whether this project has applied an object: labels are copied easily, its owner is not."""
    owners = item["metadata"].get("managedFields")
    return owners is None or any(entry.get("manager") == OWNER for entry in owners)


def is_ending(pod: dict) -> bool:
    """Returns whether a workload's pod is being deleted. If the workload is gone, an earlier command has deleted it."""
    metadata = pod["metadata"]
    return {"deletionTimestamp", "ownerReferences"} <= set(metadata) and NAME in metadata["labels"]


def is_stale(item: dict, wanted: dict | None) -> bool:
    """Returns whether an object of the cluster cannot become what is wanted. wanted: None if nothing of its name is."""
    if wanted is None:
        return True
    if item["kind"] == "Service":
        return wanted["spec"].get("clusterIP") != item["spec"].get("clusterIP")
    if item["kind"] == "Job":
        return has_ended(item) or template(item) != template(wanted)
    return False


def has_ended(item: dict) -> bool:
    """Returns whether an object is a Job that has succeeded or failed."""
    status = item.get("status", {})
    return item["kind"] == "Job" and bool(status.get("succeeded") or status.get("failed"))


def template(item: dict) -> str:
    """Returns what a Job was made from."""
    return item["metadata"].get("annotations", {}).get(TEMPLATE, "")
