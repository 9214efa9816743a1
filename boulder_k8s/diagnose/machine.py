"""What `invoke doctor` checks of the machine. Each check returns a level, what it found, and what to do about it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path

from ..cluster.node import check_ports
from ..host import docker, fitness, lab, tools
from ..host.settings import Settings
from ..manifests.subnets import USUAL, cluster_ranges

OK, WARNING, FAIL = "ok", "warning", "fail"
FAR = "github.com"  # kind and Boulder come from there
NETWORKS = (str(cluster_ranges()[0]), *USUAL[1:])  # the Services' range holds the first of the usual ones


@dataclass
class Machine:
    """What the checks look at. root: the directory with proc/ and etc/, another one in tests."""

    settings: Settings
    environ: Mapping[str, str]
    root: Path = Path("/")
    info: dict = field(default_factory=dict)  # `docker info`


def cgroups(machine: Machine) -> tuple[str, ...]:
    """Tells the engine's cgroup version; any is ok."""
    version = str(machine.info.get("CgroupVersion", "unknown"))
    return OK, f"cgroup v{version}" + (": we tell the kubelet to accept it" if version == "1" else "")


def inotify(machine: Machine) -> tuple[str, ...]:
    """Checks the kernel's inotify limits."""
    if not (machine.root / "proc/sys/fs/inotify").exists():
        return OK, "no inotify limits here"
    if not (low := fitness.low_inotify(machine.root)):
        return OK, "inotify limits are high enough"
    settings = " ".join(f"fs.inotify.{key}={fitness.INOTIFY[key]}" for key in low)
    return (
        WARNING,
        f"low inotify limits: {', '.join(f'{key} {value}' for key, value in low.items())}",
        f"sudo sysctl {settings}",
    )


def kind_and_kubectl(machine: Machine) -> tuple[str, ...]:
    """Checks that kind and kubectl are there in the right versions. Raises Problem if they are not."""
    found = tools.find(machine.settings)
    return OK, f"kind {tools.KIND} ({found.kind}), kubectl ({found.kubectl})"


def host_ports(machine: Machine) -> tuple[str, ...]:
    """Checks that nobody else uses the ports on the host. Raises Problem if one is taken."""
    if docker.inspect_container(machine.settings.node):
        return OK, "published by the cluster that is there"
    check_ports(machine.settings)
    return OK, f"{', '.join(str(port) for port in machine.settings.ports)}: free"


def subnets(machine: Machine) -> tuple[str, ...]:
    """Checks that no route of the host leads to the cluster's networks; pods could not reach what is there."""
    routes = machine.root / "proc/net/route"
    if not routes.exists():
        return OK, "no routes to look at here"
    for line in routes.read_text().splitlines()[1:]:
        device, destination, _, _, _, _, _, mask = line.split()[:8]
        if mask == "00000000":
            continue
        address = ".".join(str(byte) for byte in bytes.fromhex(destination)[::-1])
        network = ip_network(f"{address}/{int(mask, 16).bit_count()}", strict=False)
        if any(network.overlaps(ip_network(ours)) for ours in NETWORKS) and not device.startswith("br-"):
            return (
                WARNING,
                f"{network} is routed to {device}",
                "Pods cannot reach what is in it; nothing to do unless that is a registry or proxy.",
            )
    return OK, f"{' and '.join(NETWORKS)} are routed nowhere but to Docker's own networks"


def proxy(machine: Machine) -> tuple[str, ...]:
    """Checks that NO_PROXY exempts the cluster if a proxy is set."""
    environ = {key.lower(): value for key, value in machine.environ.items()}
    if not any(environ.get(key) for key in ("http_proxy", "https_proxy")):
        return OK, "no proxy is set"
    exempt = environ.get("no_proxy", "")
    if missing := [name for name in ("localhost", "127.0.0.1", NETWORKS[0]) if name not in exempt]:
        return (
            WARNING,
            f"a proxy is set, and NO_PROXY lacks {', '.join(missing)}",
            f"export NO_PROXY={','.join(filter(None, [exempt, *missing]))}",
        )
    return OK, "a proxy is set, and NO_PROXY exempts the cluster"


def internet(machine: Machine) -> tuple[str, ...]:
    """Checks that names are resolved: localhost and FAR. If everything is here already, no internet is needed."""
    if "127.0.0.1" not in lookup("localhost"):
        return FAIL, "localhost is not 127.0.0.1", "Write `127.0.0.1 localhost` into /etc/hosts."
    resolver = machine.root / "etc/resolv.conf"
    for line in resolver.read_text().splitlines() if resolver.exists() else ():
        words = line.split()
        if words[:1] == ["nameserver"] and any(covers(network, words[1]) for network in NETWORKS):
            return (
                WARNING,
                f"the name server {words[1]} has an address that the cluster uses too",
                "Pods cannot reach it, so tests that look up names of the internet fail. Use another name server.",
            )
    if lookup(FAR):
        return OK, f"{FAR} is found"
    if any(key.lower() in ("http_proxy", "https_proxy") and value for key, value in machine.environ.items()):
        return OK, f"{FAR} is not found, but a proxy is set"
    return (
        WARNING,
        f"{FAR} is not found",
        "Nothing to do if images, kind and the checkout are here; otherwise correct the DNS or set a proxy."
        + lab.offered(machine.root),
    )


def covers(network: str, address: str) -> bool:
    """Returns whether an address is in a network; False if it is not an address."""
    try:
        return ip_address(address) in ip_network(network)
    except ValueError:  # with a zone, as fe80::1%eth0
        return False


def lookup(name: str) -> set[str]:
    """Returns the addresses of a name, or an empty set if there is no answer within three seconds."""
    found: set[str] = set()

    def ask() -> None:
        with suppress(OSError):
            found.update(str(entry[4][0]) for entry in socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(3)
    return set(found)


CHECKS: tuple[Callable[[Machine], tuple[str, ...]], ...] = (
    cgroups,
    inotify,
    kind_and_kubectl,
    host_ports,
    subnets,
    proxy,
    internet,
)
