"""How the client reaches the API server: its address and credentials from our own kubeconfig, a time limit on every request.

The `kubernetes` package is imported inside functions: it takes 0.3 s, which a command that asks no cluster should not pay.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ..host.files import load_yaml, write_whole
from .errors import Unanswered

if TYPE_CHECKING:
    from kubernetes.client import Configuration
    from kubernetes.dynamic import DynamicClient

CONNECT, ANSWER = 5.0, 60.0  # seconds for a connection, and for the next byte of an answer
IMPORT = threading.Lock()
POOL = 64  # connections that are kept: urllib3 prints a warning for each beyond, and every log that is followed has one
LOCK = threading.RLock()  # discovery fills its cache, and that is not made for two threads


class Unusable(Exception):
    """The kubeconfig is missing, not whole, or its key cannot be kept: asking again cannot help."""


def import_client() -> None:
    """Imports the package. One thread does it: its modules import each other in circles, where two threads meet in a deadlock."""
    with IMPORT:
        import kubernetes.dynamic  # noqa: F401


def connect(kubeconfig: Path, context: str, cache: Path, theirs: bool = False) -> DynamicClient:
    """Returns a client for one context of a kubeconfig. theirs: the user's own may have any kind of credentials; one that kind wrote
    for us has a certificate.

    cache: the file in which the client keeps which kinds the server has. Raises Unusable, or the client's errors if the server does not
    answer.
    """
    from kubernetes.client import ApiClient
    from kubernetes.dynamic import DynamicClient, LazyDiscoverer
    from kubernetes.dynamic.discovery import CacheDecoder, CacheEncoder

    class TimedClient(ApiClient):
        """Never waits for ever on a half-open connection: discovery's own requests have no limit."""

        def call_api(self, *arguments: Any, _request_timeout: Any = None, **options: Any) -> Any:
            return super().call_api(*arguments, _request_timeout=_request_timeout or (CONNECT, ANSWER), **options)

    class WholeCache(LazyDiscoverer):
        """Writes its cache whole: another command may read it at the same time."""

        def __init__(self, client: DynamicClient, cache_file: str) -> None:
            try:  # read here first: the library prints what it cannot read
                json.loads(cache.read_text(), cls=partial(CacheDecoder, client)).get("library_version")
            except Exception:  # whatever it is, it is no cache
                with suppress(OSError):
                    cache.unlink()
            super().__init__(client, cache_file)

        def _write_cache(self) -> None:
            try:
                write_whole(cache, json.dumps(self._cache, cls=CacheEncoder))
            except OSError:  # a full disk: the next command asks again
                with suppress(OSError):
                    cache.unlink()

    try:
        configuration = configured_by_user(kubeconfig, context) if theirs else configured(kubeconfig, context)
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError) as error:
        raise Unusable(f"{kubeconfig} cannot be used: {error}") from error
    configuration.retries = False  # api.py decides what is asked again
    configuration.connection_pool_maxsize = POOL
    return DynamicClient(TimedClient(configuration), cache_file=str(cache), discoverer=WholeCache)


def configured(kubeconfig: Path, context: str) -> Configuration:
    """Returns the client's configuration. Raises all kinds of errors if the kubeconfig is not whole."""
    from kubernetes.client import Configuration

    server, user = chosen(load_yaml(kubeconfig), context)
    configuration = Configuration(host=server["server"], proxy="")  # never by a proxy: the server is on this machine
    if "certificate-authority-data" in server:
        configuration.ca_cert_data = base64.b64decode(server["certificate-authority-data"]).decode()
    if "client-certificate-data" in user:
        # Python's ssl takes a certificate and its key from a file only.
        pem = kubeconfig.with_name("client.pem")
        both = b"".join(base64.b64decode(user[key]) for key in ("client-certificate-data", "client-key-data"))
        if not pem.exists() or pem.read_bytes() != both:
            write_whole(pem, both, mode=0o600)
        configuration.cert_file = configuration.key_file = str(pem)
    return configuration


def configured_by_user(kubeconfig: Path, context: str) -> Configuration:
    """As `configured`, for the user's own kubeconfig: tokens, programs that give one, proxies. Several files may be named, as in
    KUBECONFIG. Writes nothing beside them. Raises ValueError if it has no such context, and all kinds of errors if it is not whole.
    """
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, load_kube_config

    configuration = Configuration()
    try:
        load_kube_config(str(kubeconfig), context, configuration, persist_config=False)
    except ConfigException as error:
        raise ValueError(str(error)) from error
    return configuration


def chosen(document: dict, context: str) -> tuple[dict, dict]:
    """Returns the cluster and the user that a context of a kubeconfig names.

    https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
    """
    named = {
        kind: {item["name"]: item[kind[:-1]] for item in document[kind]} for kind in ("contexts", "clusters", "users")
    }
    found = named["contexts"][context]
    return named["clusters"][found["cluster"]], named["users"][found["user"]]


def limits(timeout: float | None) -> tuple[float, float]:
    """Seconds for a connection and for the next byte of an answer."""
    return CONNECT, ANSWER if timeout is None else timeout


def pieces(response: Any) -> Iterator[bytes]:
    """What a response brings, as it comes. Raises Unanswered if the connection breaks."""
    from urllib3.exceptions import HTTPError

    try:
        yield from response.stream(1 << 16)
    except (HTTPError, OSError) as error:
        raise Unanswered(f"the connection broke: {error}") from error
