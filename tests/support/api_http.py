"""The HTTP of the tests' API server (api_server.py): paths, verbs, faults. Watches and logs are in api_streams.py."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from support.api_kinds import BY_PLURAL, Kind, discovery
from support.api_objects import Key, Refusal
from support.api_streams import Streams

if TYPE_CHECKING:
    from support.api_server import ApiServer

PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?"
)
NONSENSE = "plugh"  # the message of every error


@dataclass(frozen=True)
class Request:
    """What the server was asked. path: without the query."""

    method: str
    path: str
    query: dict[str, str]
    body: Any


class Cut(Exception):
    """The connection ends here."""


class Handler(Streams, BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer in one packet
    server: Any

    @property
    def api(self) -> ApiServer:
        return self.server.api

    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().setup()

    def log_message(self, *_: object) -> None:
        pass

    def serve(self) -> None:
        url = urlsplit(self.path)
        self.query = dict(parse_qsl(url.query))
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.body = json.loads(text) if text else None
        self.api.requests.append(Request(self.command, url.path, self.query, self.body))
        fault = self.api.fault(self.command, self.path)
        try:
            if fault and fault.how == "hang":
                while not self.api.stopping.wait(0.05) and not self.has_left():
                    pass
            if fault and fault.how in ("before", "hang"):
                raise Cut
            try:
                if fault and fault.how == "fail":
                    raise Refusal(fault.status, "Plover")
                answer = self.answer(url.path)
            except Refusal as refusal:
                answer = refusal.code, status(refusal.code, refusal.reason)
            if fault and fault.how == "after":
                raise Cut
            if answer is not None:
                self.send(*answer)
        except Cut:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    def send(self, code: int, document: dict | str) -> None:
        data = (document if isinstance(document, str) else json.dumps(document)).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def answer(self, path: str) -> tuple[int, dict | str] | None:
        """The answer; None if it has been sent already."""
        if path == "/version":
            return 200, {"major": "1", "minor": "36", "gitVersion": self.api.version}
        if path in ("/readyz", "/livez", "/healthz"):
            return (200, "ok") if self.api.ready else (500, NONSENSE)
        if path == "/fake/reset":  # the fake kind has made another cluster
            self.api.reset()
            return 200, {}
        if found := discovery(path):
            return 200, found
        found = PATH.fullmatch(path)
        version = "/".join(filter(None, [found["group"], found["version"]])) if found else ""
        kind = BY_PLURAL.get((version, found["plural"])) if found else None
        if not kind or bool(found["namespace"]) and not kind.namespaced:
            raise Refusal(404, "NotFound")
        key = Key(kind.name, found["namespace"] or "", found["name"] or "")
        if found["sub"] == "log" and kind.name == "Pod":
            return self.log(key)
        if found["sub"] not in (None, "status"):
            raise Refusal(404, "NotFound")
        return getattr(self, self.command.lower())(kind, key, found["sub"] == "status")

    def get(self, kind: Kind, key: Key, _: bool) -> tuple[int, dict] | None:
        store = self.api.store
        if key.name:
            return 200, store.get(key)
        selectors = (self.query.get("labelSelector", ""), self.query.get("fieldSelector", ""))
        if self.query.get("watch", "").lower() in ("true", "1"):
            self.watch(key, *selectors)
            return None
        with store.changed:
            # As at a real one, the items of a list do not say what they are.
            items = [
                {name: value for name, value in item.items() if name not in ("kind", "apiVersion")}
                for item in store.list(kind.name, key.namespace, *selectors)
            ]
            metadata = {"resourceVersion": str(store.version)}
        return 200, {"kind": f"{kind.name}List", "apiVersion": kind.version, "metadata": metadata, "items": items}

    def post(self, kind: Kind, key: Key, _: bool) -> tuple[int, dict]:
        if kind.name == "SelfSubjectAccessReview":
            asked = self.body["spec"]["resourceAttributes"]
            allowed = f"{asked['verb']} {asked['resource']}" not in self.api.refused
            return 201, {**self.body, "status": {"allowed": allowed}}
        metadata = self.checked(kind, key)["metadata"]
        return 201, self.api.store.create(Key(key.kind, key.namespace, metadata["name"]), self.body)

    def put(self, kind: Kind, key: Key, status: bool) -> tuple[int, dict]:
        return 200, self.api.store.update(key, self.checked(kind, key), status)

    def patch(self, kind: Kind, key: Key, status: bool) -> tuple[int, dict]:
        store = self.api.store
        match self.headers["Content-Type"]:
            case "application/merge-patch+json":
                return 200, store.merge(key, self.body, status)
            case "application/json-patch+json":
                return 200, store.patch(key, self.body)
            case "application/apply-patch+yaml":  # JSON is YAML too
                if "fieldManager" not in self.query:
                    raise Refusal(400, "BadRequest")
                result, new = store.apply(key, self.checked(kind, key), self.query["fieldManager"])
                return 201 if new else 200, result
        raise Refusal(415, "UnsupportedMediaType")

    def delete(self, kind: Kind, key: Key, _: bool) -> tuple[int, dict]:
        options = self.body or {}
        uid = options.get("preconditions", {}).get("uid", "")
        grace = options.get("gracePeriodSeconds", self.query.get("gracePeriodSeconds"))
        if kind.name == "Pod":
            return 200, self.api.controller.end(key, None if grace is None else int(grace), uid)
        self.api.store.delete(key, uid)
        return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    def checked(self, kind: Kind, key: Key) -> dict:
        """The body. Refuses one that is for another path."""
        document = self.body
        namespace = document["metadata"].get("namespace", key.namespace)
        right = (document.get("kind"), document.get("apiVersion"), namespace) == (
            kind.name,
            kind.version,
            key.namespace,
        )
        if not right or key.name not in ("", document["metadata"]["name"]):
            raise Refusal(400, "BadRequest")
        return document


def status(code: int, reason: str) -> dict:
    """https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/"""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "code": code,
        "message": NONSENSE,
    }
