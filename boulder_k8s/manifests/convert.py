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
from ..host.names import NAME, PART_OF, TEMPLATE
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
    given = service.document
    found = [(key, "remove it, or add the service under k8s/base") for key in sorted(set(given) - FOLLOWED - HARMLESS)]
    if given.get("network_mode") not in (None, "none"):
        found.append(("network_mode", "give it networks, or `none`"))
    if not re.fullmatch(r"(\d+(:\d+)?|root)?", str(given.get("user") or "")):
        found.append(("user", "write the user's number: Kubernetes knows no names of an image"))
    for volume in given.get("volumes") or []:
        if volume["type"] == "bind" and not volumes.inside(volume, place.checkout):
            found.append(("volumes", f"bring {volume['source']} into the checkout: the node sees nothing else"))
        elif volume["type"] not in ("bind", "volume", "tmpfs"):
            found.append(("volumes", f"use a bind mount, a volume or a tmpfs in place of {volume['type']}"))
    fixed = addresses.fixed_addresses(service)
    if fixed and not addresses.ports(service, place.document, place.checkout):
        found.append(("networks", f"say with `expose` which ports others ask for at {', '.join(fixed)}"))
    return found


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
    storage, mounts, prepared = volumes.of(service, place.document, place.checkout)
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
        "initContainers": [
            {**item, "name": f"{item['name']}-{number}"} for number, item in enumerate([*first, *prepared], 1)
        ],
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
    """The image's whole name, as the node knows it. kustomize's `images:` of k8s/base, which are short, leave it alone."""
    first, slash, _ = image.partition("/")
    if not slash:
        return f"docker.io/library/{image}"
    return image if "." in first or ":" in first or first == "localhost" else f"docker.io/{image}"


def security(given: dict) -> dict:
    """Whom the program runs as, and what it may do."""
    user, _, group = str(given.get("user") or "").replace("root", "0").partition(":")
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
