"""The tasks that look into the cluster from outside, for tasks.py: ports, pages, SQL and kubectl."""

from __future__ import annotations

import sys

from invoke import Context, task

from ..commands import forward, reach
from ..commands import sql as clients
from ..commands import trace as spans
from ..commands.cli import guarded
from .words import after_dashes


@task
def port(_: Context) -> None:
    """Print where a port answers on this machine: port boulder 4001

    As `docker compose port`.
    """
    sys.exit(guarded(lambda settings, signals: reach.port(settings, after_dashes())))


@task
def port_forward(_: Context) -> None:
    """Make a service answer on this machine: port-forward bjaeger

    A port of it may follow, or LOCAL:PORT, also that of a debugger: port-forward boulder 2345. Goes on until Ctrl-C, whatever restarts.
    """
    sys.exit(guarded(lambda settings, signals: forward.port_forward(settings, after_dashes())))


@task
def trace(_: Context) -> None:
    """Show the spans of a run in Jaeger: trace, or trace RUN

    The newest run if none is named; RUN is a directory of .runs/. Goes on until Ctrl-C.
    """
    sys.exit(guarded(lambda settings, signals: spans.trace(settings, *after_dashes()[:1])))


@task(help={"vitess": "Vitess in place of MariaDB"})
def sql(_: Context, vitess: bool = False) -> None:
    """Open a database: sql boulder_sa -e 'show tables'

    boulder_sa if none is named; what follows are the client's arguments.
    """
    sys.exit(guarded(lambda settings, signals: clients.sql(settings, after_dashes(), vitess)))


@task
def kubectl(_: Context) -> None:
    """Run kubectl on our cluster: kubectl get pods

    With its kubeconfig and namespace; the user's own stay as they are.
    """
    sys.exit(guarded(lambda settings, signals: clients.kubectl(settings, after_dashes())))
