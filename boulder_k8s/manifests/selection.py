"""Which workloads a checkout has: those of k8s/base, those that are converted, and in which order they start."""

from __future__ import annotations

from ..host.errors import Problem
from ..host.names import BOULDER
from . import compose, convert, subnets
from .compose import Service
from .workloads import WITHOUT_WORKLOAD, Workload, workloads


def check_services(services: dict[str, Service], place: convert.Place) -> None:
    """Raises Problem if the checkout's Compose file has no Boulder, or a service that can neither be found in k8s/base nor be
    converted, or a network that cannot be followed.
    """
    if not any(service.object_name == BOULDER for service in services.values()):
        raise Problem("docker-compose.yml has no service boulder.", "Is this Boulder's checkout? BOULDER_DIR names it.")
    subnets.check(place.document, place.checkout, place.config_next)
    for service in converted(services):
        if refused := convert.refused(service, place):
            file, _ = compose.source(place.checkout, place.config_next, service.name, refused[0][0])
            raise Problem(
                f"{file}: the service {service.name} has `{refused[0][0]}`, which has no counterpart in Kubernetes here.",
                f"Correct it ({refused[0][1]}); ./t.sh runs this checkout meanwhile.",
                "\n".join(f"{service.name}, {key}: {advice}" for key, advice in refused[1:]),
            )


def converted(services: dict[str, Service]) -> list[Service]:
    """The services that k8s/base does not know."""
    known = set(workloads()) | WITHOUT_WORKLOAD
    return [service for service in services.values() if service.object_name not in known]


def names(services: dict[str, Service]) -> set[str]:
    """The names of all workloads: those of the base, and those that are converted."""
    return {workload.name for workload in running(services)} | {item.object_name for item in converted(services)}


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
