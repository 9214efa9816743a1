"""Kubernetes objects as they change: `kubectl get --watch`, restarted when its connection ends."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .kubectl import Kubectl


class Watch:
    """The pods that a watch has seen last, by name. `next` waits for a change."""

    def __init__(self, kubectl: Kubectl, *arguments: str) -> None:
        self.command = kubectl.command("get", "pods", "--watch", "--output-watch-events", "-o", "json", *arguments)
        self.pods: dict[str, dict] = {}
        self.changes: queue.SimpleQueue[dict] = queue.SimpleQueue()
        self.stopped = threading.Event()
        self.child: subprocess.Popen | None = None
        self.thread = threading.Thread(target=self.follow, daemon=True)

    def follow(self) -> None:
        while not self.stopped.is_set():
            self.child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            for line in self.child.stdout:  # one event a line
                if line.endswith("\n"):  # else the connection was cut within it
                    self.changes.put(json.loads(line))
            self.child.wait()
            self.changes.put({"type": "END"})
            self.stopped.wait(0.5)

    def next(self, timeout: float) -> bool:
        """Takes in the next change, and all that came with it; False when none came within `timeout` seconds."""
        try:
            self.take(self.changes.get(timeout=timeout))
        except queue.Empty:
            return False
        while not self.changes.empty():
            self.take(self.changes.get())
        return True

    def take(self, event: dict) -> None:
        if event["type"] == "END":
            self.pods.clear()  # the next connection lists what there is
        elif event["type"] == "DELETED":
            self.pods.pop(event["object"]["metadata"]["name"], None)
        elif event["object"].get("kind") == "Pod":
            self.pods[event["object"]["metadata"]["name"]] = event["object"]


@contextmanager
def watching(kubectl: Kubectl, *arguments: str) -> Iterator[Watch]:
    """A Watch that is ended with the block. `arguments`: a pod's name, or a selector."""
    watch = Watch(kubectl, *arguments)
    watch.thread.start()
    try:
        yield watch
    finally:
        watch.stopped.set()
        while watch.thread.is_alive():
            if watch.child and watch.child.poll() is None:
                watch.child.kill()  # it only reads
            watch.thread.join(0.05)
