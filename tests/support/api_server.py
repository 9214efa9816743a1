"""A small API server in a thread of the tests: real HTTP, as much of Kubernetes as `kubernetes.dynamic` and this project ask for.

    with ApiServer() as api:
        api.write_kubeconfig(path)
        api.add({"kind": "Pod", "metadata": {"name": "one"}, "spec": {"containers": [{"name": "c"}]}})
        api.fail("GET", "/pods/one", status=503, times=2)
        ...
        assert api.asked("POST", "/pods") == []

Its messages are nonsense: nobody may read them. https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import base64
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from support.api_controller import Controller
from support.api_http import Handler, Request
from support.api_kinds import BY_NAME
from support.api_objects import Key, Store
from support.api_streams import Log

NAMESPACE = "boulder"


@dataclass
class Fault:
    """What goes wrong with the next requests of one kind. times: how many of them; None: all."""

    method: str
    part: str
    how: str  # "fail", "before", "after", "hang"
    status: int = 0
    times: int | None = 1


class ApiServer:
    """The server and its cluster. `requests` has all that it was asked; `controller` what the cluster does by itself."""

    def __init__(self, namespaces: tuple[str, ...] = (NAMESPACE,)) -> None:
        """namespaces: what a new cluster has besides Kubernetes' own."""
        self.namespaces = namespaces
        self.store = Store()
        self.controller = Controller(self.store)
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.logs: dict[tuple[str, str], Log] = {}  # by pod and container
        self.ready = True  # what /readyz says
        self.version = "v1.36.0"
        self.refused: set[str] = set()  # what the user may not do: "create jobs"
        self.watch_error: dict | None = None  # the Status with which the next watch that looks ends
        self.stopping = threading.Event()
        self.server: Server | None = None
        self.port = 0
        self.reset()

    def __enter__(self) -> ApiServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listens; after `stop` on the same port and with the same objects."""
        self.stopping = threading.Event()
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.api = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Ends every connection and answers no more."""
        if not self.server:
            return
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()
        self.disconnect()
        self.server = None

    def disconnect(self) -> None:
        """Ends every connection there is; new ones are answered."""
        for connection in [*self.server.connections]:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended by itself

    def reset(self) -> None:
        """A new cluster, as kind makes it."""
        self.store.clear()
        for name in ("default", "kube-system", *self.namespaces):
            self.add({"kind": "Namespace", "metadata": {"name": name}})
        corefile = {
            "Corefile": ".:53 {\n    kubernetes cluster.local {\n    }\n    forward . /etc/resolv.conf {\n    }\n}\n"
        }
        self.add({"kind": "ConfigMap", "metadata": {"name": "coredns"}, "data": corefile}, "kube-system")
        labels = {"k8s-app": "kube-dns"}
        spec = {"containers": [{"name": "coredns", "image": "coredns"}]}
        template = {"metadata": {"labels": labels}, "spec": spec}
        spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
        self.add({"kind": "Deployment", "metadata": {"name": "coredns", "labels": labels}, "spec": spec}, "kube-system")

    def add(self, document: dict, namespace: str = NAMESPACE) -> dict:
        """Creates an object without a request."""
        return self.store.create(key(document["kind"], document["metadata"]["name"], namespace), document)

    def find(self, kind: str, name: str, namespace: str = NAMESPACE) -> dict | None:
        return self.store.objects.get(key(kind, name, namespace))

    def change(self, kind: str, name: str, change: dict, namespace: str = NAMESPACE) -> dict:
        """Changes an object by a merge patch, without a request; its status alone where the patch has one."""
        return self.store.merge(key(kind, name, namespace), change, status="status" in change)

    def remove(self, kind: str, name: str, namespace: str = NAMESPACE) -> None:
        self.store.delete(key(kind, name, namespace))

    def say(self, pod: str, container: str, *lines: str, at: str = "", previous: bool = False) -> Log:
        """Adds lines to a container's log. at: when, as RFC 3339 writes it; now if it is empty."""
        log = self.logs.setdefault((pod, container), Log())
        said = [(at or kubelets_stamp(), line) for line in lines]
        with self.store.changed:
            if previous:
                log.previous = [*(log.previous or []), *said]
            else:
                log.lines += said
            self.store.changed.notify_all()
        return log

    def asked(self, method: str, part: str = "") -> list[Request]:
        """The requests so far of one method whose path holds `part`."""
        return [item for item in self.requests if item.method == method and part in item.path]

    def fail(self, method: str, part: str, status: int, times: int | None = 1) -> None:
        """Answers with a status code instead of carrying out what is asked."""
        self.faults.append(Fault(method, part, "fail", status, times))

    def cut(self, method: str, part: str, when: str = "before", times: int | None = 1) -> None:
        """Ends the connection: "before" the request is carried out, or "after", without the answer."""
        self.faults.append(Fault(method, part, when, times=times))

    def hang(self, method: str, part: str, times: int | None = None) -> None:
        """Takes the request and never answers."""
        self.faults.append(Fault(method, part, "hang", times=times))

    def heal(self) -> None:
        """No more faults. What hangs goes on hanging until its client leaves."""
        self.faults.clear()

    def fault(self, method: str, target: str) -> Fault | None:
        """Takes the fault that this request has. target: its path and query."""
        for found in self.faults:
            if found.method == method and found.part in target:
                if found.times is not None:
                    found.times -= 1
                    if not found.times:
                        self.faults.remove(found)
                return found
        return None

    def write_kubeconfig(self, path: Path, context: str = "kind-unit", user: dict | None = None) -> Path:
        """Writes a kubeconfig of this server, as kind writes one; YAML reads JSON. user: credentials, if there are any."""
        path.write_text(json.dumps(kubeconfig(self.url, context, user or {})))
        return path


def kubelets_stamp() -> str:
    """The present time as the kubelet writes it: nine digits, whatever they are."""
    seconds, rest = divmod(time.time_ns(), 10**9)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09}Z"


def kubeconfig(url: str, context: str, user: dict) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": {"server": url}}],
        "users": [{"name": context, "user": user}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "current-context": context,
    }


def certificate(text: str) -> dict:
    """A user of a kubeconfig whose certificate and key are no such thing."""
    encoded = [base64.b64encode(f"{word} of {text}\n".encode()).decode() for word in ("certificate", "key")]
    return dict(zip(("client-certificate-data", "client-key-data"), encoded, strict=True))


def key(kind: str, name: str, namespace: str) -> Key:
    return Key(kind, namespace if BY_NAME[kind].namespaced else "", name)


class Server(ThreadingHTTPServer):
    """Knows its connections, so that it can end them."""

    daemon_threads = True
    api: ApiServer

    def __init__(self, address: tuple[str, int], handler: Callable) -> None:
        super().__init__(address, handler)
        self.connections: set[socket.socket] = set()

    def process_request(self, request: socket.socket, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no error; anything else is a defect of this server, and pytest shows it."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)
