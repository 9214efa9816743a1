"""The networks of the Compose file: their subnets, which services are on them, and the host's address there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Network, ip_address, ip_network
from itertools import combinations
from pathlib import Path

from ..host.files import load_yaml
from ..host.names import BOULDER, SETUP
from ..host.settings import ROOT
from . import written

# What Boulder's networks usually are: whoever has no checkout to look at goes by it. The first is the services' one.
USUAL = ("10.77.77.0/24", "64.112.117.0/24")


@dataclass(frozen=True)
class Network:
    """One network of the Compose file. Addresses are texts.

    subnet: "" if the file leaves it to Docker, which then gives nobody a fixed address. dynamic: what Docker gives addresses from, if
    nobody asks for one. host: the host's own address. services: who is on it, by their Compose names.
    """

    name: str
    subnet: str
    dynamic: str
    host: str
    services: tuple[str, ...]

    @property
    def is_shared(self) -> bool:
        """Whether others than Boulder are on it."""
        return bool(set(self.services) - {BOULDER, SETUP})

    @property
    def is_boulders(self) -> bool:
        """Whether Boulder is on it, and nobody else."""
        return BOULDER in self.services and not self.is_shared

    def holds(self, address: str) -> bool:
        """Returns whether an address lies in the subnet."""
        return bool(self.subnet) and ip_address(address) in ip_network(self.subnet)


def of(document: Mapping) -> list[Network]:
    """Returns the networks that a service of the resolved Compose file is on, by their names."""
    members: dict[str, list[str]] = {}
    for service, given in document["services"].items():
        for name in given.get("networks") or {}:
            members.setdefault(name, []).append(service)
    return [network(name, declared(document, name), tuple(members[name])) for name in sorted(members)]


def network(name: str, declared: Mapping, services: tuple[str, ...]) -> Network:
    """Returns one network. declared: what the file says of it. Without a gateway of its own the host has the first address."""
    found = next((item for item in ipam(declared) if ":" not in item.get("subnet", ":")), None)
    if not found:
        return Network(name, "", "", "", services)
    subnet = IPv4Network(found["subnet"], strict=False)
    dynamic = IPv4Network(found.get("ip_range") or subnet, strict=False)
    first = dynamic[0] if dynamic[0] != subnet[0] else dynamic[1]
    return Network(name, str(subnet), str(dynamic), str(found.get("gateway") or first), services)


def declared(document: Mapping, name: str) -> Mapping:
    """Returns what the file says of a network."""
    return (document.get("networks") or {}).get(name) or {}


def ipam(declared: Mapping) -> list[dict]:
    """Returns the subnets that the file gives a network, as Compose writes them."""
    return (declared.get("ipam") or {}).get("config") or []


def fixed_addresses(document: Mapping, service: str) -> list[tuple[Network, str]]:
    """Returns the fixed addresses of a service, each with its network; that of most services first, because its name leads there."""
    given = document["services"][service].get("networks") or {}
    found = [
        (item, str((given[item.name] or {}).get("ipv4_address") or "")) for item in of(document) if item.name in given
    ]
    return sorted(
        ((item, address) for item, address in found if address), key=lambda pair: (-len(pair[0].services), pair[0].name)
    )


def own_address(document: Mapping, network: Network) -> str:
    """Returns Boulder's address in a network that nobody else is on; "" if only Docker knows it. The first container that asks
    for none gets the first that is free.
    """
    given = document["services"][BOULDER]["networks"][network.name] or {}
    if not network.subnet:
        return ""
    free = (str(address) for address in IPv4Network(network.dynamic) if address != IPv4Network(network.subnet)[0])
    return str(given.get("ipv4_address") or next(address for address in free if address != network.host))


def nameservers(document: Mapping) -> list[str]:
    """Returns Boulder's `dns`: whom Docker's resolver asks for what it does not know. Empty: whom the machine asks."""
    return [str(address) for address in document["services"].get(BOULDER, {}).get("dns") or []]


@cache
def cluster_ranges(root: Path = ROOT) -> tuple[IPv4Network, IPv4Network]:
    """Returns the cluster's own ranges: that of Services, and that of pods. root: the directory of this project."""
    given = load_yaml(root / "k8s/cluster/kind.yaml")["networking"]
    return IPv4Network(given["serviceSubnet"]), IPv4Network(given["podSubnet"])


def check(document: Mapping, checkout: Path, config_next: bool) -> None:
    """Raises Problem naming each network that the cluster cannot follow. checkout, config_next: where the file stands."""
    if found := list(refused(document)):
        files = {name: written.source(checkout, config_next, name, "", section="networks")[0] for name, _, _ in found}
        raise written.refusal([(f"{files[name]}: the network {name} {what}", advice) for name, what, advice in found])


def refused(document: Mapping) -> Iterator[tuple[str, str, str]]:
    """Yields what the cluster cannot follow: a network, what is wrong with it, and what to do."""
    found = [item for item in of(document) if item.is_shared or item.is_boulders]
    for item in found:
        given = declared(document, item.name)
        if given.get("external"):
            yield item.name, "is `external`: the cluster cannot join it", "declare its subnet in the file"
        elif given.get("driver") not in (None, "", "bridge", "default"):
            yield item.name, f"has the driver {given['driver']}", "use the driver bridge"
        elif given.get("enable_ipv4") is False or (ipam(given) and not item.subnet):
            yield item.name, "has IPv6 only, and the cluster IPv4", "give it an IPv4 subnet too"
        for name in item.services:
            address = ((document["services"][name]["networks"] or {})[item.name] or {}).get("ipv4_address")
            if address and not item.holds(address):
                where = f"is not in its subnet {item.subnet}" if item.subnet else "is in no subnet: it has none"
                yield item.name, f"gives {name} the address {address}, which {where}", "correct one of them"
    yield from overlapping([item for item in found if item.subnet])


def overlapping(networks: list[Network]) -> Iterator[tuple[str, str, str]]:
    """As `refused`: subnets that have addresses in common, with each other or with the cluster's own."""
    services, pods = cluster_ranges()
    for item in networks:
        for taken, whose in ((pods, "pods"), (IPv4Network((services[0], 24)), "own Services")):
            if ip_network(item.subnet).overlaps(taken):
                yield (
                    item.name,
                    f"has the subnet {item.subnet}, and the cluster's {whose} are in {taken}",
                    "use another",
                )
    for one, other in combinations(networks, 2):
        if ip_network(one.subnet).overlaps(ip_network(other.subnet)):
            yield other.name, f"has the subnet {other.subnet}, which overlaps {one.subnet} of {one.name}", "use another"
