"""What answers where: the ports on this machine, `invoke port`, and the pages that `invoke port-forward` opens, for `status`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..cluster.kind import Cluster
from ..cluster.node import published
from ..host import state, tools
from ..host.errors import Problem
from ..host.names import BOULDER
from ..host.settings import Port, Settings, bracketed
from .services import named


@dataclass(frozen=True)
class Page:
    """What a service shows. port: of its container. url: with {} for host and port. what: for people."""

    port: int
    url: str
    what: str


PAGES = {
    BOULDER: Page(4001, "http://{}/directory", "ACME"),
    "bconsul": Page(8500, "http://{}/ui/", "Consul's page"),
    "bjaeger": Page(16686, "http://{}/", "Jaeger's traces"),
    "bmariadb": Page(3306, "mysql://root@{}/boulder_sa", "MariaDB, also `invoke sql`"),
    "bmysql": Page(3306, "mysql://root@{}/boulder_sa", "MySQL, also `invoke sql`"),
    "bminio": Page(9000, "http://{}/", "MinIO's S3"),
    "bproxysql": Page(6033, "mysql://{}/", "ProxySQL"),
    "bvitess": Page(33577, "mysql://{}/boulder_sa", "Vitess, also `invoke sql --vitess`"),
}
# Further ports of Boulder's, by what docker-compose.yml says about them.
PATHS = {4001: "http://{}/directory", 4003: "http://{}/", 4431: "https://{}/directory"}


def link(service: str, port: int, local: str) -> str:
    """Returns how a port of a service is reached. local: host and port on this machine."""
    page = PAGES.get(service)
    if page and page.port == port:
        return page.url.format(local)
    return PATHS[port].format(local) if service == BOULDER and port in PATHS else local


@dataclass(frozen=True)
class Link:
    """One line of what is reachable. command: what has to be typed first, "" if it answers already."""

    service: str
    url: str
    what: str
    command: str = ""


def links(settings: Settings, ports: Iterable[Port], services: Iterable[str]) -> list[Link]:
    """Returns what is reachable now, and what one command makes reachable. ports: what the node publishes. services: on the cluster."""
    found = []
    for port in sorted(ports):
        host = "localhost" if port.address in ("127.0.0.1", "0.0.0.0", "::1", "::") else bracketed(port.address)
        found.append(Link(BOULDER, link(BOULDER, port.container, f"{host}:{port.host}"), f"port {port.container}"))
    opened = forwards(settings)
    for service, port, local in opened:
        found.append(
            Link(service, link(service, port, f"localhost:{local}"), f"port {port}, by a port-forward that runs")
        )
    for service in sorted({*services} & PAGES.keys() - {BOULDER, *(service for service, _, _ in opened)}):
        page = PAGES[service]
        url = page.url.format(f"localhost:{page.port}")
        found.append(Link(service, url, page.what, f"invoke port-forward {service}"))
    return found


def forwards(settings: Settings) -> list[tuple[str, int, int]]:
    """Returns the ports that `invoke port-forward` forwards now: service, port, and the port of this machine."""
    found = []
    for path in sorted((settings.state / "forwards").glob("*.json")):
        record = state.read_object(path)
        try:
            os.kill(int(path.stem), 0)
            found += [(record["service"], int(there), int(here)) for there, here in record["ports"].items()]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # one that was killed
            path.unlink(missing_ok=True)
    return found


def port(settings: Settings, words: Sequence[str]) -> None:
    """`docker compose port SERVICE PORT`: prints where on this machine a port of a service answers. words: both. Raises Problem if it does
    not, or if a word is missing, and ApiError.
    """
    wanted = [word for word in words if not word.startswith("-")]
    if len(wanted) != 2 or not wanted[1].partition("/")[0].isdigit():
        raise Problem("port needs a service and its port.", "Write both: `invoke port boulder 4001`.")
    cluster = Cluster(settings, tools.find(settings))
    (service,) = named(settings, cluster, wanted[:1])
    cluster.require_running()
    number, _, protocol = wanted[1].partition("/")
    found = []
    if service == BOULDER and protocol in ("", "tcp"):
        found = sorted(item for item in published(cluster.node()) if item.container == int(number))
    if not found:
        raise Problem(
            f"{service} publishes no port {wanted[1]} on this machine.",
            f"`invoke port-forward {service} {number}` makes a TCP port answer; BOULDER_PORTS names Boulder's ports when a cluster is made.",
        )
    for item in found:
        print(f"{bracketed(item.address)}:{item.host}")
