"""What every command that changes the cluster begins with: the machine is fit, and nobody else works on the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..cluster.kind import Cluster
from ..host import fitness, tools
from ..host.lock import checkout_held, held
from ..host.settings import Settings
from ..host.signals import Signals
from ..manifests import borrowed, certificates, checkout
from ..run.runner import Runner
from . import neighbours
from .arguments import Options
from .stack import Stack


@contextmanager
def working(settings: Settings, what: str, signals: Signals, options: Options) -> Iterator[tuple[Stack, Runner]]:
    """Holds the cluster's lock while the block runs; yields the stack and its runner. what: shown to other commands.
    Raises Problem if a check fails or another command holds the lock."""
    fitness.check(settings, checkout.path_of_command(settings, options.environ), options.environ)
    cluster = Cluster(settings, tools.find(settings))
    cluster.api.preload()
    with held(settings, what):
        found = checkout.of_command(settings, options.environ)
        borrowed.check(found.path)
        certificates.tell_unmade(found, options.config_next)
        with checkout_held(settings, found.path, what):
            neighbours.tell(settings, cluster.tools, found.path)
            yield Stack.of(settings, cluster, found, options), Runner(cluster, signals)
