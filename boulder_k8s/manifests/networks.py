"""Where a Compose service is reached, against where the manifests make it so: ports, networks, addresses, aliases, host entries."""

from __future__ import annotations

from collections.abc import Iterator

from ..host.names import BOULDER, NAME
from . import subnets
from .compose import extra_hosts
from .differences import ABSENT, Fact
from .interfaces import made
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
    own = {item["spec"].get("clusterIP", ABSENT) for item in rendered.reaching(name).values()}
    main = rendered.services.get(name, {}).get("spec", {}).get("clusterIP", ABSENT)
    local = made(rendered.pod(name).get("initContainers", []))
    on = {item.name: item for item in subnets.of(document) if item.name in (service.get("networks") or {})}
    names = set()
    for network, given in (service.get("networks") or {}).items():
        given, found = given or {}, on[network]
        address = given.get("ipv4_address")
        if found.is_boulders and found.subnet:
            expected = f"{subnets.own_address(document, found)}/{found.subnet.partition('/')[2]}"
            yield f"address in {network}", (expected, expected if expected in local else ABSENT)
        elif address:
            # Boulder's programs bind its address, so it is local too.
            there = address in own and (name != BOULDER or address in local)
            yield f"address in {network}", (address, address if there else ", ".join(sorted(own)) or ABSENT)
        else:
            subnetted = [item for item in on.values() if item.subnet and main not in (ABSENT, "None")]
            reached = main != ABSENT and (not subnetted or any(item.holds(main) for item in subnetted))
            yield f"network {network}", ("present", "present" if reached else main)
        if "ipv6_address" in given:
            yield f"address in {network}, IPv6", (given["ipv6_address"], ABSENT)
        names |= set(given.get("aliases") or ())
    for alias in sorted(names - {name}):
        yield f"alias {alias}", ("present", "present" if alias in rendered.reaching(name) else ABSENT)
    others = {alias for alias in rendered.reaching(name) if not alias.startswith(f"{name}-")} - {name}
    for alias in sorted(others - names - {service.get("container_name")}):
        yield f"alias {alias}", (ABSENT, "present")


def nameservers(name: str, rendered: Manifests, document: dict) -> list[str]:
    """Whom CoreDNS is told to ask (cluster/network.py): Boulder's `dns`, but for those of the checkout's networks that nobody has."""
    asked = subnets.nameservers(document) if name == BOULDER else []
    there = {item["spec"].get("clusterIP") for item in rendered.services.values()}
    return [item for item in asked if item in there or not any(net.holds(item) for net in subnets.of(document))]


def hosts(service: dict, pod: dict) -> Iterator[Fact]:
    """The names that Compose's extra_hosts and the pod's hostAliases add to /etc/hosts."""
    given = dict(extra_hosts(service))
    made = {host: item["ip"] for item in pod.get("hostAliases", []) for host in item["hostnames"]}
    for host in sorted({*given, *made}):
        yield f"extra_hosts {host}", (given.get(host, ABSENT), made.get(host, ABSENT))
