"""`invoke up`: `docker compose up --detach`."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..diagnose.failure import packed
from ..host.errors import Problem
from ..host.progress import note, step
from ..host.settings import Settings
from ..host.signals import Signals
from ..run.directory import Run
from . import databases, deployment
from .arguments import Options
from .run import revision_recorded
from .services import named
from .stack import explained
from .working import working


def up(settings: Settings, signals: Signals, options: Options, fresh: Sequence[str] = ()) -> None:
    """Starts Boulder and its dependencies; returns after the ACME directory answers on the host.

    options.timeout: seconds for the dependencies, and the same again for Boulder. fresh: services that get empty databases
    first. Raises Problem naming what failed,
    with its last log lines, or ApiError.
    """
    with working(settings, "invoke up", signals, options) as (stack, runner):
        record = {"arguments": ["up"], "config_next": options.config_next, "checkout": str(stack.checkout.path)}
        run = Run.create(settings, ["up"], record)
        with packed(settings, run), run.recorded(), explained(stack, run), revision_recorded(stack, run):
            if fresh:
                names = named(settings, stack.cluster, fresh, environ=options.environ)
                stack.ensure_cluster(run)
                databases.empty(settings, stack.cluster.api, names)
            rendered = stack.bring_up(runner, run, options.timeout)
            deployment.remove_leftovers(stack, runner, run)
            deployment.start(stack, rendered, options.timeout)
            wait_for_directory(settings, 30)
        note(f"Boulder is up: {settings.directory_url}")


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
