"""Objects as they change: a watch, begun again whenever its connection ends.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .api import Api
from .connection import CONNECT
from .errors import ApiError

SILENCE = 45  # seconds after which the server ends a watch, so that a half-open connection is noticed
AGAIN = 0.5  # seconds before a watch that ended is begun again


class Watch:
    """The objects of one kind that a watch has seen last, by name. `next` waits for a change."""

    def __init__(self, api: Api, kind: str, labels: str = "", fields: str = "") -> None:
        self.api, self.kind = api, kind
        self.selectors = {"label_selector": labels or None, "field_selector": fields or None}
        self.objects: dict[str, dict] = {}
        self.changes: queue.SimpleQueue[dict] = queue.SimpleQueue()
        self.stopped = threading.Event()
        self.stream: Any = None  # the client's Watch
        self.thread = threading.Thread(target=self.follow, daemon=True)

    def follow(self) -> None:
        """Watches until `stop`, in a thread; connects again whenever the connection ends."""
        while not self.stopped.is_set():
            try:
                self.api.once(self.connection)
            except (ApiError, LookupError):
                # The server comes back, or whoever asks `next` finds out why not. The library looks for each field of an error in the
                # stream; the server leaves out those that are empty.
                pass
            self.changes.put({"type": "END"})
            self.stopped.wait(AGAIN)

    def connection(self) -> None:
        """One connection, until it ends. It begins with what there is."""
        from kubernetes.watch import Watch as Stream

        self.stream = Stream()
        limits = {"timeout_seconds": SILENCE, "_request_timeout": (CONNECT, SILENCE + 10.0)}
        resource = self.api.resource(self.kind)
        for event in self.stream.stream(
            resource.get, serialize=False, namespace=self.api.namespace, **self.selectors, **limits
        ):
            if self.stopped.is_set():
                return
            if event:  # None: half a line, the connection was cut
                self.changes.put({"type": event["type"], "object": event["raw_object"]})

    def next(self, timeout: float) -> bool:
        """Takes in the next change, and all that came with it; False if none came within `timeout` seconds."""
        try:
            self.take(self.changes.get(timeout=timeout))
        except queue.Empty:
            return False
        while not self.changes.empty():
            self.take(self.changes.get())
        return True

    def take(self, event: dict) -> None:
        """Takes in one event of the API server."""
        if event["type"] == "END":
            self.objects.clear()  # the next connection lists what there is
        elif event["type"] == "DELETED":
            self.objects.pop(event["object"]["metadata"]["name"], None)
        elif event["type"] in ("ADDED", "MODIFIED"):
            self.objects[event["object"]["metadata"]["name"]] = event["object"]

    def stop(self) -> None:
        """Ends the watch at once, in the middle of a silent connection too."""
        self.stopped.set()
        deadline = time.monotonic() + 2
        while self.thread.is_alive() and time.monotonic() < deadline:
            if self.stream:
                self.stream.stop()
            self.thread.join(0.05)


@contextmanager
def watching(api: Api, kind: str = "Pod", labels: str = "", fields: str = "") -> Iterator[Watch]:
    """A Watch that is stopped with the block. labels, fields: selectors, as kubectl's."""
    watch = Watch(api, kind, labels, fields)
    watch.thread.start()
    try:
        yield watch
    finally:
        watch.stop()


def wait_until_gone(api: Api, kind: str, labels: str = "", fields: str = "", timeout: float = 60) -> bool:
    """Waits until no object of these selectors is left; returns whether that came within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    with watching(api, kind, labels, fields) as watch:
        while api.list(kind, labels=labels, fields=fields):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            watch.next(min(left, 5.0))
    return True
