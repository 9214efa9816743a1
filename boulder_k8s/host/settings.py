"""Which cluster, which ports, which directories: everything that the environment decides."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..manifests.checkout import current_directory, place
from ..manifests.overrides import Overrides
from . import state
from .errors import Problem

ROOT = Path(__file__).resolve().parents[2]
NODE_IMAGE = "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5"
NAMESPACE = "boulder"
DEFAULT_PORTS = "4001,4003"  # docker-compose.yml, services.boulder.ports


@dataclass(frozen=True)
class Port:
    """A port of the Boulder pod that the host's 127.0.0.1 answers on."""

    host: int
    container: int


@dataclass(frozen=True)
class Settings:
    """One cluster's settings. Paths are absolute; root is this project's directory. overrides: none but where a task takes them."""

    root: Path
    cluster: str
    node_image: str
    ports: tuple[Port, ...]
    offline: bool = False  # nothing is pulled, built, cloned or downloaded
    overrides: Overrides = Overrides()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ, root: Path = ROOT) -> Settings:
        """Reads KIND_CLUSTER, KIND_NODE_IMAGE, BOULDER_PORTS and BOULDER_K8S_OFFLINE. Raises Problem for a value that cannot be meant."""
        cluster = environ.get("KIND_CLUSTER") or "boulder"
        if cluster == "auto":
            cluster = name_for(place(environ, current_directory(), root))
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", cluster):  # kind's own rule
            raise Problem(
                f"KIND_CLUSTER={cluster!r} is not a name that kind accepts.",
                "Use lower-case letters, digits and dashes.",
            )
        if cluster in (
            "bin",
            "versions",
            "compose",
            "stores",
            "loaded",
        ):  # directories of ours beside the clusters' in .state
            raise Problem(f"KIND_CLUSTER={cluster} is a name that boulder-k8s uses itself.", "Choose another name.")
        return cls(
            root,
            cluster,
            environ.get("KIND_NODE_IMAGE") or NODE_IMAGE,
            parse_ports(environ.get("BOULDER_PORTS") or DEFAULT_PORTS),
            parse_offline(environ.get("BOULDER_K8S_OFFLINE") or "false"),
        )

    @property
    def state(self) -> Path:
        """What this project remembers about the cluster; gone after `down`."""
        return self.root / ".state" / self.cluster

    @property
    def known_checkout(self) -> Path | None:
        """The checkout that the cluster was made for, None when there is no cluster."""
        path = state.read(self.state / "complete.json").get("path")
        return Path(path) if path else None

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def context(self) -> str:
        return f"kind-{self.cluster}"  # kind's naming

    @property
    def node(self) -> str:
        """The Docker container that is the cluster's node, in kind's naming."""
        return f"{self.cluster}-control-plane"

    @property
    def runs(self) -> Path:
        """Run directories of every cluster of this project; mounted on each node at /runs."""
        return self.root / ".runs"

    @property
    def directory_url(self) -> str:
        """The ACME directory as the host reaches it."""
        host = next((port.host for port in self.ports if port.container == 4001), 4001)
        return directory_url(host)


def directory_url(port: int) -> str:
    return f"http://localhost:{port}/directory"


def name_for(checkout: Path) -> str:
    """A cluster name that is this checkout's own: KIND_CLUSTER=auto. Its directory's name is in it, for people to recognise."""
    slug = re.sub(r"[^a-z0-9]+", "-", checkout.name.lower()).strip("-")[:20].strip("-") or "checkout"
    return f"boulder-{slug}-{hashlib.sha256(str(checkout).encode()).hexdigest()[:6]}"


def parse_ports(text: str) -> tuple[Port, ...]:
    """Ports from Compose's short syntax, comma-separated: "4001,14003:4003". Raises Problem when it is not that."""
    ports = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(?:(\d{1,5}):)?(\d{1,5})\s*", part)
        numbers = [int(number) for number in match.groups() if number] if match else []
        if not numbers or not all(0 < number < 65536 for number in numbers):
            raise Problem(
                f"BOULDER_PORTS={text!r} is not a list of ports.",
                "Write HOST:CONTAINER pairs, as in BOULDER_PORTS=14001:4001,14003:4003.",
            )
        ports.append(Port(numbers[0], numbers[-1]))
    if len({port.host for port in ports}) < len(ports):
        raise Problem(
            f"BOULDER_PORTS={text!r} names a port of the host twice.", "Give each port of the host one counterpart."
        )
    return tuple(ports)


def parse_offline(text: str) -> bool:
    """BOULDER_K8S_OFFLINE: true or false. Raises Problem for another word."""
    if text not in ("true", "false"):
        raise Problem(f"BOULDER_K8S_OFFLINE={text} is neither true nor false.", "Set it to true, or unset it.")
    return text == "true"


def own_directory(path: Path) -> Path:
    """Makes a directory that git ignores whatever repository the project lies in; returns it."""
    path.mkdir(parents=True, exist_ok=True)
    ignore = path / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return path
