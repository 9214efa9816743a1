"""Makes Kubernetes objects of a Compose service that k8s/base does not know, by rule.

Compose's keys: https://docs.docker.com/reference/compose-file/services/. What has no counterpart is refused by name (`refused`).
Compose and Kubernetes escape a dollar sign in the same way, $$, in the environment and in commands, but not in probes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..host import durations
from ..host.names import BOULDER, NAME, PART_OF, TEMPLATE
from . import addresses, compose, interfaces, volumes
from .compose import Service
from .patches import PRIORITY, host_aliases

# Docker's default: a program that is not root may bind port 80.
UNPRIVILEGED = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}

FOLLOWED = {"image", "build", "entrypoint", "command", "environment", "working_dir", "user", "volumes", "tmpfs"}
FOLLOWED |= {"networks", "network_mode", "healthcheck", "depends_on", "extra_hosts", "profiles", "cap_add", "cap_drop"}
FOLLOWED |= {"privileged", "read_only", "hostname", "stop_grace_period", "tty", "stdin_open"}
# What tests cannot see: they do not look at it, or it is about other machines, other commands, or the end of a container.
HARMLESS = {
    "annotations",
    "attach",
    "container_name",
    "develop",
    "dns",
    "dns_search",
    "env_file",
    "expose",
    "init",
    "labels",
}
HARMLESS |= {"logging", "platform", "ports", "pull_policy", "restart", "scale", "stop_signal", "links"}


@dataclass(frozen=True)
class Place:
    """What a service is converted in. document: the resolved Compose file. checkout: its directory. config_next, image_ids: as
    RenderOptions has them.
    """

    document: dict
    checkout: Path
    config_next: bool = False
    image_ids: Mapping[str, str] = field(default_factory=dict)


def refused(service: Service, place: Place) -> list[tuple[str, str]]:
    """Returns each key of the service without a counterpart, or with a value without one, and what to do instead."""
    found = list(refused_keys(service.document).items())
    for volume in service.document.get("volumes") or []:
        if advice := volumes.refused(volume, place.checkout):
            found.append(("volumes", advice))
    fixed = addresses.fixed_addresses(service)
    if fixed and not addresses.ports(service, place.document, place.checkout):
        found.append(("networks", f"say with `expose` which ports others ask for at {', '.join(fixed)}"))
    return found


def refused_keys(given: dict) -> dict[str, str]:
    """Returns the keys that a service cannot have at all, or not with their value, and what to do instead."""
    found = dict.fromkeys(sorted(set(given) - FOLLOWED - HARMLESS), "remove it, or add the service under k8s/base")
    if given.get("network_mode") not in (None, "none"):
        found["network_mode"] = "give it networks, or `none`"
    if not re.fullmatch(r"(\d+(:\d+)?|root)?", str(given.get("user") or "")):
        found["user"] = "write the user's number: Kubernetes knows no names of an image"
    return found


def without_refused(service: Service, place: Place) -> dict:
    """Returns the service's document without what `refused` names: the keys, those mounts, and those fixed addresses."""
    keys = refused_keys(service.document)
    kept = {key: value for key, value in service.document.items() if key not in keys}
    if "network_mode" in keys:  # then Compose gives it no network; Boulder's first is the one of services
        kept["networks"] = dict.fromkeys(list(place.document["services"][BOULDER].get("networks") or ())[:1])
    if "volumes" in kept:
        kept["volumes"] = [volume for volume in kept["volumes"] or [] if not volumes.refused(volume, place.checkout)]
    asked = addresses.ports(service, place.document, place.checkout)
    for network, given in (kept.get("networks") or {}).items():
        if not asked and (given or {}).get("ipv4_address"):
            without = {key: value for key, value in given.items() if key != "ipv4_address"}
            kept["networks"] = {**kept["networks"], network: without}
    return kept


def workload(service: Service, place: Place) -> dict:
    """Returns the workload: a Deployment, or a Job if it runs to its end. reach.py makes what leads to it."""
    labels = {NAME: service.object_name, **dict([PART_OF.split("=")])}
    template = {
        "metadata": {"labels": labels, "annotations": {"boulder-k8s/image-id": place.image_ids.get(service.image, "")}},
        "spec": pod(service, place),
    }
    if service.name in compose.one_shots(place.document["services"].values()):
        template["spec"]["restartPolicy"] = "Never"
        spec: dict = {"backoffLimit": 0, "template": template}
        found = addresses.described("batch/v1", "Job", service.object_name, labels, spec)
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:16]
        found["metadata"]["annotations"] = {TEMPLATE: digest}
        return found
    selector = {"matchLabels": {NAME: service.object_name}}
    spec = {"replicas": 1, "strategy": {"type": "Recreate"}, "selector": selector, "template": template}
    return addresses.described("apps/v1", "Deployment", service.object_name, labels, spec)


def pod(service: Service, place: Place) -> dict:
    """The pod's description."""
    given = service.document
    storage, mounts, prepared = volumes.of(service, qualified(service.image), place.document, place.checkout)
    first = [interfaces.maker(address) for address in addresses.fixed_addresses(service)]
    described = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": PRIORITY,
        "terminationGracePeriodSeconds": seconds(given.get("stop_grace_period") or "10s"),
        "dnsConfig": {"options": [{"name": "ndots", "value": "1"}]},
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, "sysctls": [UNPRIVILEGED]},
        "hostname": given.get("hostname"),
        "hostAliases": host_aliases(service),
        "initContainers": volumes.numbered([*first, *prepared]),
        "containers": [container(service, mounts)],
        "volumes": storage,
    }
    return {key: value for key, value in described.items() if value not in (None, [])}


def container(service: Service, mounts: list[dict]) -> dict:
    """The container, named like its workload."""
    given = service.document
    described = {
        "name": service.object_name,
        "image": qualified(service.image),
        "imagePullPolicy": "Never",
        "command": given.get("entrypoint"),
        "args": given.get("command"),
        "workingDir": given.get("working_dir"),
        "env": [{"name": key, "value": value} for key, value in service.environment.items()],
        "securityContext": security(given),
        "startupProbe": probe(given.get("healthcheck") or {}),
        "volumeMounts": mounts,
        "tty": given.get("tty"),
        "stdin": given.get("stdin_open"),
    }
    return {key: value for key, value in described.items() if value not in (None, [], {})}


def qualified(image: str) -> str:
    """The image's whole name, as the node knows it."""
    first, slash, _ = image.partition("/")
    if not slash:
        return f"docker.io/library/{image}"
    return image if "." in first or ":" in first or first == "localhost" else f"docker.io/{image}"


def security(given: dict) -> dict:
    """Whom the program runs as, and what it may do."""
    numbers = re.fullmatch(
        r"(\d+)(?::(\d+))?", str(given.get("user") or "").replace("root", "0")
    )  # a name is refused by name
    user, group = numbers.groups() if numbers else ("", "")
    capabilities = {"add": given.get("cap_add"), "drop": given.get("cap_drop")}
    found = {
        "runAsUser": int(user) if user else None,
        "runAsGroup": int(group) if group else None,
        "privileged": given.get("privileged"),
        "readOnlyRootFilesystem": given.get("read_only"),
        "capabilities": {key: value for key, value in capabilities.items() if value} or None,
    }
    return {key: value for key, value in found.items() if value is not None}


def probe(healthcheck: dict) -> dict | None:
    """Compose's healthcheck, asked each second until it succeeds once: nobody asks a Compose container that is well again."""
    kind, *test = healthcheck.get("test") or ["NONE"]
    if healthcheck.get("disable") or kind == "NONE":
        return None
    words = [word.replace("$$", "$") for word in test]
    return {
        "exec": {"command": ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words},
        "periodSeconds": 1,
        "timeoutSeconds": max(1, seconds(healthcheck.get("timeout") or "30s")),
        "failureThreshold": 600,
    }


def seconds(text: str) -> int:
    """A duration as Compose writes it, such as 1m30s, in whole seconds."""
    return int(durations.seconds(text) or 0)
