"""What `invoke doctor` checks of the machine. Each check returns a level, what it found, and what to do about it."""

from __future__ import annotations

import re
import shutil
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path

from ..cluster.node import check_ports
from ..host import docker, process, tools
from ..host.settings import Settings

OK, WARNING, FAIL = "ok", "warning", "fail"
GIB = 2**30
MEMORY = 6 * GIB  # about what Boulder's build and the cluster use together
DISK = 15 * GIB  # for the images twice: in the engine and in the node
COMPOSE = (2, 20, 2)  # https://docs.docker.com/reference/compose-file/services/#healthcheck
INOTIFY = {"max_user_instances": 512, "max_user_watches": 65536}  # https://kind.sigs.k8s.io/docs/user/known-issues/
FAR = "github.com"  # kind and Boulder come from there
NETWORKS = ("10.77.0.0/16", "64.112.117.0/24")


@dataclass
class Machine:
    """What the checks look at. root: the directory with proc/ and etc/, another one in tests."""

    settings: Settings
    environ: Mapping[str, str]
    root: Path = Path("/")
    info: dict = field(default_factory=dict)  # `docker info`


def docker_engine(machine: Machine) -> tuple[str, ...]:
    """Checks the engine's version and storage driver. Raises Problem if no engine answers."""
    machine.info.update(docker.info())
    engine = docker.engine_of(machine.info)
    if tuple(int(part) for part in engine.version.split(".")[:2] if part.isdigit()) < (20, 10):
        return FAIL, f"Docker {engine.version}", "Update Docker Engine to 20.10 or newer."
    store = "containerd's image store" if engine.containerd_store else f"storage driver {machine.info.get('Driver')}"
    if machine.info.get("Driver") == "vfs":
        return (
            WARNING,
            f"Docker {engine.version}, vfs",
            "Use overlay2: vfs copies every image whole, and cannot hold a node.",
        )
    return OK, f"Docker {engine.version}, {store}"


def docker_compose(_: Machine) -> tuple[str, ...]:
    """Checks that Docker has the Compose plugin in a version that reads docker-compose.yml."""
    try:
        version = process.run(["docker", "compose", "version", "--short"], timeout=60).strip()
        number = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
        if number and tuple(int(part) for part in number.groups()) < COMPOSE:
            return (
                FAIL,
                f"Docker Compose {version}",
                "Update it to 2.20.2 or newer, the first that knows docker-compose.yml's start_interval.",
            )
        return OK, f"Docker Compose {version}"
    except (OSError, process.Failed):
        return (
            FAIL,
            "Docker has no Compose plugin",
            "Install it (package docker-compose-plugin), as ./t.sh needs it too.",
        )


def docker_memory(machine: Machine) -> tuple[str, ...]:
    """Checks how much memory containers have."""
    total = machine.info.get("MemTotal", 0)
    level = OK if total >= MEMORY else WARNING
    return (
        level,
        f"{total / GIB:.1f} GiB of memory for containers",
        "Give Docker 6 GiB or more (Docker Desktop: Settings, Resources).",
    )


def docker_disk(machine: Machine) -> tuple[str, ...]:
    """Checks how much room is left where Docker keeps its images."""
    directory = Path(machine.info.get("DockerRootDir", "/nonexistent"))
    if not directory.exists():
        return OK, "Docker's directory is not on this machine's disk; not looked at"
    free = shutil.disk_usage(directory).free
    level = OK if free >= DISK else WARNING if free > DISK / 3 else FAIL
    return (
        level,
        f"{free / GIB:.0f} GiB free in {directory}",
        "Make room: `docker system df` shows what takes it, .runs/ holds earlier runs.",
    )


def docker_install(machine: Machine) -> tuple[str, ...]:
    """Checks that Docker is neither a snap nor rootless."""
    if str(machine.info.get("DockerRootDir", "")).startswith("/var/snap/"):
        return (
            FAIL,
            "Docker is a snap, which cannot mount every directory",
            "Install Docker's own packages: https://docs.docker.com/engine/install/",
        )
    if any("rootless" in option for option in machine.info.get("SecurityOptions") or []):
        return (
            WARNING,
            "Docker runs rootless",
            "See https://kind.sigs.k8s.io/docs/user/rootless/: it needs cgroup v2 and delegated controllers.",
        )
    return OK, "Docker runs as root's service"


def cgroups(machine: Machine) -> tuple[str, ...]:
    """Tells the engine's cgroup version; any is ok."""
    version = str(machine.info.get("CgroupVersion", "unknown"))
    return OK, f"cgroup v{version}" + (": we tell the kubelet to accept it" if version == "1" else "")


def inotify(machine: Machine) -> tuple[str, ...]:
    """Checks the kernel's inotify limits."""
    directory = machine.root / "proc/sys/fs/inotify"
    if not directory.exists():
        return OK, "no inotify limits here"
    limits = {key: int((directory / key).read_text()) for key in INOTIFY}
    low = {key: value for key, value in limits.items() if value < INOTIFY[key]}
    if not low:
        return OK, "inotify limits are high enough"
    settings = " ".join(f"fs.inotify.{key}={INOTIFY[key]}" for key in low)
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
        "Nothing to do if images, kind and the checkout are here; otherwise correct the DNS or set a proxy.",
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
    docker_engine,
    docker_compose,
    docker_memory,
    docker_disk,
    docker_install,
    cgroups,
    inotify,
    kind_and_kubectl,
    host_ports,
    subnets,
    proxy,
    internet,
)
