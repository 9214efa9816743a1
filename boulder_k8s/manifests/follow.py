"""Follows a checkout whose Compose file changes a service that k8s/base knows: command, mounts, healthcheck, user and the like.

Whatever compare.py finds in k8s/base that is neither as Compose has it nor intended becomes part of a patch; the hand-written object
stays as it is. reach.py does the same for networks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..host.names import BOULDER, CHECKOUT_MOUNT
from . import compare, convert, differences, staging, volumes
from .checkout import Checkout
from .compose import Service
from .objects import Manifests
from .patches import change
from .workloads import hand_written_workload, workloads

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


@dataclass
class Followed:
    """What the run overlay does to the hand-written workloads.

    patches: by workload. mounted: (kind, name) of the ConfigMaps and Secrets which k8s/base declares and workloads still mount.
    """

    patches: dict[str, dict] = field(default_factory=dict)
    mounted: set[tuple[str, str]] = field(default_factory=set)


def of(base: Path, services: dict[str, Service], place: convert.Place) -> Followed:
    """Returns what changes of the workloads of k8s/base that the checkout has. base: that directory. place: as services are converted in."""
    found = Followed()
    intended = differences.read_intended()
    for service in services.values():
        if not (known := workloads().get(service.object_name)):
            continue
        name = known.name
        changes = Change(service, place, Manifests([hand_written_workload(base, name)]), intended)
        if pod := changes.patch():
            found.patches[name] = change("apps/v1", known.kind, name, {"template": {"spec": pod}})
        found.mounted |= {item for volume in changes.kept_volumes() for item in declared(volume)}
    return found


def declared(volume: dict) -> Iterator[tuple[str, str]]:
    """The ConfigMap or Secret that a pod's volume mounts."""
    if "configMap" in volume:
        yield "ConfigMap", volume["configMap"]["name"]
    if "secret" in volume:
        yield "Secret", volume["secret"]["secretName"]


@dataclass
class Change:
    """One service, and its hand-written workload."""

    service: Service
    place: convert.Place
    manifests: Manifests
    intended: list[differences.Intended]

    def __post_init__(self) -> None:
        name = self.service.object_name
        self.pod, self.container = self.manifests.pod(name), self.manifests.container(name)
        self.mounts = {mount["mountPath"].rstrip("/"): mount for mount in self.container.get("volumeMounts", [])}
        # Compose always says something of networks; without, nothing is known of the service. reach.py asks the same.
        said = bool({"networks", "network_mode"} & set(self.service.document))
        facts = (
            compare.of_container(self.service.document, name, self.manifests, str(self.place.checkout)) if said else ()
        )
        found = [
            differences.Difference(compare.PART, self.service.name, aspect, *values)
            for aspect, values in facts
            if values[0] != values[1]
        ]
        self.aspects = {item.aspect for item in differences.partition(found, self.intended)[0]}
        self.targets = self.changed_mounts() if said else set()

    def changed_mounts(self) -> set[str]:
        """Where something else is mounted than k8s/base mounts, or nothing any more."""
        found = {aspect.removeprefix("mount ") for aspect in self.aspects if aspect.startswith("mount ")}
        for volume in volumes.given(self.service.document):
            target = volume["target"].rstrip("/")
            if volume["type"] == "bind" and (
                any(self.outgrown(path) for path in self.below(target)) or self.named_elsewhere(volume, target)
            ):
                found.add(target)
        # The tests' pod and the sidecar rely on the checkout; what else is there, drift.py refuses.
        return found - ({CHECKOUT_MOUNT} if self.service.object_name == BOULDER else set())

    def below(self, target: str) -> list[str]:
        """The mounts of k8s/base at a path or below it."""
        return [path for path in self.mounts if path == target or path.startswith(f"{target}/")]

    def outgrown(self, path: str) -> bool:
        """Whether the files that k8s/base mounts there in a ConfigMap or Secret may not be all that the service reads: another command
        reads others, and a ConfigMap cannot carry every file.
        """
        volume = self.volume_of(self.mounts[path])
        if not list(declared(volume)):
            return False
        if self.aspects & {"entrypoint", "command"}:
            return True
        checkout = Checkout(self.place.checkout)
        return any(kind == "ConfigMap" and not staging.is_carried(checkout, name) for kind, name in declared(volume))

    def named_elsewhere(self, volume: dict, target: str) -> bool:
        """Whether a file that k8s/base mounts below a bind mount's target names another file there which it does not mount: an include,
        or a certificate at a new place.

        A path that the checkout has not is one that generate.sh makes, unless it is in a directory to which the service writes.
        """
        mounted, written, text = set(), [], ""
        for path in self.below(target):
            source = self.volume_of(self.mounts[path])
            if not (objects := list(declared(source))):
                written.append(f"{path}/")
            for kind, name in objects:
                files = staging.files_of(Checkout(self.place.checkout), name)
                text += "".join(
                    item.read_text(errors="replace")
                    for item in files.values()
                    if kind == "ConfigMap" and item.is_file()
                )
                items = source.get("secret", {}).get("items") or [{"path": key} for key in files]
                mounted |= {path if self.mounts[path].get("subPath") else f"{path}/{item['path']}" for item in items}
        # Not a path that only ends like this one, as in a URL.
        for path in set(re.findall(rf"(?<![\w./-]){re.escape(target)}/[\w./-]*\w", text)) - mounted:
            there = Path(volume["source"], path.removeprefix(f"{target}/"))
            if there.is_file() or not (there.exists() or path.startswith(tuple(written))):
                return True
        return False

    def volume_of(self, mount: dict) -> dict:
        """The pod's volume that is mounted; a StatefulSet's claim is none."""
        return next((volume for volume in self.pod.get("volumes", []) if volume["name"] == mount["name"]), {})

    def gone(self) -> set[str]:
        """The mounts of k8s/base that go, or get another volume."""
        kept = {volume["target"].rstrip("/") for volume in volumes.given(self.service.document)} - self.targets
        return {path for target in self.targets for path in self.below(target) if path not in kept}

    def dropped(self) -> set[str]:
        """The names of the pod's volumes that the service no longer mounts."""
        gone = self.gone()
        left = {mount["name"] for path, mount in self.mounts.items() if path not in gone}
        return {self.mounts[path]["name"] for path in gone} - left

    def kept_volumes(self) -> list[dict]:
        """The pod's volumes that stay."""
        return [volume for volume in self.pod.get("volumes", []) if volume["name"] not in self.dropped()]

    def patch(self) -> dict:
        """Returns the patch of the pod's description; empty if nothing changes."""
        given, name = self.service.document, self.service.object_name
        made, described = convert.container(self.service, []), convert.pod(self.service, self.place)
        container: dict = {}
        for aspect, key in (("entrypoint", "command"), ("command", "args"), ("working_dir", "workingDir")):
            if aspect in self.aspects:
                container[key] = made.get(key)
        without = sorted({item["name"] for item in self.container.get("env", [])} - set(self.service.environment))
        if without:
            container["env"] = [{"name": variable, "$patch": "delete"} for variable in without]
        if "healthcheck" in self.aspects:
            container |= {key: None for key in PROBES if key in self.container}
            if probe := made.get("startupProbe"):
                container["startupProbe"] = {"$patch": "replace", **probe}
        if self.aspects & {"entrypoint", "command"}:  # it may listen on another port than k8s/base asks
            container |= {key: None for key in PROBES if "tcpSocket" in self.container.get(key, {})} | container
        if self.aspects & {"user", "key cap_add", "key cap_drop", "key privileged", "key read_only"}:
            container["securityContext"] = {"$patch": "replace", **convert.security(given)}
        pod: dict = {}
        for key, where, named in (
            ("tty", container, "tty"),
            ("stdin_open", container, "stdin"),
            ("hostname", pod, "hostname"),
            ("stop_grace_period", pod, "terminationGracePeriodSeconds"),
        ):
            if f"key {key}" in self.aspects:
                where[named] = (made if where is container else described).get(named)
        self.add_mounts(container, pod)
        if container:
            pod["containers"] = [{"name": name, **container}]
        return pod

    def add_mounts(self, container: dict, pod: dict) -> None:
        """Adds what is mounted otherwise: mounts, volumes, and the init containers that prepare these."""
        gone, dropped = self.gone(), self.dropped()
        image = convert.qualified(self.service.image)
        storage, mounts, prepared = volumes.of(self.service, image, self.place.document, self.place.checkout)
        new = [mount for mount in mounts if mount["mountPath"] in self.targets]
        names = {mount["name"] for mount in new}
        first = [item for item in prepared if names & {mount["name"] for mount in item.get("volumeMounts", [])}]
        if any(item["name"] == "fill" for item in first):
            names.add(volumes.IMAGE)
        at = {mount["mountPath"] for mount in new}
        # A mount's key in a patch is its path, so one that stays in place takes the fields of the new one.
        changed = [
            {"subPath": None, "readOnly": None, **mount} if mount["mountPath"] in gone else mount for mount in new
        ]
        changed += [{"mountPath": self.mounts[path]["mountPath"], "$patch": "delete"} for path in sorted(gone - at)]
        lost = [
            {"name": item["name"], "$patch": "delete"}
            for item in self.pod.get("initContainers", [])
            if dropped & {mount["name"] for mount in item.get("volumeMounts", [])}
        ]
        kept = [volume for volume in storage if volume["name"] in names]
        kept += [
            {"name": volume["name"], "$patch": "delete"}
            for volume in self.pod.get("volumes", [])
            if volume["name"] in dropped
        ]
        for where, key, value in (
            (container, "volumeMounts", changed),
            (pod, "initContainers", [*volumes.numbered(first), *lost]),
            (pod, "volumes", kept),
        ):
            if value:
                where[key] = value
