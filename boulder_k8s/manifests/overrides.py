"""What the author of an ACME client changes of Boulder: to which address names resolve, host entries, configuration
files.

Users of Compose edit docker-compose.yml and test/config for that. Here the checkout stays unchanged: we apply the
changes to what we read from it. Only `invoke up`, `run` and `render` do so: tests must see what they see under Compose.
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

HOST = "host-gateway"  # Docker's name for the address at which containers reach the host
PUBLIC = "64.112.117.1"  # as in k8s/components/acme-client: the host's address in Compose's publicnet
BOULDER = "boulder"


@dataclass(frozen=True)
class Overrides:
    """The changes to a checkout. An address may be HOST until `resolved` replaces it."""

    fake_dns: str = ""  # the address to which every name resolves; empty: docker-compose.yml's
    hosts: tuple[tuple[str, str], ...] = ()  # names and their addresses in the pod's /etc/hosts
    config: Path | None = None  # a directory with files that replace those of test/config or are added to them

    @classmethod
    def read(
        cls, environ: Mapping[str, str], fake_dns: str = "", add_hosts: Iterable[str] = (), config: str = ""
    ) -> Overrides:
        """Returns the changes that the user asks for. Raises Problem if a value is invalid.

        fake_dns, add_hosts, config: flags; an empty one means FAKE_DNS, BOULDER_EXTRA_HOSTS or BOULDER_CONFIG_OVERLAY
        of `environ`.
        """
        fake_dns = fake_dns or environ.get("FAKE_DNS", "")
        if fake_dns not in ("", HOST) and not is_ipv4(fake_dns):
            raise Problem(
                f"FAKE_DNS={fake_dns} is not an IPv4 address.",
                f"Write the address at which your client answers challenges, or {HOST} if it runs on this host.",
            )
        entries = list(add_hosts) or [entry for entry in environ.get("BOULDER_EXTRA_HOSTS", "").split(",") if entry]
        config = config or environ.get("BOULDER_CONFIG_OVERLAY", "")
        directory = Path(config).resolve() if config else None
        if directory and not directory.is_dir():
            raise Problem(
                f"The configuration overlay {config} is not a directory.",
                "Name one with the files that replace those in test/config.",
            )
        return cls(fake_dns, tuple(host_entry(entry) for entry in entries), directory)

    def resolved(self, gateway: Callable[[], str]) -> Overrides:
        """Returns the changes with addresses in place of HOST. gateway: returns the host's address; called only if
        needed.
        """
        if HOST not in (self.fake_dns, *(address for _, address in self.hosts)):
            return self
        found = gateway()
        return replace(
            self,
            fake_dns=found if self.fake_dns == HOST else self.fake_dns,
            hosts=tuple((name, found if address == HOST else address) for name, address in self.hosts),
        )

    def apply_to(self, document: dict) -> dict:
        """Returns the resolved Compose file as if the user had edited it. Does not change `document`."""
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
        """Returns Boulder's configuration files, by their paths below test/config. directory: the checkout's
        test/config.
        """
        return below(directory) | (below(self.config) if self.config else {})

    @property
    def relay_target(self) -> str:
        """A FAKE_DNS that is a reserved address, else "".

        Boulder's VA refuses reserved addresses in any configuration. So names resolve to PUBLIC, and
        k8s/components/acme-client forwards what arrives there.
        """
        return self.fake_dns if self.fake_dns and not ip_address(self.fake_dns).is_global else ""

    def described(self) -> dict[str, str | list[str]]:
        """Returns what is changed, for people and for run.json; empty if nothing is."""
        found = {
            "FAKE_DNS": self.fake_dns,
            "extra_hosts": [f"{name}:{address}" for name, address in self.hosts],
            "config": sorted(below(self.config)) if self.config else [],
        }
        return {key: value for key, value in found.items() if value}


def is_ipv4(text: str) -> bool:
    """Returns whether a text is an IPv4 address."""
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def host_entry(text: str) -> tuple[str, str]:
    """Returns name and address of NAME:ADDRESS, as `docker run --add-host` takes it. Raises Problem if it
    is not that.
    """
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
