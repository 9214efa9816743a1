"""`invoke up`: `docker compose up --detach`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from ..cluster.kind import Cluster
from ..diagnose.failure import packed
from ..host import state, tools
from ..host.errors import Problem
from ..host.names import BOULDER
from ..host.progress import note, step
from ..host.settings import Settings
from ..host.signals import Signals
from ..manifests import selection
from ..manifests.overrides import Overrides
from ..run.directory import Run
from . import databases, deployment
from .arguments import Options, timeout
from .run import revision_recorded
from .services import named
from .stack import explained
from .working import working


def up(
    settings: Settings,
    signals: Signals,
    options: Options,
    fresh: Sequence[str] = (),
    anew: bool = False,
    services: Sequence[str] = (),
) -> None:
    """Starts Boulder and its dependencies; returns after the ACME directory answers on the host.

    services: if some are named, and not Boulder, they start, and what they depend on; what else runs is left alone. options.timeout:
    seconds for the dependencies, and the same again for Boulder. fresh: services that get empty databases first. anew: Boulder starts again
    also if nothing has changed. Raises Problem naming what failed, with its last log lines, or ApiError.
    """
    verb = "restart" if anew else "up"
    emptied, asked = (checked(settings, typed, options) if typed else [] for typed in (fresh, services))
    with working(settings, f"invoke {verb}", signals, options) as (stack, runner):
        record = {"arguments": ["up"], "config_next": options.config_next, "checkout": str(stack.checkout.path)}
        run = Run.create(settings, [verb], record)
        with packed(settings, run), run.recorded(), explained(stack, run), revision_recorded(stack, run):
            if emptied:
                stack.ensure_cluster(run)
                databases.empty(settings, stack.cluster.api, emptied)
            stack.named = () if BOULDER in asked else asked
            rendered = stack.bring_up(runner, run, options.timeout)
            if stack.named:
                started = sorted(selection.needed(stack.services, stack.named))
                note(f"{', '.join(started)} {'is' if len(started) == 1 else 'are'} up")
                return
            deployment.remove_leftovers(stack, runner, run)
            with run.phase("boulder"):
                before = deployment.start(stack, rendered, options.timeout, anew)
                state.write(settings.file("boulder"), kept(options))
                wait_for_directory(settings, 30)
        state_of_it = f"already up since {before}" if before else "up"
        note(f"Boulder is {state_of_it}: {settings.directory_url}")


def checked(settings: Settings, services: Sequence[str], options: Options) -> list[str]:
    """Returns services' names in Kubernetes, before anything is started. Raises Problem if there is no such service, or ApiError."""
    return named(settings, Cluster(settings, tools.find(settings)), services, environ=options.environ)


def whole(flag: str, services: Sequence[str]) -> None:
    """Raises Problem if services are named beside a flag, and Boulder is not among them. flag: one that is about Boulder."""
    if services and BOULDER not in services:
        raise Problem(
            f"{flag} is about Boulder, not {services[0]}.",
            f"Leave the names out, or the flag; `invoke restart {services[0]}` starts it again.",
        )


def kept(options: Options) -> dict:
    """Returns what `restart` has to know of the options of an `up`."""
    changes = options.overrides
    return {
        "config_next": options.config_next,
        "fake_dns": changes.fake_dns,
        "hosts": [f"{name}:{address}" for name, address in changes.hosts],
        "config": str(changes.config or ""),
    }


def as_before(found: dict) -> Options:
    """Returns the options of which `kept` made this. Raises Problem if the configuration overlay is gone."""
    overrides = Overrides.read({}, found["fake_dns"], found["hosts"], found["config"])
    return Options(found["config_next"], timeout(), os.environ, overrides)


def wait_for_directory(settings: Settings, timeout: float) -> None:
    """Waits until the ACME directory answers on the host. Raises Problem after `timeout` seconds."""
    import urllib.request  # here, not on top: a run of the tests asks nothing over HTTP (25 ms)

    deadline = time.monotonic() + timeout
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never ask a proxy for localhost
    with step(f"waiting for {settings.directory_url}"):
        while True:
            try:
                with opener.open(settings.directory_url, timeout=5):
                    return
            except OSError as error:  # urllib's errors are OSErrors
                if time.monotonic() > deadline:
                    raise Problem(
                        f"Boulder is ready, but {settings.directory_url} does not answer: {error}.",
                        "See whether a firewall or proxy stands between, and `docker port " + settings.node + "`.",
                        check="proxy",
                    ) from error
                time.sleep(0.2)
