"""How the checkout's services are reached: Services and ranges of addresses, as its networks say.

What every service should have is worked out, and compared with what k8s/base has: the usual networks need nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address, ip_network
from pathlib import Path

from ..host.names import BOULDER, NAME, PART_OF
from . import addresses, compose, interfaces, subnets
from .compose import Service
from .convert import Place
from .patches import REACHED, change, deletion
from .subnets import Network
from .workloads import WITHOUT_WORKLOAD, hand_written, workloads

VERSIONS = {"Service": "v1", "NetworkPolicy": "networking.k8s.io/v1"}
Key = tuple[str, str]  # an object's kind and name
Wanted = dict[Key, tuple[str, dict]]  # whose it is, and its spec


def of(base: Path, services: dict[str, Service], place: Place) -> tuple[dict[str, dict], list[dict]]:
    """Returns the run overlay's patches, by the names of their files, and its further objects.

    base: the directory k8s/base. place: as services are converted in. A service whose document says nothing of networks stays as k8s/base
    has it; Compose always says something.
    """
    reach = Reach(base, services, place)
    wanted = reach.wanted()
    ranges = reach.ranges(spec for _, spec in wanted.values())
    patches: dict[str, dict] = {}
    for (kind, name), (owner, spec) in reach.base.items():
        found = wanted.pop((kind, name), None)
        if not found:
            patches[f"reach-{kind}-{name}"] = deletion(VERSIONS[kind], kind, name)
        elif found != (owner, spec):
            patches[f"reach-{kind}-{name}"] = change(
                VERSIONS[kind], kind, name, difference(spec, found[1]), {NAME: found[0]}
            )
    for service in services.values():
        if service.object_name in workloads() and service.document.get("networks"):
            if made := interfaces.changes(base, service, place.document, reach.networks):
                kind = workloads()[service.object_name].kind
                pod = {"template": {"spec": {"initContainers": made}}}
                patches[f"reach-{kind}-{service.object_name}"] = change("apps/v1", kind, service.object_name, pod)
    more = [
        addresses.described(VERSIONS[kind], kind, name, labels(owner), spec)
        for (kind, name), (owner, spec) in wanted.items()
    ]
    return patches, [*ranges, *more]


@dataclass
class Reach:
    """The services of one checkout, and k8s/base below them."""

    directory: Path
    services: dict[str, Service]
    place: Place

    @cached_property
    def networks(self) -> list[Network]:
        """The checkout's networks."""
        return subnets.of(self.place.document)

    @cached_property
    def base(self) -> Wanted:
        """What k8s/base has of these kinds, for any service."""
        found = {}
        for item in hand_written(self.directory).values():
            if item["kind"] in REACHED:
                selector = item["spec"].get("selector") or item["spec"]["podSelector"]["matchLabels"]
                found[item["kind"], item["metadata"]["name"]] = (selector[NAME], item["spec"])
        return found

    @cached_property
    def taken(self) -> set[str]:
        """Addresses that somebody has: a service that asks for it, or the host."""
        fixed = {address for name in self.services for _, address in subnets.fixed_addresses(self.place.document, name)}
        return fixed | {network.host for network in self.networks}

    def wanted(self) -> Wanted:
        """Returns all that the checkout's services should have. If two want one name, a service's own name goes before an alias.

        A name of what runs to its end is one while it runs, as under Compose: a pod that has ended is not ready.
        """
        first: Wanted = {}
        later: Wanted = {}
        for service in self.services.values():
            name = service.object_name
            there = {key: item for key, item in self.base.items() if item[0] == name}
            if name in WITHOUT_WORKLOAD:
                continue
            if service.document.get("network_mode"):
                first["NetworkPolicy", name] = (name, addresses.closed(name))
            elif "networks" in service.document:
                main, *others = self.numbered(service, there.get(("Service", name), ("", {}))[1])
                first["Service", name] = (name, main)
                for number, spec in enumerate(others, 2):
                    later.setdefault(("Service", self.free_name(name, number)), (name, spec))
                for alias in addresses.aliases(service):
                    known = there.get(("Service", alias))
                    spec = self.usable(service, known[1]) if known else addresses.alias(name, main)
                    later.setdefault(("Service", alias), (name, spec))
            else:
                first |= there
        once = compose.one_shots(service.document for service in self.services.values())
        ends = {service.object_name for service in self.services.values() if service.name in once}
        return {
            key: (name, {**spec, "publishNotReadyAddresses": False} if name in ends and "selector" in spec else spec)
            for key, (name, spec) in (later | first).items()
        }

    def numbered(self, service: Service, there: dict) -> list[dict]:
        """Returns the specs of a service's Services, one for each fixed address; the first is for its name. there: what k8s/base has
        for its name, {} if nothing.

        Without a fixed address the name leads to the pod itself, where every port is as the program has it, as under Compose.
        """
        fixed = interfaces.reached_at(service, self.place.document)
        if not there:
            found = addresses.ports(service, self.place.document, self.place.checkout) if fixed else []
            if not found:
                return [addresses.headless(service.object_name)]
            ports = [{"name": f"port-{port}", "port": port} for port in found]
            there = {**addresses.headless(service.object_name), "ports": ports}
        if not fixed:
            return [self.usable(service, there)]
        fixed.sort(key=lambda address: address != there["clusterIP"])
        return [{**there, "clusterIP": address} for address in fixed]

    def free_name(self, name: str, number: int) -> str:
        """Returns the name of the Service for a further address: bredis-2 may be a service of its own."""
        others = {service.object_name for service in self.services.values()}
        return f"{name}-address-{number}" if f"{name}-{number}" in others else f"{name}-{number}"

    def usable(self, service: Service, spec: dict) -> dict:
        """Returns the spec of a Service of k8s/base: with its address there, if Docker could give the service that one, else without."""
        address = spec["clusterIP"]
        mine = [network for network in self.networks if service.name in network.services and network.subnet]
        if mine:
            fits = any(ip_address(address) in ip_network(network.dynamic) for network in mine)
        else:  # Docker chooses the subnet
            fits = not any(network.holds(address) for network in self.networks)
        if fits and address not in self.taken:
            return spec
        return {**spec, "clusterIP": "None", "publishNotReadyAddresses": True}

    def ranges(self, specs: Iterable[dict]) -> list[dict]:
        """Returns a ServiceCIDR for each network whose Services' addresses are not in the range that the cluster has anyway.

        https://kubernetes.io/docs/reference/networking/virtual-ips/#ip-address-objects
        """
        services, _ = subnets.cluster_ranges()
        given = {spec.get("clusterIP", "None") for spec in specs} - {"None"}
        outside = [address for address in given if ip_address(address) not in services]
        found = []
        for subnet in (network.subnet for network in self.networks if any(network.holds(item) for item in outside)):
            name = f"{BOULDER}-{subnet.replace('.', '-').replace('/', '-')}"
            metadata = {"name": name, "labels": dict([PART_OF.split("=")])}
            item = {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": metadata}
            found.append({**item, "spec": {"cidrs": [subnet]}})
        return found


def difference(before: dict, after: dict) -> dict:
    """Returns what a patch says of a spec: the fields that change, or all of it if lists change or fields go."""
    changed = {key: value for key, value in after.items() if before.get(key) != value}
    if before.keys() - after.keys() or {"ports", "selector"} & changed.keys():
        return {"$patch": "replace", **after}
    return changed


def labels(owner: str) -> dict[str, str]:
    """Returns the labels of a service's objects."""
    return {NAME: owner, **dict([PART_OF.split("=")])}
