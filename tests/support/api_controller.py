"""What happens in a cluster by itself: workloads get their pods, pods start, a namespace gets its account. As a test wants it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable

from support.api_objects import Change, Key, Refusal, Store

HASH = {"Deployment": "pod-template-hash", "StatefulSet": "controller-revision-hash"}  # label: which template a pod has


class Controller:
    """Works at once, in the transaction of the change; or after `delay` seconds, in a thread."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.delay = 0.0  # seconds until a workload or a pod is what it should be
        self.account_delay = 0.0  # seconds until a new namespace has its ServiceAccount
        self.linger = 0.0  # seconds that a pod takes to end when it is deleted, unless that is by force
        self.unready: set[str] = set()  # workloads whose pods start and never get ready, and pods that never do
        self.crashes: dict[str, int] = {}  # workload or pod: the exit code with which its container has ended twice
        self.on_pod: list[Callable[[dict], None]] = []  # called in a thread with each pod that has started
        store.listener = self.changed

    def changed(self, change: Change) -> None:
        key, before, after = change.key, change.before, change.after
        if key.kind == "Namespace" and not before:
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {}}
            self.later(self.account_delay, self.store.create, Key("ServiceAccount", key.name, "default"), account)
        elif key.kind in HASH and (not before or not after or before["spec"] != after["spec"]):
            self.later(self.delay, self.settle, key)
        elif key.kind == "Pod" and after and not before and not owner(after):
            self.later(self.delay, self.start, key, key.name)
        elif key.kind == "Pod" and not after and owner(before):
            self.later(self.delay, self.settle, Key(owner(before)[0], key.namespace, owner(before)[1]))

    def later(self, delay: float, what: Callable, *arguments: object) -> None:
        def act() -> None:
            try:
                what(*arguments)
            except Refusal as refusal:
                if refusal.code == 403:  # the namespace is too new for pods; a real controller tries again, too
                    self.later(0.1, what, *arguments)
                # Otherwise the object is gone meanwhile.

        if not delay:
            act()
            return
        timer = threading.Timer(delay, act)
        timer.daemon = True
        timer.start()

    def settle_all(self) -> None:
        """Once more for every workload, after a test has changed `unready` or `crashes`."""
        for key in [key for key in self.store.objects if key.kind in HASH]:
            self.settle(key)

    def settle(self, key: Key) -> None:
        """Pods as the workload's spec says, and its status as its pods are."""
        with self.store.changed:
            workload = self.store.objects.get(key)
            template = workload["spec"]["template"] if workload else {}
            revision = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]
            wanted = [
                pod_name(key, revision, number) for number in range(workload["spec"]["replicas"] if workload else 0)
            ]
            for pod in self.store.list("Pod", key.namespace):
                name = pod["metadata"]["name"]
                if owner(pod) == (key.kind, key.name) and not (
                    name in wanted and (pod["metadata"]["labels"][HASH[key.kind]] == revision or waits(key, pod))
                ):
                    self.end(Key("Pod", key.namespace, name), grace=30)
            for name in wanted:
                place = Key("Pod", key.namespace, name)
                if place not in self.store.objects:
                    self.store.create(place, from_template(key, workload, revision))
                if self.store.get(place)["metadata"]["labels"][HASH[key.kind]] == revision:
                    self.start(place, key.name)
            if workload:
                pods = [self.store.get(Key("Pod", key.namespace, name)) for name in wanted]
                ready = sum(is_ready(pod) for pod in pods)
                updated = sum(pod["metadata"]["labels"][HASH[key.kind]] == revision for pod in pods)
                status = {"observedGeneration": self.store.get(key)["metadata"]["generation"], "replicas": len(wanted)}
                status |= {"updatedReplicas": updated, "readyReplicas": ready, "availableReplicas": ready}
                status |= {"updateRevision": revision} if key.kind == "StatefulSet" else {}
                self.store.merge(key, {"status": status}, status=True)

    def start(self, key: Key, who: str) -> None:
        """The kubelet's part. who: the name that `unready` and `crashes` know."""
        with self.store.changed:
            pod = self.store.get(key)
            started = pod["status"].get("phase") == "Running"
            self.store.merge(key, {"status": self.status(pod, who)}, status=True)
            pod = self.store.get(key)
        if not started:
            for hook in self.on_pod:
                threading.Thread(target=hook, args=(pod,), daemon=True).start()

    def status(self, pod: dict, who: str) -> dict:
        ready = who not in self.unready and who not in self.crashes
        state: dict = {"restartCount": 0, "state": {"running": {}}, "lastState": {}}
        if code := self.crashes.get(who):
            ended = {"terminated": {"exitCode": code, "reason": "Error"}}
            state = {"restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}
        containers = [
            {"name": item["name"], "ready": ready, "image": item.get("image", ""), **state}
            for item in pod["spec"]["containers"]
        ]
        conditions = [{"type": "Ready", "status": str(ready)}, {"type": "PodScheduled", "status": "True"}]
        return {"phase": "Running", "conditions": conditions, "containerStatuses": containers}

    def end(self, key: Key, grace: int | None, uid: str = "") -> dict:
        """Deletes a pod: by force at once, otherwise when it has ended."""
        with self.store.changed:
            found = self.store.get(key)
            if uid and found["metadata"]["uid"] != uid:
                raise Refusal(409, "Conflict")
            if grace == 0 or not self.linger:
                return self.store.delete(key)
            if "deletionTimestamp" not in found["metadata"]:
                self.store.put(
                    key, {**found, "metadata": {**found["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
                )
                self.later(self.linger, self.store.delete, key, found["metadata"]["uid"])
            return self.store.get(key)


def waits(key: Key, pod: dict) -> bool:
    """Whether a StatefulSet waits for a pod of an old template: https://github.com/kubernetes/kubernetes/issues/67250"""
    return key.kind == "StatefulSet" and not is_ready(pod)


def is_ready(pod: dict) -> bool:
    return any(item == {"type": "Ready", "status": "True"} for item in pod["status"].get("conditions", ()))


def owner(pod: dict) -> tuple[str, str] | None:
    """The workload that made a pod."""
    found = pod["metadata"].get("ownerReferences")
    return (found[0]["kind"], found[0]["name"]) if found else None


def pod_name(key: Key, revision: str, number: int) -> str:
    return f"{key.name}-{number}" if key.kind == "StatefulSet" else f"{key.name}-{revision}-{number:05}"


def from_template(key: Key, workload: dict, revision: str) -> dict:
    """A pod of a workload. owner: the workload itself; a ReplicaSet between them is of no use to a test."""
    template = workload["spec"]["template"]
    labels = {**template.get("metadata", {}).get("labels", {}), HASH[key.kind]: revision}
    owners = [{"kind": key.kind, "name": key.name, "uid": workload["metadata"]["uid"]}]
    metadata = {**template.get("metadata", {}), "labels": labels, "ownerReferences": owners}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
