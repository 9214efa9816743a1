"""A matrix's objects on a cluster: a namespace of its own, what its rows mount, and a Job a row. Made here, and removed here."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..cluster.api import PATIENCE, Api
from ..cluster.errors import Conflict
from ..cluster.watch import wait_until_gone, watching
from ..host.errors import Problem
from .job import MATRIX, PART_OF
from .verdict import condition

PREFIX = "boulder-matrix-"
# https://kubernetes.io/docs/concepts/security/pod-security-standards/ Baseline has no NET_ADMIN.
LEVEL = {"pod-security.kubernetes.io/enforce": "privileged"}


@dataclass(frozen=True)
class Matrix:
    """One matrix on a cluster. api: of its namespace."""

    name: str
    api: Api

    @classmethod
    def of(cls, name: str, api: Api) -> Matrix:
        """Returns the matrix of this name. api: of any namespace."""
        return cls(name, api.within(f"{PREFIX}{name}"))

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return self.api.namespace

    @property
    def selector(self) -> str:
        """Selects all that belongs to it."""
        return f"{MATRIX}={self.name}"

    def namespace_object(self) -> dict:
        """Returns its namespace, which says that it is ours."""
        labels = {PART_OF[0]: PART_OF[1], MATRIX: self.name, **LEVEL}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": labels}}

    def placed(self, item: dict) -> dict:
        """Returns an object as it is created: in the namespace, with the matrix's label."""
        metadata = item["metadata"]
        labels = {**metadata.get("labels", {}), PART_OF[0]: PART_OF[1], MATRIX: self.name}
        return {**item, "metadata": {**metadata, "namespace": self.namespace, "labels": labels}}

    def make(self, mounted: Iterable[dict], jobs: Sequence[dict]) -> None:
        """Makes the namespace, what the rows mount, and then the rows. Raises Problem if the namespace is there already, ApiError."""
        try:
            self.api.create(self.namespace_object())
        except Conflict as error:
            raise Problem(
                f"The namespace {self.namespace} exists, and this matrix did not make it.",
                "Start the matrix anew: then it has another name.",
            ) from error
        self.wait_for_account()
        with ThreadPoolExecutor(4) as pool:
            things = list(pool.map(self.create, mounted))
            owners = [owner(item) for item in pool.map(self.create, jobs)]
            # So that the garbage collector removes them after the last Job, which has a time to live.
            change = {"metadata": {"ownerReferences": owners}}
            list(pool.map(lambda item: self.api.patch(item["kind"], item["metadata"]["name"], change), things))

    def create(self, item: dict) -> dict:
        """Creates an object; returns it as the server has it. Raises ApiError."""
        return {**item, **self.api.create(self.placed(item))}

    def wait_for_account(self) -> None:
        """Waits until the namespace has its ServiceAccount: without it the first pods are refused, and come a second later."""
        with watching(self.api, "ServiceAccount", fields="metadata.name=default") as watch:
            deadline = time.monotonic() + PATIENCE
            while "default" not in watch.objects and time.monotonic() < deadline:
                watch.next(1)

    def has_ended(self) -> bool:
        """Returns whether every row has ended. Raises ApiError."""
        return all(condition(item, "Complete", "Failed") for item in self.api.list("Job", labels=self.selector))

    def remove(self, wait: bool = True) -> bool:
        """Removes all that belongs to the matrix; returns whether it is gone, which is only known if `wait`. Raises ApiError."""
        self.api.delete("Namespace", self.namespace, patience=PATIENCE if wait else 5)
        if not wait:
            return False
        return wait_until_gone(self.api, "Namespace", fields=f"metadata.name={self.namespace}", timeout=120)


def names(api: Api) -> list[str]:
    """Returns the names of the matrices on a cluster: those whose namespace says that it is ours. Raises ApiError."""
    found = (item["metadata"] for item in api.list("Namespace", labels="=".join(PART_OF)))
    return sorted(
        item["labels"][MATRIX] for item in found if item["name"] == f"{PREFIX}{item['labels'].get(MATRIX, '')}"
    )


def owner(item: dict) -> dict:
    """Returns the reference to an object that owns others."""
    names = {"name": item["metadata"]["name"], "uid": item["metadata"]["uid"]}
    return {"apiVersion": item["apiVersion"], "kind": item["kind"], **names}


def new_name() -> str:
    """Returns a name that no other matrix has."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
