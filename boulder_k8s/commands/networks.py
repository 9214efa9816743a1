"""Brings the node and CoreDNS to what the checkout's networks say; asks them again only if these have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..cluster import network
from ..cluster.api import Api
from ..host.settings import Settings
from ..manifests import subnets

Once = Callable[[str, Callable[[], Any], Any], Any]  # Stack.once_a_start


def prepare(once: Once, settings: Settings, system: Api, document: dict) -> bool:
    """Makes the node refuse pods that have ended, and CoreDNS ask whom the checkout's Boulder asks. Returns whether CoreDNS starts anew
    for that. Raises process.Failed, ApiError.

    system: the API server's namespace kube-system. document: the resolved Compose file.
    """
    once("route", lambda: network.refuse_dead_pods(settings), rules(settings))
    servers, changed = subnets.nameservers(document), []

    def follow() -> list[str]:
        changed.append(network.follow_dns(settings, system, servers))
        return servers

    once("dns", follow, [servers, rules(settings)])
    return any(changed)


def refuse_closed_ports(once: Once, settings: Settings, objects: list[dict], document: dict) -> None:
    """Makes the node treat what no Service takes up as Compose's bridges do. objects: what is applied. Raises process.Failed."""
    addresses, networks = network.service_addresses(objects), subnets.of(document)
    seen = [rules(settings), addresses, [[item.subnet, item.host, item.is_shared] for item in networks]]
    once("closed", lambda: network.refuse_closed_ports(settings, addresses, networks), seen)


def rules(settings: Settings) -> str:
    """Returns a digest of what of this project decides the answers: a node outlives a `git pull` that brings other rules. Raises OSError."""
    sources = (Path(network.__file__), *sorted((settings.root / "k8s/cluster").glob("*")))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources if path.is_file())).hexdigest()
