"""The tasks between two test runs, for tasks.py: services are started again, stopped, looked into."""

from __future__ import annotations

import sys

from invoke import Context, task

from ..commands import lifecycle, live
from ..commands.cli import guarded
from ..commands.exec import SHELL, execute
from ..commands.flags import INSIDE, JSON, LOGS, SERVICE
from ..commands.inside import Inside, variables
from ..commands.link import link as link_wrappers
from ..commands.logs import LogOptions
from ..commands.logs import logs as print_logs
from ..commands.status import status as show_status
from ..commands.top import top as print_top
from ..host.settings import Settings
from ..host.signals import Signals
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


@task(help=LOGS)
def logs(
    _: Context,
    services: str = "",
    follow: bool = False,
    timestamps: bool = False,
    tail: str = "all",
    since: str = "",
    previous: bool = False,
    no_color: bool = False,
    no_log_prefix: bool = False,
) -> None:
    """Print the services' logs: logs bconsul bredis_1

    All if none is named. While tests run, boulder is what they say.
    """
    names = [*services.replace(",", " ").split(), *after_dashes()]
    wanted = LogOptions(names, follow, since, tail, previous, timestamps, not no_color, not no_log_prefix)
    sys.exit(guarded(lambda settings, signals: print_logs(settings, wanted)))


@task(help={"service": SERVICE, **INSIDE}, iterable=["env"])
def exec(
    _: Context, env: list[str], service: str = "boulder", workdir: str = "", user: str = "", no_tty: bool = False
) -> None:
    """Run a command in a service's container: exec bconsul ls /

    As `docker compose exec`, beside what runs there; ends with the command's exit code.
    """

    def action(settings: Settings, signals: Signals) -> None:
        execute(settings, service, after_dashes(), Inside(variables(env), workdir, user, not no_tty))

    sys.exit(guarded(action))


@task(help={"service": SERVICE})
def shell(_: Context, service: str = "boulder") -> None:
    """Open a shell in a service's container: shell bmariadb"""
    sys.exit(guarded(lambda settings, signals: execute(settings, service, SHELL)))


@task(help={"json": JSON, "watch": "go on, and show what changes; Ctrl-C ends that"})
def status(_: Context, json: bool = False, watch: bool = False) -> None:
    """Show the cluster, its services and the last run.

    Services may be named: status bconsul. Ends with 0 when everything is ready, else with 1.
    """

    def action(settings: Settings, signals: Signals) -> int:
        return live.follow(settings, after_dashes()) if watch else show_status(settings, json, after_dashes())

    sys.exit(guarded(action))


@task
def top(_: Context) -> None:
    """Show the processes of services: top boulder

    As `docker compose top`; all if none is named.
    """
    sys.exit(guarded(lambda settings, signals: print_top(settings, after_dashes())))


@task
def link(_: Context) -> None:
    """Make ./tk8s.sh, ./tnk8s.sh and ./ck8s.sh in the checkout.

    They are links, and named in its .git/info/exclude, so that `git status` does not show them.
    """
    sys.exit(guarded(lambda settings, signals: link_wrappers(settings)))
