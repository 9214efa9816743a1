"""What the tests' API server (api_server.py) sends bit by bit: watches and logs."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from support.api_objects import Change, Key, Refusal, selects


@dataclass
class Log:
    """What a container has said: (time, line). previous: what the one said that ran before it, None if none did."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    previous: list[tuple[str, str]] | None = None
    ended: bool = False  # a stream that follows ends


class Streams:
    """Part of a Handler (api_http.py)."""

    def has_left(self) -> bool:
        try:
            return self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False

    def begin(self, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def chunk(self, data: bytes) -> None:
        """A piece of a stream; an empty one is its end."""
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def watch(self, key: Key, labels: str, fields: str) -> None:
        store, deadline = self.api.store, time.monotonic() + float(self.query.get("timeoutSeconds", 1800))
        since = int(self.query.get("resourceVersion") or 0)
        with store.changed:
            position = sum(change.version <= since for change in store.history) if since else len(store.history)
            there = [] if since else store.list(key.kind, key.namespace, labels, fields)
        self.begin("application/json")
        for item in there:
            self.event("ADDED", item)
        while (
            not self.broken()
            and (left := deadline - time.monotonic()) > 0
            and not self.api.stopping.is_set()
            and not self.has_left()
        ):
            with store.changed:
                if len(store.history) == position:
                    store.changed.wait(min(left, 0.2))
                changes, position = store.history[position:], len(store.history)
            for change in changes:
                if change.key.kind == key.kind and key.namespace in ("", change.key.namespace):
                    self.tell(change, labels, fields)
        self.chunk(b"")

    def broken(self) -> bool:
        """Whether this watch ends with the error that a test wants."""
        error, self.api.watch_error = self.api.watch_error, None
        if error:
            self.event("ERROR", error)
        return bool(error)

    def tell(self, change: Change, labels: str, fields: str) -> None:
        """An object that the selectors select no more is deleted, for who watches."""
        before, after = (item and selects(item, labels, fields) for item in (change.before, change.after))
        if after:
            self.event("MODIFIED" if before else "ADDED", change.after)
        elif before:
            metadata = {**change.before["metadata"], "resourceVersion": str(change.version)}
            self.event("DELETED", {**(change.after or change.before), "metadata": metadata})

    def event(self, word: str, item: dict) -> None:
        self.chunk(json.dumps({"type": word, "object": item}).encode() + b"\n")

    def log(self, key: Key) -> None:
        pod = self.api.store.get(key)
        names = [item["name"] for item in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]]
        name = self.query.get("container", names[0])
        log = self.api.logs.setdefault((key.name, name), Log())
        previous = self.query.get("previous") == "true"
        if name not in names or previous and log.previous is None:
            raise Refusal(400, "BadRequest")
        self.begin("text/plain")
        said = [*(log.previous if previous else log.lines)]
        for text in lines(said, self.query):
            self.chunk(text)
        if self.query.get("follow") == "true" and not previous:
            self.follow(key, log, len(said), pod["metadata"]["uid"])
        self.chunk(b"")

    def follow(self, key: Key, log: Log, position: int, uid: str) -> None:
        store = self.api.store
        query = {name: value for name, value in self.query.items() if name != "tailLines"}
        while not self.api.stopping.is_set() and not self.has_left():
            with store.changed:
                if len(log.lines) == position and not log.ended:
                    store.changed.wait(0.2)
                new, position = log.lines[position:], len(log.lines)
                pod = store.objects.get(key)
            for text in lines(new, query):
                self.chunk(text)
            if log.ended or not pod or pod["metadata"]["uid"] != uid:
                return


def lines(said: list[tuple[str, str]], query: dict[str, str]) -> Iterator[bytes]:
    """The lines of a log that are asked for."""
    since = query.get("sinceTime", "").rstrip("Z")  # of two times with and without fractions the longer is the later
    chosen = [item for item in said if item[0].rstrip("Z") >= since]
    tail = int(query.get("tailLines", len(chosen)))
    for at, line in chosen[len(chosen) - min(tail, len(chosen)) :]:
        yield (f"{at} {line}\n" if query.get("timestamps") == "true" else f"{line}\n").encode()
