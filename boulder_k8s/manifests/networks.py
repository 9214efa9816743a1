"""Where a Compose service is reached, against where the manifests make it so: ports, networks, addresses, aliases, host entries."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from ..host.names import BOULDER, NAME
from .compose import extra_hosts
from .differences import ABSENT, Fact
from .objects import Manifests


def published(service: dict, container: dict) -> Iterator[Fact]:
    """Ports that the host answers on. Which port of the host is BOULDER_PORTS' to say."""
    given = {str(port["target"]) for port in service.get("ports") or [] if port.get("published")}
    made = {str(port["hostPort"]) for port in container.get("ports", []) if "hostPort" in port}
    for port in sorted({*given, *made}):
        yield f"port {port}", tuple("published" if port in side else ABSENT for side in (given, made))


def networks(service: dict, name: str, rendered: Manifests, document: dict) -> Iterator[Fact]:
    """The service's networks: addresses and aliases, or that it has no network."""
    if service.get("network_mode"):
        isolated = any(
            item["kind"] == "NetworkPolicy"
            and item["spec"]["podSelector"].get("matchLabels", {}).get(NAME) == name
            and set(item["spec"].get("policyTypes", ())) == {"Ingress", "Egress"}
            and not item["spec"].get("ingress")
            and not item["spec"].get("egress")
            for item in rendered.objects
        )
        yield "network_mode", (service["network_mode"], "none" if isolated else ABSENT)
        return
    for network, given in (service.get("networks") or {}).items():
        given = given or {}
        configured = (document["networks"].get(network, {}).get("ipam") or {}).get("config") or [{}]
        subnet = configured[0].get("subnet", ABSENT)
        address = given.get("ipv4_address")
        clusters = rendered.services.get(name, {}).get("spec", {}).get("clusterIP", ABSENT)
        if network == "bouldernet":
            yield (
                "address",
                (
                    address or configured[0].get("ip_range", ABSENT),
                    clusters if address else within(clusters, configured[0].get("ip_range")),
                ),
            )
            for alias in given.get("aliases") or []:
                selector = rendered.services.get(alias, {}).get("spec", {}).get("selector", {})
                yield f"alias {alias}", ("present", "present" if name in selector.values() else ABSENT)
        elif address:
            prefix = subnet.partition("/")[2]
            yield (
                f"address in {network}",
                (
                    f"{address}/{prefix}",
                    f"{address}/{prefix}" if f"{address}/{prefix}" in rendered.scripts(name) else ABSENT,
                ),
            )
        else:
            reached = name in rendered.services and name != BOULDER
            yield f"network {network}", ("present", "present" if reached else ABSENT)


def within(address: str, network: str | None) -> str:
    """The network if the address lies in it: Compose gives any of its addresses. "None": the pod's own address, whatever it is."""
    if address == "None":
        return network or ABSENT
    if network and address != ABSENT and ipaddress.ip_address(address) in ipaddress.ip_network(network):
        return network
    return address


def hosts(service: dict, pod: dict) -> Iterator[Fact]:
    """The names that Compose's extra_hosts and the pod's hostAliases add to /etc/hosts."""
    given = dict(extra_hosts(service))
    made = {host: item["ip"] for item in pod.get("hostAliases", []) for host in item["hostnames"]}
    for host in sorted({*given, *made}):
        yield f"extra_hosts {host}", (given.get(host, ABSENT), made.get(host, ABSENT))
