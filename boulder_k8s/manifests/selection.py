"""Which workloads a checkout has: those of k8s/base, those that are converted, and in which order they start."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..host.errors import Problem
from ..host.names import BOULDER
from ..host.progress import note
from . import compose, convert, drift, spelling, subnets, written
from .compose import Service
from .workloads import WITHOUT_WORKLOAD, Workload, workloads


def followed(
    document: dict,
    checkout: Path,
    config_next: bool,
    environ: Mapping[str, str] = os.environ,
    say: Callable[[str], None] = note,
) -> dict:
    """Returns the resolved Compose file without what converted services cannot have here (BOULDER_K8S_DRIFT=note), and tells `say`
    what that is.

    Raises Problem if the file has no Boulder, or if it has something that cannot be converted and nobody wants to go on without.
    """
    services = compose.services(document)
    if not any(service.object_name == BOULDER for service in services.values()):
        raise Problem("docker-compose.yml has no service boulder.", "Is this Boulder's checkout? BOULDER_DIR names it.")
    place = convert.Place(document, checkout, config_next)
    spelling.check(services, checkout, config_next)
    subnets.check(document, checkout, config_next)
    refused, kept = [], {}
    for service in converted(services):
        for key, advice in convert.refused(service, place):
            file, _ = written.source(checkout, config_next, service.name, key, environ)
            refused.append((file, service.name, key, advice))
            kept[service.name] = convert.without_refused(service, place)
    if not refused:
        return document
    if not drift.goes_on(environ):
        faults = [
            (f"{file}: the service {name} has `{key}`, which has no counterpart in Kubernetes here", advice)
            for file, name, key, advice in refused
        ]
        raise written.refusal(faults, f", {drift.VARIABLE}=note goes on without it")
    for file, name, key, advice in refused:
        say(f"{file}: the service {name} goes on without its `{key}`, which has no counterpart here ({advice})")
    return {**document, "services": {**document["services"], **kept}}


def converted(services: dict[str, Service]) -> list[Service]:
    """The services that k8s/base does not know."""
    known = set(workloads()) | WITHOUT_WORKLOAD
    return [service for service in services.values() if service.object_name not in known]


def names(services: dict[str, Service]) -> set[str]:
    """The names of all workloads: those of the base, and those that are converted."""
    return {workload.name for workload in running(services)} | {item.object_name for item in converted(services)}


def needed(services: dict[str, Service], wanted: Sequence[str]) -> set[str]:
    """The workloads of some services and of all that they depend on; every one but Boulder if none is named. wanted: their names in
    Kubernetes. Raises Problem if the checkout has no workload for one.
    """
    every = names(services) - {BOULDER}
    if unknown := [name for name in wanted if name not in every]:
        raise Problem(
            f"{', '.join(unknown)} does not go on running in this checkout.",
            "`invoke certificates` does what bsetup does; `invoke up` starts all that Boulder needs.",
        )
    by_object = {service.object_name: service for service in services.values()}
    found: set[str] = set()
    left = [*wanted]
    while left:
        name = left.pop()
        if name not in found and name in by_object:
            found.add(name)
            left += [compose.object_name(other) for other in compose.dependencies(by_object[name].document)]
    return found & every if wanted else every


def waves(services: dict[str, Service]) -> list[set[str]]:
    """The workloads in the order in which they are started: those of a wave after those of the wave before are ready.

    A service waits for those that it depends on with `service_healthy` or `service_completed_successfully`, and one that runs once
    for all that it depends on: nobody starts it again. `service_started` promises no more than that both are started.
    """
    once = compose.one_shots(service.document for service in services.values())
    level: dict[str, int] = {}

    def of(name: str, below: tuple[str, ...] = ()) -> int:
        if name not in level:
            level[name] = max(
                (
                    of(other, (*below, name)) + (name in once or how["condition"] != "service_started")
                    for other, how in compose.dependencies(services[name].document).items()
                    if other in services and other not in below
                ),
                default=0,
            )
        return level[name]

    found: dict[int, set[str]] = {}
    workloads_here = names(services)
    for name, service in services.items():
        if service.object_name in workloads_here:
            found.setdefault(of(name), set()).add(service.object_name)
    return [found[number] for number in sorted(found)]


def running(services: dict[str, Service]) -> list[Workload]:
    """The workloads of the base that the checkout has a service for: an older one may lack some."""
    given = {service.object_name for service in services.values()}
    return [workload for workload in workloads().values() if workload.name in given]
