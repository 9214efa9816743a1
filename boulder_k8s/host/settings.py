"""Which cluster, which ports, which directories: everything that the environment decides."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from . import state
from .errors import Problem
from .files import in_utf_8, load_yaml

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
EVERYWHERE = (LOOPBACK, "0.0.0.0", "::1", "::")  # addresses at which `localhost` reaches a port
DEFAULT_PORTS = "4001,4003"  # docker-compose.yml, services.boulder.ports


@dataclass(frozen=True, order=True)
class Port:
    """A port of the Boulder pod that this machine answers on. address: of this machine, without brackets."""

    host: int
    container: int
    address: str = LOOPBACK

    def __str__(self) -> str:
        """As BOULDER_PORTS takes it."""
        address = "" if self.address == LOOPBACK else f"{bracketed(self.address)}:"
        return f"{address}{self.host}:{self.container}"

    @property
    def directory_url(self) -> str:
        """The ACME directory, if this is the port 4001 of the pod."""
        name = "localhost" if self.address in EVERYWHERE else bracketed(self.address)
        return f"http://{name}:{self.host}/directory"


@dataclass(frozen=True)
class Settings:
    """One cluster's settings. Paths are absolute; root is this project's directory."""

    root: Path
    cluster: str
    node_image: str
    ports: tuple[Port, ...]
    offline: bool = False  # nothing is pulled, built, cloned or downloaded

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ, root: Path = ROOT) -> Settings:
        """Reads KIND_CLUSTER, KIND_NODE_IMAGE, BOULDER_PORTS and BOULDER_K8S_OFFLINE.

        KIND_CLUSTER=auto is resolved before (manifests/checkout.py). Raises Problem if a value is invalid.
        """
        cluster = environ.get("KIND_CLUSTER") or "boulder"
        # kind's own rule, and a host name's: the node's is CLUSTER-control-plane.
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,48}", cluster):
            raise Problem(
                f"KIND_CLUSTER={cluster!r} is not a name that kind accepts.",
                "Use up to 49 lower-case letters, digits and dashes.",
            )
        return cls(
            in_utf_8(root),
            cluster,
            environ.get("KIND_NODE_IMAGE") or pinned_node_image(root),
            parse_ports(environ.get("BOULDER_PORTS") or DEFAULT_PORTS),
            parse_offline(environ.get("BOULDER_K8S_OFFLINE") or "false"),
        )

    @property
    def state(self) -> Path:
        """The directory of what this project remembers about the cluster; `down` removes it."""
        return self.root / ".state" / "clusters" / self.cluster

    def file(self, name: str) -> Path:
        """Returns where a remembered file lies; name: one of state.FILES."""
        return state.path(self.root / ".state", self.cluster, name)

    @property
    def known_checkout(self) -> Path | None:
        """The checkout that the cluster was made for, None when there is no cluster."""
        known = state.read(self.file("cluster"))
        path = known.get("path") if isinstance(known, dict) else None
        return Path(path) if path and isinstance(path, str) else None

    @property
    def kubeconfig(self) -> Path:
        """The cluster's own kubeconfig; nobody else's is read or written."""
        return self.state / "kubeconfig"

    @property
    def context(self) -> str:
        """The context in that kubeconfig."""
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
    def standby(self) -> Path:
        """Where the run directory of this cluster's waiting pod lies until a run takes it."""
        return self.runs / ".standby" / self.cluster

    @property
    def lock(self) -> Path:
        """The file that a command locks; beside the state directory, which `down` removes while it holds the lock."""
        return self.root / ".state" / "locks" / self.cluster

    def checkout_note(self, checkout: Path) -> Path:
        """Returns the file that says which command of this project uses a checkout."""
        return self.root / ".state" / "checkouts" / hashlib.sha256(str(checkout).encode()).hexdigest()[:16]

    @property
    def directory_url(self) -> str:
        """The ACME directory as the host reaches it."""
        return next((port for port in self.ports if port.container == 4001), Port(4001, 4001)).directory_url


def bracketed(address: str) -> str:
    """Returns an address as it stands in front of a port."""
    return f"[{address}]" if ":" in address else address


def pinned_node_image(root: Path) -> str:
    """Returns the node image, with its digest, of k8s/cluster/kind.yaml. root: this project's directory."""
    return load_yaml(root / "k8s/cluster/kind.yaml")["nodes"][0]["image"]


def parse_ports(text: str) -> tuple[Port, ...]:
    """Returns the ports of a list in Compose's short syntax, with commas between: "4001,14003:4003,0.0.0.0:4431:4431".

    Without an address a port is published at 127.0.0.1 alone. Raises Problem if it is not such a list.
    https://docs.docker.com/reference/compose-file/services/#short-syntax-4
    """
    ports = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(?:(?:(\[[^\]]*\]|[0-9.]+):)?(\d{1,5}):)?(\d{1,5})\s*", part)
        address, host, container = match.groups() if match else ("", "", "0")
        numbers = [int(host or container), int(container)]
        try:
            address = str(ip_address(address.strip("[]"))) if address else LOOPBACK
        except ValueError:
            numbers = [0]
        if not all(0 < number < 65536 for number in numbers):
            raise Problem(
                f"BOULDER_PORTS={text!r} is not a list of ports.",
                "Write [ADDRESS:]HOST:CONTAINER, as in BOULDER_PORTS=14001:4001,0.0.0.0:14003:4003.",
            )
        ports.append(Port(*numbers, address))
    if len({(port.address, port.host) for port in ports}) < len(ports):
        raise Problem(
            f"BOULDER_PORTS={text!r} names a port of the host twice.", "Give each port of the host one counterpart."
        )
    return tuple(ports)


def parse_offline(text: str) -> bool:
    """BOULDER_K8S_OFFLINE: true or false. Raises Problem for another word."""
    if text not in ("true", "false"):
        raise Problem(f"BOULDER_K8S_OFFLINE={text} is neither true nor false.", "Set it to true, or unset it.")
    return text == "true"
