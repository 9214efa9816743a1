"""The tasks between two test runs, for tasks.py: services are started again, stopped, looked into."""

from __future__ import annotations

import sys

from invoke import Context, task

from ..commands import lifecycle
from ..commands.cli import guarded
from .words import after_dashes


@task
def restart(_: Context) -> None:
    """Start services again, all if none is named: restart boulder

    As `docker compose restart`. Boulder compiles what the checkout has now, with the flags of the last `up`. Databases stay.
    """
    sys.exit(guarded(lambda settings, signals: lifecycle.restart(settings, signals, after_dashes())))


@task
def stop(_: Context) -> None:
    """Stop services, all if none is named: stop bredis_1

    As `docker compose stop`: what they have written stays. `start`, `restart` and `up` start them again.
    """
    sys.exit(guarded(lambda settings, signals: lifecycle.stop(settings, after_dashes())))


@task
def start(_: Context) -> None:
    """Start the services that were stopped, or those named.

    As `docker compose start`.
    """
    sys.exit(guarded(lambda settings, signals: lifecycle.start(settings, signals, after_dashes())))


@task
def rm(_: Context) -> None:
    """Remove a service and its databases: rm bmariadb

    As `docker compose rm --stop --force --volumes`: the next `up` makes them anew. Boulder ends too.
    """
    sys.exit(guarded(lambda settings, signals: lifecycle.remove(settings, after_dashes())))
