"""The one door to the API server: reads, creates, changes, deletes and applies objects, through the `kubernetes` package.

Nobody reads an English error text of the API server: status codes become NotFound, Conflict, Forbidden, Unanswered and Rejected.
https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..host.names import NAMESPACE
from .connection import LOCK, Unusable, connect, import_client, limits, pieces
from .errors import Conflict, NotFound, Rejected, Unanswered, translated

if TYPE_CHECKING:
    from kubernetes.dynamic import DynamicClient, Resource

T = TypeVar("T")
PATIENCE = 60.0  # seconds that an API server may take to come back, as after its restart
PAUSE = 0.3  # seconds before an API server that did not answer is asked again
GROUPS = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "Job": "batch/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "ServiceCIDR": "networking.k8s.io/v1",
}  # the API version of a kind; v1 for the others
MERGE, JSON = "application/merge-patch+json", "application/json-patch+json"
REQUEST = "boulder-k8s/request"  # annotation: which `create` made the object
OWNER = "boulder-k8s"  # the field manager of what is applied


@dataclass(frozen=True)
class Api:
    """The API server of one cluster, in one namespace.

    Everywhere, patience: seconds to ask again while there is no answer. timeout: seconds for one answer's next byte.
    """

    kubeconfig: Path
    context: str
    cache: Path  # the discovery cache: which kinds there are and where
    namespace: str = NAMESPACE
    theirs: bool = False  # the kubeconfig is the user's own, and not one that kind wrote for us
    shared: dict[str, DynamicClient] = field(
        default_factory=dict, repr=False, compare=False
    )  # by every namespace's Api

    @property
    def client(self) -> DynamicClient:
        """The client, connected at first use. Its import takes 0.3 s, so `preload` may do it in the background."""
        with LOCK:
            if "client" not in self.shared:
                self.shared["client"] = connect(self.kubeconfig, self.context, self.cache, self.theirs)
            return self.shared["client"]

    def forget(self) -> None:
        """Connects anew next time: the kubeconfig is another one now."""
        self.shared.clear()

    def preload(self) -> None:
        """Imports the client in the background, beside other work."""
        threading.Thread(target=import_client, daemon=True).start()

    def within(self, namespace: str) -> Api:
        """The same server, another namespace."""
        return replace(self, namespace=namespace)

    def is_ready(self) -> bool:
        """Whether the API server says that it is ready (/readyz)."""
        try:
            self.client.request("get", "/readyz", serialize=False, _request_timeout=limits(10.0)).data  # noqa: B018
        except Exception:  # whatever it is, it is not ready
            return False
        return True

    def get(self, kind: str, name: str, patience: float = PATIENCE, timeout: float | None = None) -> dict:
        """Returns an object. Raises NotFound, or another ApiError."""
        return self.ask(lambda: self.send("get", kind, name=name, timeout=timeout), patience)

    def find(self, kind: str, name: str, patience: float = PATIENCE, timeout: float | None = None) -> dict | None:
        """As `get`, but returns None if there is no such object."""
        try:
            return self.get(kind, name, patience, timeout)
        except NotFound:
            return None

    def list(
        self, *kinds: str, labels: str = "", fields: str = "", patience: float = PATIENCE, timeout: float | None = None
    ) -> list[dict]:
        """Returns every object of these kinds, `kind` set on each. labels, fields: selectors, as kubectl's."""
        found = []
        for kind in kinds:
            answer = self.ask(
                lambda kind=kind: self.send("get", kind, label_selector=labels, field_selector=fields, timeout=timeout),
                patience,
            )
            found += [{"apiVersion": GROUPS.get(kind, "v1"), **item, "kind": kind} for item in answer["items"]]
        return found

    def create(self, document: dict, patience: float = PATIENCE) -> dict:
        """Creates an object; returns it as the server has it. Raises Conflict if its name is taken.

        A request whose answer was lost may have arrived: the object is looked up before it is created again, and an annotation tells
        whether this call made it.
        """
        kind, metadata = document["kind"], document["metadata"]
        ours = secrets.token_hex(8)
        annotations = {**metadata.get("annotations", {}), REQUEST: ours}
        document = {**document, "metadata": {**metadata, "annotations": annotations}}
        deadline, lost = time.monotonic() + patience, False
        while True:
            try:
                return self.once(lambda: self.send("create", kind, body=document))
            except Conflict:
                found = self.find(kind, metadata["name"], patience) if lost else None
                if found and found["metadata"].get("annotations", {}).get(REQUEST) == ours:
                    return found
                raise
            except Unanswered:
                lost = True
                if time.monotonic() >= deadline:
                    raise
                time.sleep(PAUSE)

    def patch(self, kind: str, name: str, change: dict | list, patience: float = PATIENCE) -> dict:
        """Changes an object; returns it. change: a merge patch (a dict, RFC 7396), or a JSON patch (a list, RFC 6902).

        A JSON patch is asked once: its tests may not hold a second time.
        """
        how = JSON if isinstance(change, list) else MERGE
        patience = 0 if isinstance(change, list) else patience
        return self.ask(lambda: self.send("patch", kind, name=name, body=change, content_type=how), patience)

    def delete(self, kind: str, name: str, uid: str = "", grace: int | None = None, patience: float = PATIENCE) -> None:
        """Has an object and what it made deleted, without waiting for their end; does nothing if it is not there.

        uid: only this very object. grace: seconds that its containers get, 0 to forget it at once.
        """
        # Of its own accord a deleted Job leaves its pods behind.
        options: dict = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        options |= {"gracePeriodSeconds": grace} if grace is not None else {}
        options |= {"preconditions": {"uid": uid}} if uid else {}
        try:
            self.ask(lambda: self.send("delete", kind, name=name, body=options), patience)
        except NotFound:
            return
        except Conflict:
            if not uid:  # with a uid it means: another object has that name now
                raise

    def apply(self, objects: Iterable[dict]) -> None:
        """Server-side apply, this project owning the fields. Namespaces come first, all else side by side.

        https://kubernetes.io/docs/reference/using-api/server-side-apply/
        """
        groups: tuple[list[dict], list[dict]] = ([], [])
        for item in objects:
            groups[item["kind"] != "Namespace"].append(item)
        with ThreadPoolExecutor(4) as pool:
            for group in groups:
                list(pool.map(self.apply_one, group))

    def apply_one(self, item: dict) -> None:
        """Applies one object. Raises ApiError."""

        def send() -> None:
            self.send(
                "server_side_apply", item["kind"], version=item["apiVersion"], body=item, force_conflicts=True,
                field_manager=OWNER, namespace=item["metadata"].get("namespace", self.namespace),
            )  # fmt: skip

        self.ask(send, PATIENCE)

    def log(self, pod: str, container: str, **options: Any) -> bytes:
        """Returns a container's log. options: the API's, such as tailLines=20, previous="true", timestamps="true"."""
        with self.log_stream(pod, container, **options) as stream:
            return b"".join(stream)

    @contextmanager
    def log_stream(self, pod: str, container: str, **options: Any) -> Iterator[Iterator[bytes]]:
        """A container's log in pieces, as they come; with follow="true" until the container or the connection ends."""
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log"
        query = [("container", container), *options.items()]
        response = self.once(
            lambda: self.client.request(
                "get", path, query_params=query, header_params={"Accept": "*/*"}, serialize=False
            )
        )
        try:
            yield pieces(response)
        finally:
            response.close()

    def resource(self, kind: str, version: str = "") -> Resource:
        """Where objects of a kind are asked for, from the discovery cache."""
        version = version or GROUPS.get(kind, "v1")
        prefix = "apis" if "/" in version else "api"  # without it every group that has a v1 is asked for its kinds
        with LOCK:
            return self.client.resources.get(prefix=prefix, api_version=version, kind=kind)

    def send(self, verb: str, kind: str, version: str = "", timeout: float | None = None, **options: Any) -> Any:
        """One request. Selectors that are empty are left out."""
        resource = self.resource(kind, version)
        options = {key: value for key, value in options.items() if value != ""}
        if resource.namespaced:
            options.setdefault("namespace", self.namespace)
        else:
            options.pop("namespace", None)
        answer = getattr(resource, verb)(**options, serialize=False, _request_timeout=limits(timeout))
        return json.loads(answer.data)

    def ask(self, request: Callable[[], T], patience: float) -> T:
        """Sends an idempotent request; again while there is no answer, for `patience` seconds."""
        deadline = time.monotonic() + patience
        while True:
            try:
                return self.once(request)
            except Unanswered:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(PAUSE)  # nothing to watch: what would be asked is what does not answer

    def once(self, request: Callable[[], T]) -> T:
        """Sends a request; its failures are our own errors."""
        import_client()
        from kubernetes.client.exceptions import ApiException
        from kubernetes.dynamic.exceptions import ResourceNotFoundError
        from urllib3.exceptions import HTTPError

        try:
            return request()
        except ApiException as error:
            raise translated(error, self.is_ready) from error
        except Unusable as error:
            raise Rejected(str(error)) from error
        except ResourceNotFoundError as error:  # a server that has just started does not know all its kinds yet
            raise Unanswered(str(error)) from error
        except (HTTPError, OSError, ValueError) as error:  # no connection, or half an answer
            raise Unanswered(f"the API server does not answer: {error}") from error
