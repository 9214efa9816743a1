"""Addresses that a pod makes for itself, because its programs bind them: on `lo`, and on bridges without ports in Boulder's pod."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..host.names import BOULDER
from . import subnets
from .compose import Service
from .subnets import Network
from .volumes import init
from .workloads import hand_written, hand_written_workload

PREPARE, ADDRESS = (
    "prepare",
    "address",
)  # init containers of k8s/base: Boulder's, and that of a service with a fixed address
LONGEST = 15  # characters of an interface's name in Linux


def reached_at(service: Service, document: Mapping) -> list[str]:
    """Returns the fixed addresses at which others reach a service: on the networks that Boulder is not alone on."""
    return [address for network, address in subnets.fixed_addresses(document, service.name) if not network.is_boulders]


def maker(address: str) -> dict:
    """Returns an init container that puts an address on `lo`: what a program binds must be local, as it is under Compose."""
    return init(ADDRESS, ["ip", "address", "replace", f"{address}/32", "dev", "lo"], ["NET_ADMIN"])


def changes(base: Path, service: Service, document: Mapping, networks: Iterable[Network]) -> list[dict]:
    """Returns how the init containers of a workload of k8s/base change. base: that directory."""
    name, fixed = service.object_name, reached_at(service, document)
    workload = hand_written_workload(base, name)
    there = {item["name"]: item for item in workload["spec"]["template"]["spec"].get("initContainers", [])}
    if name == BOULDER:
        usual = there[PREPARE]["args"]
        asked = arguments(document, networks, sorted(fixed, key=lambda address: f"local={address}" not in usual))
        return [{"name": PREPARE, "args": asked or None}] if asked != usual else []
    local = made([there[ADDRESS]]) if ADDRESS in there else usual_address(base, name)
    if not fixed:
        return [{"name": ADDRESS, "$patch": "delete"}] if ADDRESS in there else []
    if fixed == local:
        return []
    fixed.sort(key=lambda address: address not in local)
    first, *others = [maker(address) for address in fixed]
    if ADDRESS in there:
        first = {"name": ADDRESS, "command": first["command"]}
    return [first, *({**item, "name": f"{ADDRESS}-{number}"} for number, item in enumerate(others, 2))]


def usual_address(base: Path, name: str) -> list[str]:
    """Returns the address of a workload's Service in k8s/base, where its programs do without it on `lo`."""
    found = hand_written(base).get(base / name / f"{name}-service.yaml")
    return [found["spec"]["clusterIP"]] if found else []


def arguments(document: Mapping, networks: Iterable[Network], fixed: list[str]) -> list[str]:
    """Returns the arguments of prepare.sh: Boulder's addresses, its bridges, and the host's addresses that these would hide."""
    bridges = [network for network in networks if network.is_boulders and network.subnet]
    found = [f"local={address}" for address in fixed]
    for network in bridges:
        prefix = network.subnet.partition("/")[2]
        found.append(f"bridge={interface(network.name)}:{subnets.own_address(document, network)}/{prefix}")
    return found + [f"host={network.host}" for network in bridges]


def interface(network: str) -> str:
    """Returns the name of a network's bridge, which Linux takes and no other network has."""
    if len(network) <= LONGEST and re.fullmatch(r"[A-Za-z][\w.-]*", network) and network not in ("lo", "eth0"):
        return network
    digest = hashlib.sha256(network.encode()).hexdigest()[:6]
    return f"{re.sub(r'[^A-Za-z0-9]', '', network)[: LONGEST - 7] or 'net'}-{digest}"


def made(containers: Iterable[dict]) -> list[str]:
    """Returns the addresses that init containers make: on `lo` without a prefix, on a bridge with it."""
    found = []
    for item in containers:
        for word in [*item.get("args", []), *item.get("command", [])]:
            if match := re.fullmatch(r"(?:local=)?(\d+(?:\.\d+){3})(?:/32)?|bridge=[^:]+:([\d.]+/\d+)", word):
                found.append(match[1] or match[2])
    return found
