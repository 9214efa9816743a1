"""What the author of an ACME client changes of Boulder: where names resolve to, host entries, configuration files.

Users of Compose edit docker-compose.yml and test/config for that. Here the checkout stays as it is: the changes are laid over what
was read from it. Only `invoke up`, `run` and `render` take them: tests are to see what they see under Compose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from ..host.errors import Problem
from ..host.files import below
from . import compose

HOST = "host-gateway"  # Docker's own word for the host's address as containers reach it
PUBLIC = "64.112.117.1"  # as in k8s/components/acme-client: the host's address in Compose's publicnet
BOULDER = "boulder"


@dataclass(frozen=True)
class Overrides:
    """What differs from the checkout. An address may be HOST until `resolved`."""

    fake_dns: str = ""  # where every name leads to for validation; empty: as docker-compose.yml has it
    hosts: tuple[tuple[str, str], ...] = ()  # names and their addresses in the pod's /etc/hosts
    config: Path | None = None  # a directory whose files replace those of test/config, or are added to them

    @classmethod
    def read(
        cls, environ: Mapping[str, str], fake_dns: str = "", add_hosts: Iterable[str] = (), config: str = ""
    ) -> Overrides:
        """Flags, and where they are empty FAKE_DNS, BOULDER_EXTRA_HOSTS and BOULDER_CONFIG_OVERLAY. Raises Problem for a value that
        cannot be meant.
        """
        fake_dns = fake_dns or environ.get("FAKE_DNS", "")
        if fake_dns not in ("", HOST) and not is_ipv4(fake_dns):
            raise Problem(
                f"FAKE_DNS={fake_dns} is not an IPv4 address.",
                f"Write the address where your client answers challenges, or {HOST} when it runs on this host.",
            )
        entries = list(add_hosts) or [entry for entry in environ.get("BOULDER_EXTRA_HOSTS", "").split(",") if entry]
        config = config or environ.get("BOULDER_CONFIG_OVERLAY", "")
        directory = Path(config).resolve() if config else None
        if directory and not directory.is_dir():
            raise Problem(
                f"The configuration overlay {config} is not a directory.",
                "Name one with the files that are to take the place of those in test/config.",
            )
        return cls(fake_dns, tuple(host_entry(entry) for entry in entries), directory)

    def resolved(self, gateway: Callable[[], str]) -> Overrides:
        """With addresses in place of HOST. gateway: asked only if that is needed."""
        if HOST not in (self.fake_dns, *(address for _, address in self.hosts)):
            return self
        found = gateway()
        return replace(
            self,
            fake_dns=found if self.fake_dns == HOST else self.fake_dns,
            hosts=tuple((name, found if address == HOST else address) for name, address in self.hosts),
        )

    def apply_to(self, document: dict) -> dict:
        """The resolved Compose file as it would be had the user edited it. `document` itself stays as it is."""
        service = document["services"][BOULDER]
        named = {name for name, _ in self.hosts}
        kept = [(name, address) for name, address in compose.extra_hosts(service) if name not in named]
        changed = {
            **service,
            "environment": {
                **(service.get("environment") or {}),
                **({"FAKE_DNS": PUBLIC if self.relay_target else self.fake_dns} if self.fake_dns else {}),
            },
            "extra_hosts": [f"{name}={address}" for name, address in (*kept, *self.hosts)],
        }
        return {**document, "services": {**document["services"], BOULDER: changed}}

    def files(self, directory: Path) -> dict[str, Path]:
        """Boulder's configuration: what each path below test/config holds. directory: the checkout's."""
        return below(directory) | (below(self.config) if self.config else {})

    @property
    def relay_target(self) -> str:
        """Where a reserved FAKE_DNS is; empty for one of the internet's. Boulder's VA refuses reserved addresses, whatever its
        configuration, so names then resolve to PUBLIC, and k8s/components/acme-client passes on what comes there.
        """
        return self.fake_dns if self.fake_dns and not ip_address(self.fake_dns).is_global else ""

    def described(self) -> dict[str, str | list[str]]:
        """What is changed, for people and for run.json; empty when nothing is."""
        found = {
            "FAKE_DNS": self.fake_dns,
            "extra_hosts": [f"{name}:{address}" for name, address in self.hosts],
            "config": sorted(below(self.config)) if self.config else [],
        }
        return {key: value for key, value in found.items() if value}


def is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def host_entry(text: str) -> tuple[str, str]:
    """NAME:ADDRESS, as `docker run --add-host` takes it. Raises Problem when it is not that."""
    name, _, address = text.strip().partition(":")
    try:
        if address != HOST:
            ip_address(address)
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            raise ValueError(name)
    except ValueError as error:
        raise Problem(
            f"{text!r} is not a host entry.",
            f"Write NAME:ADDRESS, as in client.example:10.77.0.80 or client.example:{HOST}.",
        ) from error
    return name, address
