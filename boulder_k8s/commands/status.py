"""Shows what is on the cluster and whether it is ready: `invoke status`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..cluster import rollout, usage
from ..cluster.kind import Cluster
from ..cluster.node import mounts, published
from ..cluster.node import state as node_state
from ..host import tools
from ..host.names import CHECKOUT_MOUNT, NAME, TESTS
from ..host.progress import console, line, overdue, visible
from ..host.settings import Settings, bracketed
from ..manifests.checkout import Checkout
from ..manifests.subnets import USUAL
from ..manifests.workloads import WORKLOAD_KINDS
from ..run import standby
from ..run.directory import last_run
from ..run.restarts import described
from .reach import Link, links
from .services import named as services_named

if TYPE_CHECKING:
    from ..host.progress import Text


@dataclass
class Service:
    """One workload. address: the clusterIP of its Service, empty if it has no Service or no address. memory: of its pods, in bytes; 0 if
    that is not known.
    """

    name: str
    ready: bool
    restarts: int
    state: str
    image: str
    address: str
    ports: list[str]
    memory: int = 0


@dataclass
class Status:
    """Everything that `invoke status` shows.

    ready: every workload on the cluster runs and is ready. Boulder does not count while tests run, because their pod
    replaces it.
    """

    cluster: str
    node: str  # running, paused, stopped, absent
    checkout: str = ""
    revision: str = ""
    configuration: str = ""  # test/config or test/config-next
    directory_url: str = ""
    ports: list[str] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    tests_running: bool = False
    last_run: dict = field(default_factory=dict)
    ready: bool = False
    links: list[Link] = field(default_factory=list)  # what is reachable where
    node_address: str = ""  # at which the host reaches the node, empty if there is a virtual machine between


def status(settings: Settings, as_json: bool = False, names: Sequence[str] = ()) -> int:
    """Prints the status as a table or as JSON; returns 0 if everything is ready, else 1, also if there is no cluster.

    names: the services to show, all if it is empty. Raises Problem if there is no such service or the cluster is not ours, or ApiError
    if it does not answer.
    """
    with overdue("asking the cluster"):
        found = chosen(settings, look(settings), names)
    if as_json:
        print(json.dumps(asdict(found), indent=2))
    else:
        show(found)
    return 0 if found.ready else 1


def chosen(settings: Settings, found: Status, names: Sequence[str]) -> Status:
    """Returns a status with the named services alone, all if none is named. Raises Problem if there is no such service, or ApiError."""
    if names:
        wanted = services_named(settings, Cluster(settings, tools.find(settings)), names)
        found.services = [service for service in found.services if service.name in wanted]
        found.ready = bool(found.services) and all(service.ready for service in found.services)
    return found


def look(settings: Settings) -> Status:
    """Returns the status. Raises Problem if the cluster is not ours, or ApiError if it does not answer."""
    cluster = Cluster(settings, tools.find(settings))
    node = cluster.node()
    found = Status(settings.cluster, "absent", last_run=last_run(settings))
    if not node:
        return found
    found.node = node_state(node)
    found.checkout = mounts(node).get(CHECKOUT_MOUNT, "")
    found.revision = Checkout(Path(found.checkout)).revision() if found.checkout else ""
    ports = sorted(published(node))  # those that the cluster has, which BOULDER_PORTS cannot change any more
    found.ports = [f"{bracketed(port.address)}:{port.host} -> {port.container}" for port in ports]
    found.directory_url = next((port.directory_url for port in ports if port.container == 4001), "")
    if found.node != "running" or not settings.kubeconfig.exists():
        return found
    if cluster.record().get("same_kernel"):
        networks = node["NetworkSettings"]["Networks"].values()
        found.node_address = next((network["IPAddress"] for network in networks if network.get("IPAddress")), "")
    objects = cluster.api.list(*WORKLOAD_KINDS, "Pod", "Service", timeout=20, patience=5)
    found.services = services(objects, usage.memory(cluster.api, settings.node))
    found.links = links(settings, ports, (service.name for service in found.services))
    pods = [item for item in objects if item["kind"] == "Pod"]
    found.tests_running = any(item["metadata"]["name"] == TESTS and not standby.is_standby(item) for item in pods)
    found.configuration = configuration(objects)
    waited_for = [service for service in found.services if not (service.name == "boulder" and found.tests_running)]
    found.ready = bool(waited_for) and all(service.ready for service in waited_for)
    return found


def services(objects: list[dict], memory: Mapping[str, int]) -> list[Service]:
    """Returns the workloads that are among `objects`. memory: of pods, in bytes, by their names."""
    settled = rollout.settled(objects)
    there = {item["metadata"]["name"]: item for item in objects if item["kind"] in WORKLOAD_KINDS}
    found = []
    for name in sorted(there):
        pods = [
            item for item in objects if item["kind"] == "Pod" and item["metadata"].get("labels", {}).get(NAME) == name
        ]
        statuses = [status for pod in pods for status in pod.get("status", {}).get("containerStatuses", [])]
        network = next(
            (item for item in objects if item["kind"] == "Service" and item["metadata"]["name"] == name), None
        )
        address = network["spec"].get("clusterIP", "") if network else ""
        ports = network["spec"].get("ports", []) if network else []
        found.append(
            Service(
                name,
                name in settled,
                sum(status.get("restartCount", 0) for status in statuses),
                state(there[name], pods, statuses),
                there[name]["spec"]["template"]["spec"]["containers"][0]["image"],
                "" if address == "None" else address,  # "None": the name leads to the pod itself
                [f"{port['port']}/{port.get('protocol', 'TCP').lower()}" for port in ports],
                sum(memory.get(pod["metadata"]["name"], 0) for pod in pods),
            )
        )
    return found


def state(workload: dict, pods: list[dict], statuses: list[dict]) -> str:
    """Returns in a word or two what a workload is doing: what its containers wait for, or else the phase of
    its pods.
    """
    if workload["kind"] != "Job" and not workload["spec"].get("replicas"):
        return "scaled down"
    reasons = [
        status["state"]["waiting"].get("reason", "") for status in statuses if "waiting" in status.get("state", {})
    ]
    return ", ".join(reasons) or ", ".join(pod.get("status", {}).get("phase", "") for pod in pods) or "no pod"


def configuration(objects: list[dict]) -> str:
    """Returns which configuration the Deployment boulder runs, or "" if it is not there."""
    for item in objects:
        if (item["kind"], item["metadata"]["name"]) == ("Deployment", "boulder"):
            for variable in item["spec"]["template"]["spec"]["containers"][0].get("env", []):
                if variable["name"] == "BOULDER_CONFIG_DIR":
                    return variable.get("value", "")
    return ""


def show(found: Status) -> None:
    """Prints the status as a table; uses colours on a terminal."""
    screen = console()
    for item in lines(found):
        screen.print(item)


def lines(found: Status) -> list[Text]:
    """Returns the status as a table, with colours for a terminal."""
    said: list[Text] = []

    def say(*parts: str | tuple[str, str]) -> None:
        said.append(line(*parts))

    say(f"cluster {found.cluster}: node {found.node}" + (", tests are running" if found.tests_running else ""))
    if found.checkout:
        say(f"checkout {found.checkout} at {found.revision[:9]}, {found.configuration or 'Boulder not started'}")
    if found.ports:
        say(f"host ports {', '.join(found.ports)}" + (f"; {found.directory_url}" if found.directory_url else ""))
    if found.node_address:
        say(f"10.77.77.77 and the other addresses: sudo ip route replace {USUAL[0]} via {found.node_address}")
    for row in table(found.services):
        say(*row)
    for item in found.links:
        say(
            f"{item.service}: ",
            (item.url, "cyan"),
            f" {item.what}" + (f"; `{item.command}` first" if item.command else ""),
        )
    if run := found.last_run:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run["began"]))
        result = run["failure"] or ("running or killed" if run["seconds"] is None else f"exit code {run['exit_code']}")
        took = f", {run['seconds']} s" if run["seconds"] is not None else ""
        say(f"last run {when}: {' '.join(run['arguments'])}: {result}{took}; {run['directory']}")
        if run.get("restarts"):
            say(f"while it ran: {described(run['restarts'])}")
    if not found.ready:
        say(
            "not ready; `invoke up` starts everything"
            if found.node != "absent"
            else "no cluster; `invoke up` makes one"
        )
    return said


def table(services: list[Service]) -> list[list[tuple[str, str]]]:
    """Returns the lines of the table of services: a heading, and one for each; nothing if there are no services."""
    if not services:
        return []
    rows = [
        [(title, "bold") for title in ("service", "ready", "restarts", "memory", "state", "address", "ports", "image")]
    ]
    for item in services:
        ports = " ".join(item.ports[:4]) + (f" and {len(item.ports) - 4} more" if len(item.ports) > 4 else "")
        ready = ("yes", "green") if item.ready else ("no", "red")
        memory = f"{item.memory / 2**20:.0f} MiB" if item.memory else ""
        words = (str(item.restarts), memory, item.state, item.address, ports, item.image)
        rows.append([(item.name, ""), ready, *((word, "") for word in words)])
    widths = [max(len(visible(row[number][0])) for row in rows) for number in range(len(rows[0]))]
    wide = [
        [(visible(text).ljust(width), style) for (text, style), width in zip(row, widths, strict=True)] for row in rows
    ]
    return [[part for cell in row for part in (cell, ("  ", ""))][:-1] for row in wide]
