"""`invoke restart`, `stop`, `start` and `rm`: services that `up` has started, one by one. Databases stay, but for `rm`."""

from __future__ import annotations

from collections.abc import Sequence

from ..cluster import rollout
from ..cluster.api import Api
from ..cluster.kind import Cluster
from ..cluster.watch import wait_until_gone
from ..host import state, tools
from ..host.errors import Problem
from ..host.lock import held
from ..host.names import BOULDER, PART_OF
from ..host.progress import note, overdue, step
from ..host.settings import Settings
from ..host.signals import Signals
from . import databases, workload
from .arguments import Options, timeout
from .logs import LogOptions, logs
from .services import named
from .status import configuration
from .up import as_before, up

ENDING = 60.0  # seconds that a service gets to end


def restart(settings: Settings, signals: Signals, services: Sequence[str]) -> None:
    """`docker compose restart`: starts services again and waits until they are ready; those that are stopped, too.

    services: all that are there if it is empty. Boulder compiles what the checkout has now, with what `up` was told. Raises Problem
    naming what does not get ready, or ApiError.
    """
    found = chosen(settings, services)
    others = [item for item in found if item["metadata"]["name"] != BOULDER]
    if others:
        with held(settings, "invoke restart"):
            api = cluster_of(settings).api
            for item in others:
                api.patch(item["kind"], item["metadata"]["name"], workload.restarting(item))
            rollout.wait(api, [item["metadata"]["name"] for item in others], timeout(), "what is restarted")
    if len(others) < len(found):
        boulder = next(item for item in found if item["metadata"]["name"] == BOULDER)
        up(settings, signals, remembered(settings, boulder), anew=True)


def stop(settings: Settings, services: Sequence[str]) -> None:
    """`docker compose stop`: ends services, all if none is named, and waits for their end. What they have written stays.

    `start`, `restart` and `up` start them again, and a test run starts what Boulder depends on. Raises Problem naming what does not
    end, or ApiError.
    """
    found = chosen(settings, services)
    with held(settings, "invoke stop"), step(f"stopping {', '.join(item['metadata']['name'] for item in found)}"):
        api = cluster_of(settings).api
        for item in found:
            api.patch(item["kind"], item["metadata"]["name"], workload.stopping(item))
        for item in found:
            if not wait_until_gone(api, "Pod", labels=workload.selector(item), timeout=ENDING):
                raise Problem(
                    f"{item['metadata']['name']} did not end within {ENDING:.0f} s.",
                    "It ends when it can: `invoke status` shows it, `invoke down` removes everything.",
                )


def start(settings: Settings, signals: Signals, services: Sequence[str]) -> None:
    """`docker compose start`: starts services that were stopped, all of them if none is named; returns when they are ready.

    Raises Problem naming what does not get ready, or ApiError.
    """
    found = chosen(settings, services)
    asleep = [item for item in found if workload.starting(item)]
    names = [item["metadata"]["name"] for item in asleep if item["metadata"]["name"] != BOULDER]
    if not asleep:
        note("nothing of that is stopped")
    if names:
        with held(settings, "invoke start"):
            api = cluster_of(settings).api
            workload.start(api, asleep, names)
            rollout.wait(api, names, timeout(), "what is started")
    if boulder := [item for item in asleep if item["metadata"]["name"] == BOULDER]:
        up(settings, signals, remembered(settings, boulder[0]))


def remove(settings: Settings, services: Sequence[str]) -> None:
    """`docker compose rm --stop --force --volumes`: ends services and removes their data; the next `up` or test run makes them anew.

    Raises Problem if none is named or one does not end, process.Failed or ApiError.
    """
    if not services:
        raise Problem(
            "rm needs the name of a service.", "Name it: `invoke rm bmariadb`. `invoke down` removes everything."
        )
    names = [item["metadata"]["name"] for item in chosen(settings, services)]
    with held(settings, "invoke rm"):
        databases.empty(settings, cluster_of(settings).api, names)
    note(f"{', '.join(names)} and Boulder have ended; `invoke up` starts them, with empty databases")


def attached(settings: Settings, options: LogOptions, services: Sequence[str] = ()) -> int:
    """The end of `docker compose up` without --detach: prints the logs until Ctrl-C, then stops the services, all if none is named; returns
    the exit code. Raises Problem naming what does not end, or ApiError.
    """
    note(f"the logs follow; Ctrl-C stops {', '.join(services) or 'all services'}")
    code = logs(settings, options)
    if code > 128:
        stop(settings, services)
    return code


def cluster_of(settings: Settings) -> Cluster:
    """Returns the cluster. Raises Problem if it does not run, or is not ours."""
    cluster = Cluster(settings, tools.find(settings))
    cluster.require_running()
    return cluster


def chosen(settings: Settings, services: Sequence[str]) -> list[dict]:
    """Returns the Deployments and StatefulSets of these services, all if none is named. Raises Problem if a service does not exist or
    has none, or ApiError.
    """
    cluster = Cluster(settings, tools.find(settings))
    names = named(settings, cluster, services)
    cluster.require_running()
    with overdue("asking the cluster"):
        found = by_name(cluster.api)
    if missing := [name for name in names if name not in found]:
        raise Problem(
            f"{', '.join(missing)} is not on the cluster, or does not go on running.",
            "`invoke up` starts everything; `invoke status` shows what there is.",
        )
    return [found[name] for name in dict.fromkeys(names)] or list(found.values())


def by_name(api: Api) -> dict[str, dict]:
    """Returns the workloads that go on running, by name. Raises ApiError."""
    return {item["metadata"]["name"]: item for item in api.list(*workload.HASH, labels=PART_OF)}


def remembered(settings: Settings, boulder: dict) -> Options:
    """Returns the options with which `up` has started the Deployment boulder, as far as they are known. Raises Problem if a file that
    they name is gone.
    """
    kept = state.read(settings.file("boulder"))
    if isinstance(kept, dict):
        return as_before(kept)
    return Options(configuration([boulder]).endswith("config-next"), timeout())
