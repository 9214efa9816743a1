"""Compose's addresses and names inside one pod: every address is one of its `lo`, every name a line of its /etc/hosts.

They are read from the rendered Services, so they are those of `invoke up`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address

from ..host.names import BOULDER, NAME
from ..manifests import interfaces, subnets
from ..manifests.objects import Manifests

# What Kubernetes takes as a host's name.
NAMED = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True)
class Inside:
    """What one pod makes of the networks. of: each workload's addresses, the one of its name first. names: address by name.
    bridges: arguments of prepare.sh for Boulder's public networks.
    """

    of: Mapping[str, tuple[str, ...]]
    names: Mapping[str, str]
    bridges: tuple[str, ...]

    @property
    def arguments(self) -> list[str]:
        """Returns prepare.sh's arguments."""
        return [f"local={address}" for address in self.addresses()] + list(self.bridges)

    def addresses(self) -> list[str]:
        """Returns every address of `lo`, each once, in order."""
        found = {address for own in self.of.values() for address in own}
        return sorted(found, key=ip_address)

    def host_aliases(self, others: Mapping[str, str]) -> list[dict]:
        """Returns the pod's hostAliases. others: names of Compose's extra_hosts, which go before those of services."""
        hosts: dict[str, list[str]] = {}
        for name, address in sorted({**self.names, **others}.items()):
            if NAMED.fullmatch(name):
                hosts.setdefault(address, []).append(name)
        return [{"ip": address, "hostnames": hosts[address]} for address in sorted(hosts)]


def inside(manifests: Manifests, document: Mapping) -> Inside:
    """Returns the addresses and names of the rendered workloads. document: the resolved Compose file.

    A workload that Compose lets Docker give an address, and whose Service has none, gets one that is free.
    """
    own: dict[str, list[str]] = {name: [] for name in manifests.workloads}
    for name in sorted(manifests.services, key=lambda name: (name != owner(manifests, name), name)):
        address = manifests.services[name]["spec"].get("clusterIP", "")
        if is_address(address) and owner(manifests, name) in own:
            own[owner(manifests, name)].append(address)
    for name in own:
        made = interfaces.made(manifests.pod(name).get("initContainers", []))
        own[name] += [address for address in made if "/" not in address and address not in own[name]]
    free = unused(document, {address for given in own.values() for address in given})
    reached = {owner(manifests, name) for name in manifests.services}
    for name, given in own.items():
        if not given and name in reached:
            given.append(next(free))
    names = {}
    for name, service in manifests.services.items():
        address = service["spec"].get("clusterIP", "")
        given = own.get(owner(manifests, name)) or []
        if is_address(address) or given:
            names[name] = address if is_address(address) else given[0]
    return Inside({name: tuple(given) for name, given in own.items()}, names, bridges(manifests))


def bridges(manifests: Manifests) -> tuple[str, ...]:
    """Returns those of prepare.sh's arguments that make a bridge. Not `host=`: on a cluster of somebody else, its way leads out."""
    prepare = next(
        (item for item in manifests.pod(BOULDER).get("initContainers", []) if item["name"] == interfaces.PREPARE), {}
    )
    return tuple(word for word in prepare.get("args") or [] if word.startswith("bridge="))


def owner(manifests: Manifests, service: str) -> str:
    """Returns the workload that a Service leads to."""
    return manifests.services[service]["spec"].get("selector", {}).get(NAME, "")


def is_address(text: str) -> bool:
    """Returns whether a clusterIP is an address: it may be "None", or there may be none."""
    return text not in ("", "None")


def unused(document: Mapping, taken: set[str]) -> Iterator[str]:
    """Yields addresses that Docker could give a service, the last of the network first."""
    for network in subnets.of(document):
        if network.is_shared and network.subnet:
            dynamic = IPv4Network(network.dynamic)
            for number in range(dynamic.num_addresses - 2, 1, -1):
                address = str(dynamic[number])
                if address not in taken and address != network.host:
                    yield address
    yield from (f"10.77.77.{number}" for number in range(254, 138, -1) if f"10.77.77.{number}" not in taken)
