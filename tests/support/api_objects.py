"""The objects of the tests' API server (api_server.py), what has happened to them, and what selects them."""

from __future__ import annotations

import copy
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from support import api_patches
from support.api_kinds import BY_NAME

GIVEN = {"uid", "creationTimestamp", "deletionTimestamp", "generation", "namespace"}  # by the server alone
COUNTED = ("Deployment", "StatefulSet", "ReplicaSet")  # metadata.generation grows with the spec of these


class Refusal(Exception):
    """What the server answers instead of an object."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code, self.reason = code, reason


@dataclass(frozen=True)
class Key:
    """One object's place. namespace: "" for what is in none."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True)
class Change:
    """One thing that happened. before, after: None where the object was or is not there."""

    version: int
    key: Key
    before: dict | None
    after: dict | None


class Store:
    """The objects. Each method is one transaction; nothing that it returns may be changed. `changed` tells of every change."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.listener: Callable[[Change], None] = lambda change: None
        self.history: list[Change] = []
        self.objects: dict[Key, dict] = {}
        self.applied: dict[tuple[Key, str], dict] = {}
        self.version = 1000

    def clear(self) -> None:
        """An empty cluster. Watches are told nothing: it is another cluster."""
        with self.changed:
            self.objects.clear()
            self.applied.clear()

    def get(self, key: Key) -> dict:
        found = self.objects.get(key)
        if found is None:
            raise Refusal(404, "NotFound")
        return found

    def list(self, kind: str, namespace: str = "", labels: str = "", fields: str = "") -> list[dict]:
        """namespace: "" for all."""
        with self.changed:
            found = [(key, item) for key, item in self.objects.items() if key.kind == kind]
        return [
            item for key, item in found if namespace in ("", key.namespace) and selects(item, labels, fields)
        ]  # fmt: skip

    def put(self, key: Key, after: dict | None) -> None:
        """Stores an object, or forgets it, and lets everybody know."""
        before = self.objects.get(key)
        self.version += 1
        if after is None:
            del self.objects[key]
        else:
            after = {**after, "metadata": {**after["metadata"], "resourceVersion": str(self.version)}}
            self.objects[key] = after
        change = Change(self.version, key, before, after)
        self.history.append(change)
        self.changed.notify_all()
        self.listener(change)

    def create(self, key: Key, document: dict) -> dict:
        with self.changed:
            if key in self.objects:
                raise Refusal(409, "AlreadyExists")
            if key.namespace and Key("Namespace", "", key.namespace) not in self.objects:
                raise Refusal(404, "NotFound")
            if key.kind == "Pod" and Key("ServiceAccount", key.namespace, "default") not in self.objects:
                raise Refusal(403, "Forbidden")  # as admission does while a namespace is new
            metadata = {
                **document.get("metadata", {}),
                "name": key.name,
                "uid": str(uuid.uuid4()),
                "creationTimestamp": stamp(),
                **({"namespace": key.namespace} if key.namespace else {}),
                **({"generation": 1} if key.kind in COUNTED else {}),
            }
            kind = BY_NAME[key.kind]
            document = {**copy.deepcopy(document), "apiVersion": kind.version, "kind": kind.name, "metadata": metadata}
            if key.kind in COUNTED:
                document["spec"].setdefault("replicas", 1)
            if "status" in kind.subresources:
                document["status"] = {}
            self.put(key, document)
            return self.objects.get(key, document)

    def update(self, key: Key, document: dict, status: bool = False) -> dict:
        """Replaces an object. Without `status` what the server itself has written into that stays, as at a real one."""
        with self.changed:
            before = self.get(key)
            old, metadata = before["metadata"], dict(document["metadata"])
            if metadata.get("resourceVersion", old["resourceVersion"]) != old["resourceVersion"]:
                raise Refusal(409, "Conflict")
            metadata |= {name: old[name] for name in old.keys() & GIVEN}
            after = {**document, "metadata": metadata}
            if status:
                after = {**before, "status": document["status"]}
            elif "status" in before:
                after["status"] = before["status"]
            if key.kind in COUNTED and after["spec"] != before["spec"]:
                metadata["generation"] = old["generation"] + 1
            metadata["resourceVersion"] = old["resourceVersion"]
            if after != before:  # a change that changes nothing is no event
                self.put(key, after)
            return self.objects.get(key, after)

    def merge(self, key: Key, change: dict, status: bool = False) -> dict:
        with self.changed:
            return self.update(key, api_patches.merge_patch(self.get(key), change), status)

    def patch(self, key: Key, operations: list[dict]) -> dict:
        with self.changed:
            try:
                return self.update(key, api_patches.json_patch(self.get(key), operations))
            except api_patches.TestFailed:
                raise Refusal(422, "Invalid") from None

    def apply(self, key: Key, document: dict, owner: str) -> tuple[dict, bool]:
        """Server-side apply; returns the object and whether it is new."""
        with self.changed:
            last = self.applied.get((key, owner), {})
            managed = {"managedFields": [{"manager": owner, "operation": "Apply"}]}
            document = {**document, "metadata": {**document["metadata"], **managed}}
            new = key not in self.objects
            if new:
                result = self.create(key, document)
            else:
                result = self.update(key, api_patches.apply(self.get(key), document, last))
            self.applied[key, owner] = document
            return result, new

    def delete(self, key: Key, uid: str = "") -> dict:
        """Forgets an object at once. uid: only this very one."""
        with self.changed:
            found = self.get(key)
            if uid and found["metadata"]["uid"] != uid:
                raise Refusal(409, "Conflict")
            self.put(key, None)
            for owned in [item for item in self.applied if item[0] == key]:
                del self.applied[owned]
            return found


def stamp() -> str:
    """Now, as RFC 3339 writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def selects(item: dict, labels: str, fields: str) -> bool:
    """Whether the selectors select an object.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#api
    """
    has = item["metadata"].get("labels") or {}
    return all(label_holds(has, term.strip()) for term in re.split(r",(?![^(]*\))", labels) if term.strip()) and all(
        field_holds(item, term) for term in fields.split(",") if term
    )


def label_holds(has: dict, term: str) -> bool:
    if found := re.fullmatch(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)", term):
        key, operator, values = found.groups()
        return (has.get(key) in [value.strip() for value in values.split(",")]) == (operator == "in")
    if found := re.fullmatch(r"([^=!\s]+)\s*(!=|==|=)\s*(\S*)", term):
        key, operator, value = found.groups()
        return (has.get(key) == value) == (operator != "!=")
    return term[1:].strip() not in has if term.startswith("!") else term in has


def field_holds(item: dict, term: str) -> bool:
    path, operator, value = re.fullmatch(r"([^=!]+)(!=|==|=)(.*)", term).groups()
    found: object = item
    for part in path.split("."):
        found = found.get(part, "") if isinstance(found, dict) else ""
    return (found == value) == (operator != "!=")
