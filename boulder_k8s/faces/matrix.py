"""The task that runs many rows, for tasks.py."""

from __future__ import annotations

import os
import sys

from invoke import Context, task

from ..commands import arguments, matrices
from ..commands import matrix as command
from ..commands.cli import guarded
from ..commands.flags import MATRIX
from ..commands.matrix import REQUESTS, MatrixOptions
from ..host.settings import Settings
from ..host.signals import Signals
from ..matrix.target import Target
from .words import options


@task(help=MATRIX, iterable=["rows", "row"])
def matrix(
    _: Context,
    rows: list[str],
    row: list[str],
    render: bool = False,
    timeout: str = "7200",
    context: str = "",
    kubeconfig: str = "",
    namespace: str = "",
    queue: str = "",
    cpu: str = REQUESTS["cpu"],
    memory: str = REQUESTS["memory"],
    cache: str = "",
    detach: bool = False,
    attach: str = "",
    clean: bool = False,
) -> None:
    """Run rows of Boulder's CI, each in a pod of its own.

    The scheduler decides how many at once. Ends with 0 if all passed, 1 if tests failed, 2 if a row has no verdict (docs/matrix.md).
    """

    def action(settings: Settings, signals: Signals) -> int | None:
        target = Target.typed(context, kubeconfig, os.environ, namespace)
        if clean:
            return matrices.clean(settings, target)
        if attach:
            return matrices.attach(settings, signals, attach, target)
        seconds, requests = arguments.number("--timeout", timeout), {"cpu": cpu, "memory": memory}
        wanted = MatrixOptions(row, rows, seconds, requests, queue, target, detach, target.with_claim(cache))
        if render:
            return command.render(settings, options(False), wanted)
        return command.matrix(settings, signals, options(False), wanted)

    sys.exit(guarded(action))
