"""`invoke port-forward`: a port of a service's container on this machine, whatever restarts."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..cluster.api import Api
from ..cluster.kind import Cluster
from ..cluster.node import is_free
from ..host import process, tools
from ..host.errors import Interrupted, Problem
from ..host.files import private_directory, write_private
from ..host.progress import note, step
from ..host.settings import Port, Settings
from .exec import next_pod, pod_of
from .reach import PAGES, link
from .services import named

AGAIN = 0.5  # seconds before a forwarding that ended at once is begun again
QUICK = 2.0  # seconds: one that ended sooner has not worked


def port_forward(settings: Settings, words: Sequence[str], chosen_is: Callable[[int], object] | None = None) -> int:
    """Makes ports of a service answer on this machine until Ctrl-C; returns 128 + the signal's number.

    words: the service, then its ports, each PORT or LOCAL:PORT; without one, that of its page. While tests run, boulder means their pod: so
    a debugger in it is reached. If a local port is taken, it takes the next free one, and says so. chosen_is: is told the first port of this
    machine. A service that is being started is waited for. Raises Problem if it does not exist, does not run or takes too long, or ApiError.
    """
    if not words:
        raise Problem("port-forward needs a service.", "Write it: `invoke port-forward bconsul`.")
    cluster = Cluster(settings, tools.find(settings))
    (service,) = named(settings, cluster, words[:1])
    cluster.require_running()
    wanted = ports(cluster.api, service, words[1:])
    pod = pod_of(cluster.api, words[0], service)
    chosen = free(wanted)
    for there, here in chosen.items():
        note(f"{service} port {there}: {link(service, there, f'localhost:{here}')}")
    if chosen_is:
        chosen_is(next(iter(chosen.values())))
    note("until Ctrl-C")
    kept = private_directory(settings.state / "forwards") / f"{os.getpid()}.json"
    write_private(kept, json.dumps({"service": service, "ports": chosen}))
    try:
        go_on(cluster, service, pod, chosen)
    except Interrupted as end:
        return 128 + end.signum
    finally:
        kept.unlink(missing_ok=True)
    return 0


def go_on(cluster: Cluster, service: str, pod: str, chosen: dict[int, int]) -> None:
    """Forwards until the cluster is gone: if the pod ends, to the next one. Raises Problem if kubectl does not start, Interrupted, ApiError."""
    pairs = [f"{here}:{there}" for there, here in chosen.items()]
    while True:
        begun = time.monotonic()
        command = cluster.kubectl.command("port-forward", "--address=127.0.0.1", f"pod/{pod}", *pairs)
        # What it says about each connection is for nobody; what goes wrong with one is.
        with process.started(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as child:
            child.wait()
        if time.monotonic() - begun < QUICK:
            time.sleep(AGAIN)  # nothing to watch: the pod is there, and its node does not answer yet
        if not cluster.is_running():
            note(f"cluster {cluster.settings.cluster} has stopped")
            return
        with step(f"waiting for {service}"):
            pod = next_pod(cluster.api, service)


def ports(api: Api, service: str, words: Sequence[str]) -> dict[int, int]:
    """Returns the ports that are wanted: those of the container, each with that of this machine. words: what was typed; without any, the
    port of the service's page, or the first of its Service. Raises Problem if one is no port, or the service has none, and ApiError.
    """
    found = {}
    for word in words:
        here, colon, there = word.rpartition(":")
        if not all(part.isdigit() and 0 < int(part) < 65536 for part in (there, *([here] if colon else []))):
            raise Problem(f"{word} is not a port.", "Write PORT or LOCAL:PORT: `invoke port-forward boulder 2345`.")
        found[int(there)] = int(here or there)
    if found:
        return found
    if service in PAGES:
        return {PAGES[service].port: PAGES[service].port}
    network = api.find("Service", service)
    listed = network["spec"].get("ports", []) if network else []
    numbers = [item["port"] for item in listed if item.get("protocol", "TCP") == "TCP"]
    if not numbers:
        raise Problem(f"{service} has no port that is known.", f"Name one: `invoke port-forward {service} 8080`.")
    return {numbers[0]: numbers[0]}


def free(wanted: dict[int, int]) -> dict[int, int]:
    """Returns the ports with free ones of this machine in place of those that are taken; names these on stderr."""
    found: dict[int, int] = {}
    for there, here in wanted.items():
        used = set(found.values())
        any_port = Port(here, there)
        local = next((one for one in range(here, 1 << 16) if is_free(replace(any_port, host=one), used)), 0)
        if not local:
            local = next(one for one in range(20000, 1 << 16) if is_free(replace(any_port, host=one), used))
        if local != here:
            note(f"port {here} of this machine is taken; {local} is the next free one")
        found[there] = local
    return found
