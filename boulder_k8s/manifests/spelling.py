"""Names that Compose takes and Kubernetes does not: found before an object with such a name reaches the API server.

https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from . import compose, written
from .compose import Service
from .overrides import HOST as GATEWAY

LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")  # of a Service, and of all that is named after it
HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
VARIABLE = re.compile(r"[ -<>-~]+")  # every printable character of ASCII but =


def check(services: dict[str, Service], checkout: Path, config_next: bool) -> None:
    """Raises Problem naming each name that Kubernetes does not take, and the file that has it."""
    found = [(service.name, *fault) for service in services.values() for fault in refused(service, services)]
    if found:
        raise written.refusal(
            [
                (f"{written.source(checkout, config_next, name, key)[0]}: the service {name} {what}", advice)
                for name, key, what, advice in found
            ]
        )


def refused(service: Service, services: dict[str, Service]) -> Iterator[tuple[str, str, str]]:
    """Yields what Kubernetes does not take of a service: the key, what is wrong, and what to do."""
    if not LABEL.fullmatch(service.object_name):
        advice = "use at most 63 small letters, digits, dashes and underscores, a letter first"
        yield "", "has a name that Kubernetes does not take", advice
    if twins := [
        name for name, other in services.items() if name < service.name and other.object_name == service.object_name
    ]:
        yield "", f"is {service.object_name} in Kubernetes, as {twins[0]} is", "give one of them another name"
    for name in service.environment:
        if not VARIABLE.fullmatch(name):
            advice = "use printable characters of ASCII other than ="
            yield "environment", f"has the variable {name!r}, a name that Kubernetes does not take", advice
    for host, address in compose.extra_hosts(service.document):
        if not HOST.fullmatch(host):
            yield (
                "extra_hosts",
                f"names the host {host!r}, which Kubernetes does not take",
                "use letters, digits, dashes and dots",
            )
        if address != GATEWAY and not is_address(address):
            yield "extra_hosts", f"gives {host} the address {address!r}", "write an IP address"
    hostname = service.document.get("hostname") or "x"
    if "." in hostname or not HOST.fullmatch(hostname) or len(hostname) > 63:
        advice = "use at most 63 small letters, digits and dashes"
        yield "hostname", f"has the hostname {hostname!r}, which Kubernetes does not take", advice
    for volume in service.document.get("volumes") or []:
        if ":" in volume["target"] or not volume["target"].startswith("/"):
            yield "volumes", f"mounts something at {volume['target']!r}", "mount it at an absolute path without a colon"
        if ".." in Path(volume.get("source") or "").parts:
            yield "volumes", f"mounts {volume['source']!r}", "use a name or path without .."


def is_address(text: str) -> bool:
    """Returns whether a text is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
