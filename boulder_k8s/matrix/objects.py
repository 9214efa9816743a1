"""A matrix's objects on a cluster: its namespace, what its rows mount, and a Job a row. Made here, and removed here."""

from __future__ import annotations

import copy
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
from .mounts import sources
from .verdict import condition

PREFIX = "boulder-matrix-"
# https://kubernetes.io/docs/concepts/security/pod-security-standards/ Baseline has no NET_ADMIN.
LEVEL = {"pod-security.kubernetes.io/enforce": "privileged"}


@dataclass(frozen=True)
class Matrix:
    """One matrix on a cluster. api: of the namespace that it is in. own: the matrix makes that namespace, and removes it."""

    name: str
    api: Api
    own: bool = True

    @classmethod
    def of(cls, name: str, api: Api, namespace: str = "") -> Matrix:
        """Returns the matrix of this name. api: of any namespace. namespace: one that is there already, "" for one of its own."""
        return cls(name, api.within(namespace or f"{PREFIX}{name}"), not namespace)

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return self.api.namespace

    @property
    def selector(self) -> str:
        """Selects all that belongs to it."""
        return f"{MATRIX}={self.name}"

    @property
    def prefix(self) -> str:
        """What the names of its objects begin with: another matrix may be in the same namespace."""
        return "" if self.own else f"m{self.name.partition('-')[2]}-"

    def namespace_object(self) -> dict:
        """Returns its namespace, which says that it is ours."""
        labels = {PART_OF[0]: PART_OF[1], MATRIX: self.name, **LEVEL}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": labels}}

    def placed(self, item: dict) -> dict:
        """Returns an object as it is created: in the namespace, with the matrix's label and its prefix."""
        metadata = item["metadata"]
        labels = {**metadata.get("labels", {}), PART_OF[0]: PART_OF[1], MATRIX: self.name}
        name = f"{self.prefix}{metadata['name']}"
        found = {**item, "metadata": {**metadata, "name": name, "namespace": self.namespace, "labels": labels}}
        if self.prefix and item["kind"] == "Job":
            found["spec"] = copy.deepcopy(item["spec"])
            for source in sources(found):
                if "configMap" in source:
                    source["configMap"]["name"] = f"{self.prefix}{source['configMap']['name']}"
        return found

    def claim(self) -> None:
        """Makes the namespace; or looks whether it is there, if it is not the matrix's own. Raises Problem, ApiError."""
        if not self.own:
            if self.api.find("Namespace", self.namespace) is None:
                raise Problem(
                    f"There is no namespace {self.namespace} on the cluster {self.api.context}.",
                    "Leave out --namespace: then the matrix makes one of its own and removes it.",
                )
            return
        try:
            self.api.create(self.namespace_object())
        except Conflict as error:
            raise Problem(
                f"The namespace {self.namespace} exists, and this matrix did not make it.",
                "Start the matrix anew: then it has another name.",
            ) from error

    def make(self, mounted: Iterable[dict], jobs: Sequence[dict]) -> None:
        """Makes what the rows mount, and then the rows. Raises ApiError."""
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

    def remove(self) -> bool:
        """Removes all that belongs to the matrix; returns whether it is gone. Raises ApiError."""
        if self.own:
            self.api.delete("Namespace", self.namespace)
            return wait_until_gone(self.api, "Namespace", fields=f"metadata.name={self.namespace}", timeout=120)
        for kind in ("Job", "ConfigMap"):
            for item in self.api.list(kind, labels=self.selector):
                self.api.delete(kind, item["metadata"]["name"])
        return all(wait_until_gone(self.api, kind, labels=self.selector) for kind in ("Pod", "Job", "ConfigMap"))


def names(api: Api, namespace: str = "") -> list[str]:
    """Returns the names of the matrices on a cluster: those whose namespace says that it is ours, or those in a namespace that is
    somebody else's. Raises ApiError.
    """
    ours = "=".join(PART_OF)
    if namespace:
        return sorted(
            {item["metadata"]["labels"].get(MATRIX, "") for item in api.within(namespace).list("Job", labels=ours)}
        )
    found = (item["metadata"] for item in api.list("Namespace", labels=ours))
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
