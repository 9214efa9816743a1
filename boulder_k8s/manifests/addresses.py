"""How a service that k8s/base does not know is reached: its names, its fixed addresses, and the ports that others ask for there."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ..host.names import NAME, NAMESPACE
from .compose import Service

READ = {".hcl", ".json", ".yml", ".yaml", ".cnf", ".config", ".toml", ".sh", ".py"}  # of the checkout's test/
LARGEST = 1 << 20  # bytes; a larger file holds no configuration


def fixed_addresses(service: Service) -> list[str]:
    """The service's `ipv4_address` in each network that gives it one."""
    networks = (service.document.get("networks") or {}).values()
    return sorted({given["ipv4_address"] for given in networks if given and given.get("ipv4_address")})


def aliases(service: Service) -> list[str]:
    """The further names that Compose gives a service, which Kubernetes can hold."""
    networks = (service.document.get("networks") or {}).values()
    found = {alias for given in networks for alias in (given or {}).get("aliases") or ()}
    found.add(service.document.get("container_name") or service.object_name)
    return sorted(name for name in found - {service.object_name} if re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name))


def ports(service: Service, document: dict, checkout: Path) -> list[int]:
    """The ports that the Compose file and the checkout's configuration ask for at a service's fixed addresses and names.

    ADDRESS:PORT, "wait-for-it.sh NAME PORT", and Consul's `address = ADDRESS` with `port = PORT` beside it; `expose` and `ports`.
    A Service hands on only the ports that it lists. https://kubernetes.io/docs/concepts/services-networking/service/
    """
    names = "|".join(re.escape(name) for name in [*fixed_addresses(service), *aliases(service), service.name])
    asked = re.compile(rf"""(?<![\w.-])(?:{names})(?:["']?[:\s]\s*|"?\s*\n\s*port\s*=\s*)(\d{{2,5}})(?![\w.])""")
    found = {
        int(port)
        for text in [json.dumps(document["services"]), *configuration(checkout)]
        for port in asked.findall(text)
    }
    found |= {int(port["target"]) for port in service.document.get("ports") or []}
    found |= {int(str(port).partition("/")[0]) for port in service.document.get("expose") or []}
    return sorted(port for port in found if 0 < port < 1 << 16)


def configuration(checkout: Path) -> list[str]:
    """The text of the checkout's configuration, but for what generate.sh makes."""
    found = []
    for path in sorted((checkout / "test").rglob("*")):
        if path.suffix in READ and "certs" not in path.parts and path.is_file() and path.stat().st_size < LARGEST:
            found.append(path.read_text(errors="replace"))
    return found


def headless(name: str) -> dict:
    """The spec of a Service that leads to the pod itself, where every port is as the program has it."""
    return {"clusterIP": "None", "selector": {NAME: name}, "publishNotReadyAddresses": True}


def alias(name: str, main: dict) -> dict:
    """The spec of a Service for a further name of a service. main: that of the Service with its own name."""
    if main["clusterIP"] == "None":
        return headless(name)
    host = f"{name}.{NAMESPACE}.svc.cluster.local"
    return {"type": "ExternalName", "externalName": host, "selector": {NAME: name}}


def closed(name: str) -> dict:
    """The spec of a NetworkPolicy that lets nothing through, for `network_mode: none`."""
    return {"podSelector": {"matchLabels": {NAME: name}}, "policyTypes": ["Ingress", "Egress"]}


def described(version: str, kind: str, name: str, labels: dict[str, str], spec: dict) -> dict:
    """An object of the namespace."""
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
