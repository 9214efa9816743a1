"""Whether the host ports that a cluster is to publish are free."""

from __future__ import annotations

import socket

from ..host import docker
from ..host.errors import Problem
from ..host.settings import Settings


def check_ports(settings: Settings) -> None:
    """Raises Problem when another program has one of the host ports."""
    for port in settings.ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port.host))
            except PermissionError:
                continue  # one that only root may bind: Docker tells
            except OSError as error:
                holders = docker.publishers(port.host)
                who = f"container {', '.join(holders)}" if holders else "another program"
                raise Problem(
                    f"Port {port.host} on 127.0.0.1 is taken by {who}.",
                    "Stop it (`docker compose down` for Boulder's own stack), or publish elsewhere: BOULDER_PORTS=14001:4001,14003:4003.",
                    check="host-ports",
                ) from error
