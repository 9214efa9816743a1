"""What rows of one configuration are made from: the Compose file as their environment resolves it, and what is rendered of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..host.settings import Settings
from ..manifests import compose, drift, harness, overlay, selection, written
from ..manifests.checkout import Checkout
from ..manifests.compose import Service
from ..manifests.overlay import RenderOptions
from .job import Place
from .mounts import GOCACHE
from .rows import Row

CACHE = {"path": GOCACHE, "type": "DirectoryOrCreate"}
Key = tuple[bool, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Source:
    """One configuration of the checkout. environ: the variables with which Compose resolves its files. document: what it makes of them."""

    checkout: Checkout
    config_next: bool
    environ: Mapping[str, str]
    document: dict

    @classmethod
    def of(cls, checkout: Checkout, row: Row, environ: Mapping[str, str]) -> Source:
        """Returns the configuration of a row. environ: the user's. Raises Problem if we cannot follow the Compose file or the script."""
        both = {**environ, **dict(row.environment)}
        document = compose.document(checkout.path, row.config_next, both)
        drift.check_script(harness.read(checkout.path, row.config_next), document, both)
        return cls(checkout, row.config_next, both, selection.followed(document, checkout.path, row.config_next, both))

    @property
    def services(self) -> dict[str, Service]:
        """The services of the Compose file."""
        return compose.services(self.document)

    def place(self, settings: Settings, kubectl: Path, directory: Path, ours: bool, claim: str = "") -> Place:
        """Returns what its rows are made from. directory: where the run overlay is written. ours: the cluster is this project's, whose
        node has been given the images, and has the checkout's Go build cache. claim: a PersistentVolumeClaim for another cache. Raises
        Problem.
        """
        options = RenderOptions.of(
            self.checkout, self.document, kubectl, directory, config_next=self.config_next, secrets=False
        )
        rendered = overlay.render(settings, options)
        finder = written.finder(self.checkout.path, self.config_next)
        drift.check(self.document, rendered.objects, self.environ, say=lambda _: None, source=finder)
        passed = harness.read(self.checkout.path, self.config_next).passed(self.checkout.path, self.environ)
        pull, cache = ("Never", {"hostPath": CACHE}) if ours else ("IfNotPresent", None)
        cache = {"persistentVolumeClaim": {"claimName": claim}} if claim else cache
        return Place(rendered, self.document, self.checkout.path, self.config_next, pull, passed, cache)


def of_rows(checkout: Checkout, rows: Sequence[Row], environ: Mapping[str, str]) -> dict[Key, Source]:
    """Returns the configurations of the rows, each once. Raises Problem."""
    found: dict[Key, Source] = {}
    for row in rows:
        if key(row) not in found:
            found[key(row)] = Source.of(checkout, row, environ)
    return found


def key(row: Row) -> Key:
    """Returns what two rows of one configuration have in common."""
    return row.config_next, row.environment
