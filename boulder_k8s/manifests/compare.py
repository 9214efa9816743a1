"""What docker-compose.yml says, as Compose resolves it, against the manifests as kustomize renders them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath

from ..host.names import CHECKOUT_MOUNT
from . import convert, networks, volumes
from .compose import dependencies as dependencies_of
from .compose import object_name
from .differences import ABSENT, Difference, Fact
from .objects import Manifests
from .workloads import WITHOUT_WORKLOAD

PART = "static"
# Keys of a service that the comparison below looks at; `build`: Compose itself builds; `profiles`: which commands start it.
KNOWN = {"build", "profiles", "image", "entrypoint", "command", "environment", "volumes", "networks", "network_mode"}
KNOWN |= {"ports", "healthcheck", "depends_on", "extra_hosts", "dns", "user", "working_dir", "expose"}
PROBES = ("startupProbe", "readinessProbe")


def compare(document: dict, objects: list[dict]) -> list[Difference]:
    """One Difference for each thing that a service of the Compose file has and the manifests have not, or the reverse.

    document: `docker compose config --format json`, parsed. objects: the rendered run overlay.
    """
    rendered = Manifests(objects)
    checkout = checkout_of(document)
    found = []
    for name, service in sorted(document["services"].items()):
        workload = object_name(name)
        if workload not in rendered.workloads and workload not in WITHOUT_WORKLOAD:
            found.append(Difference(PART, name, "service", "present", ABSENT))
            continue
        if workload in WITHOUT_WORKLOAD:
            facts = dict(setup(service, document["services"]["boulder"]))
        else:
            facts = dict(of_service(service, workload, rendered, document, checkout))
        known = KNOWN | convert.FOLLOWED | convert.HARMLESS
        facts |= {f"key {key}": (json.dumps(service[key]), "not known") for key in sorted(set(service) - known)}
        found += [Difference(PART, name, aspect, *values) for aspect, values in facts.items() if values[0] != values[1]]
    given = {object_name(name) for name in document["services"]}
    found += [Difference(PART, name, "service", ABSENT, "present") for name in sorted(set(rendered.workloads) - given)]
    return found


def count_facts(value: object) -> int:
    """How many values the Compose file has: what agreement is worth."""
    if isinstance(value, dict):
        return sum(count_facts(item) for item in value.values())
    return sum(count_facts(item) for item in value) if isinstance(value, list) else 1


def of_service(service: dict, name: str, rendered: Manifests, document: dict, checkout: str) -> Iterator[Fact]:
    """Pairs of an aspect and what both sides say of it."""
    container, pod = rendered.container(name), rendered.pod(name)
    if "image" in service:  # what has none is built under Compose's name for it
        yield "image", (tagged(service["image"]), tagged(container["image"]))
    yield from of_container(service, name, rendered, checkout)
    yield "dns", (words(service.get("dns")), words(networks.nameservers(name, rendered, document)))
    yield from environment(service, container)
    yield from networks.published(service, container)
    yield from networks.networks(service, name, rendered, document)
    yield from networks.hosts(service, pod)
    yield from dependencies(service, rendered)


def of_container(service: dict, name: str, rendered: Manifests, checkout: str) -> Iterator[Fact]:
    """What follow.py follows for a workload of k8s/base: what runs, as whom, with which mounts, and when it is well."""
    container = rendered.container(name)
    yield "entrypoint", (words(service.get("entrypoint")), words(container.get("command")))
    yield "command", (words(service.get("command")), words(container.get("args")))
    yield "working_dir", (service.get("working_dir") or ABSENT, container.get("workingDir", ABSENT))
    yield "user", (str(service.get("user") or ABSENT).replace("root", "0"), user(container))
    asked = convert.probe(service.get("healthcheck") or {})
    yield "healthcheck", (words(asked["exec"]["command"]) if asked else ABSENT, probe(container))
    yield from mounts(service, name, rendered, checkout)
    yield from keys(service, container, rendered.pod(name))


def keys(service: dict, container: dict, pod: dict) -> Iterator[Fact]:
    """What Boulder's own Compose file does not have, but another may."""
    context = container.get("securityContext", {})
    for key, made in (
        ("privileged", context.get("privileged")),
        ("read_only", context.get("readOnlyRootFilesystem")),
        ("cap_add", context.get("capabilities", {}).get("add")),
        ("cap_drop", context.get("capabilities", {}).get("drop")),
        ("tty", container.get("tty")),
        ("stdin_open", container.get("stdin")),
        ("hostname", pod.get("hostname")),
    ):
        if service.get(key) or made:
            yield f"key {key}", (json.dumps(service.get(key)), json.dumps(made))
    if given := service.get("stop_grace_period"):
        made = pod.get("terminationGracePeriodSeconds")
        yield "key stop_grace_period", (json.dumps(convert.seconds(given)), json.dumps(made))


def environment(service: dict, container: dict) -> Iterator[Fact]:
    """Every variable of the service, and every variable of the container."""
    given = {key: str(value) for key, value in (service.get("environment") or {}).items() if value is not None}
    made = {item["name"]: item.get("value", json.dumps(item.get("valueFrom"))) for item in container.get("env", [])}
    for key in sorted({*given, *made}):
        yield f"environment {key}", (given.get(key, ABSENT), made.get(key, ABSENT))


def mounts(service: dict, name: str, rendered: Manifests, checkout: str) -> Iterator[Fact]:
    """Every mount of the service: the same directory at the same place, or what lies there or below instead."""
    made = mounted(name, rendered)
    claimed: set[str] = set()
    for number, volume in enumerate(volumes.given(service), 1):
        target = volume["target"].rstrip("/")
        here = sorted(path for path in made if path == target or path.startswith(f"{target}/"))
        claimed |= set(here)
        source = relative(volume, checkout)
        kept = volume.get("source") or volumes.anonymous(name, number)
        if made.get(target) in (
            f"hostPath {volumes.VOLUMES}/{kept}",
            f"hostPath {volumes.TMPFS}/{kept}",
            "emptyDir" if volume["type"] == "tmpfs" else ABSENT,
        ):
            yield f"mount {target}", (source, source)
        elif made.get(target) == f"hostPath {source}":
            others = [item["target"].rstrip("/") for item in volumes.given(service)]
            for path in here:
                if path not in others:
                    yield f"mount {path}", (f"part of {source}", made[path])
            yield f"mount {target}", (source, source)
        else:
            yield f"mount {target}", (source, ", ".join(f"{made[path]} at {path}" for path in here) or ABSENT)
    for path in sorted(set(made) - claimed):
        yield f"mount {path}", (ABSENT, made[path])


def mounted(name: str, rendered: Manifests) -> dict[str, str]:
    """Where the workload's container mounts what."""
    kinds = {
        claim["metadata"]["name"]: "claim" for claim in rendered.workloads[name]["spec"].get("volumeClaimTemplates", [])
    }
    for volume in rendered.pod(name).get("volumes", []):
        kind = next(key for key in volume if key != "name")
        kinds[volume["name"]] = f"hostPath {volume['hostPath']['path']}" if kind == "hostPath" else kind
    return {
        mount["mountPath"].rstrip("/"): kinds[mount["name"]]
        for mount in rendered.container(name).get("volumeMounts", [])
    }


def relative(volume: dict, checkout: str) -> str:
    """A Compose mount's source as the node sees it: the checkout is mounted there."""
    if volume["type"] != "bind":
        return f"{volume['type']} {volume.get('source', '')}".strip()
    source = PurePosixPath(volume["source"])
    if source.is_relative_to(checkout):
        return str(PurePosixPath(CHECKOUT_MOUNT) / source.relative_to(checkout))
    return f"{source} (outside the checkout)"


def dependencies(service: dict, rendered: Manifests) -> Iterator[Fact]:
    """Every workload is waited for before a Boulder pod starts, and selection.waves has the order of the others.

    `service_started` says that both are started, as they are here; of the order it promises nothing that a program could see.
    """
    for other, how in dependencies_of(service).items():
        found = rendered.workloads.get(object_name(other))
        condition = how["condition"]
        there = bool(found)
        if found and condition == "service_healthy":
            there = probe(rendered.container(object_name(other))) != ABSENT
        if found and condition == "service_completed_successfully":
            there = found["kind"] == "Job"
        yield f"depends_on {other}", (condition, condition if there else ABSENT)


def setup(service: dict, boulder: dict) -> Iterator[Fact]:
    """bsetup runs in a pod made from Boulder's, with the command and the environment that Compose gives it (compose.setup_command)."""
    yield "image", (service.get("image", ABSENT), boulder.get("image", ABSENT))
    yield "working_dir", (service.get("working_dir"), boulder.get("working_dir"))
    there = {(volume.get("source"), volume["target"]) for volume in boulder.get("volumes") or []}
    for volume in service.get("volumes") or []:
        same = (volume.get("source"), volume["target"]) in there
        yield f"mount {volume['target']}", ("present", "present" if same else ABSENT)


def user(container: dict) -> str:
    """Whom a container runs as, as Compose writes it."""
    context = container.get("securityContext", {})
    numbers = [str(context[key]) for key in ("runAsUser", "runAsGroup") if key in context]
    return ":".join(numbers) or ABSENT


def probe(container: dict) -> str:
    """A container's own idea of when it is well."""
    for kind in PROBES:
        found = container.get(kind, {})
        if "exec" in found:
            return words(found["exec"]["command"])
        if "httpGet" in found:
            return f"GET {found['httpGet']['path']}"
    return ABSENT


def tagged(image: str) -> str:
    """With the tag that an image without one has, and as Compose writes it, without Docker's own registry."""
    image = image.removeprefix("docker.io/").removeprefix("library/")
    return image if "@" in image or ":" in image.rpartition("/")[2] else f"{image}:latest"


def words(value: list[str] | str | None) -> str:
    """Returns a Compose value as text that can be compared; ABSENT if there is none."""
    return ABSENT if not value else value if isinstance(value, str) else json.dumps(value)


def checkout_of(document: dict) -> str:
    """Where the checkout is: what Boulder's container has at /boulder."""
    volumes = document["services"].get("boulder", {}).get("volumes") or []
    return next((volume["source"] for volume in volumes if volume["target"].rstrip("/") == "/boulder"), "/nowhere")
