"""The tasks that make Boulder's pods, for tasks.py: up, test, run, certificates, and their images."""

from __future__ import annotations

import os
import sys
from datetime import datetime

from invoke import Context, task

from ..commands import arguments, lifecycle
from ..commands.arguments import Options
from ..commands.certificates import certificates as make_certificates
from ..commands.cli import guarded
from ..commands.flags import CLIENTS, INSIDE, NEXT, RUN, TIMEOUT, UP
from ..commands.images import images as handle_images
from ..commands.inside import Inside, variables
from ..commands.logs import LogOptions
from ..commands.run import RunOptions
from ..commands.run import run as run_program
from ..commands.test import test as run_tests
from ..commands.up import up as bring_up
from ..commands.up import whole
from ..commands.watch import watch as go_on
from ..host.settings import Settings
from ..host.signals import Signals
from .words import after_dashes, options


@task(help=UP, iterable=["add_host", "fresh"], optional=["attach"])
def up(
    _: Context,
    add_host: list[str],
    fresh: list[str],
    next: bool = False,
    timeout: str = "",
    offline: bool = False,
    fake_dns: str = "",
    config_overlay: str = "",
    anew: bool = False,
    attach: str | bool = False,
    no_color: bool = False,
    no_log_prefix: bool = False,
    timestamps: bool = False,
    watch: bool = False,
) -> None:
    """Start Boulder and what it needs, or what is named

    Ends when http://localhost:4001/directory answers, or goes on with --watch. If a file has changed that git sees in the checkout, Boulder starts again.
    """
    if offline:
        os.environ["BOULDER_K8S_OFFLINE"] = "true"

    def action(settings: Settings, signals: Signals) -> int:
        services = after_dashes()
        for flag in [name for name, given in (("--watch", watch), ("--anew", anew)) if given]:
            whole(flag, services)
        begun, wanted = datetime.now().isoformat(), options(next, timeout, fake_dns, add_host, config_overlay)
        if watch:
            return go_on(settings, signals, wanted, fresh)
        bring_up(settings, signals, wanted, fresh, anew, services)
        names = attach.replace(",", " ").split() if isinstance(attach, str) else services
        shown = LogOptions(
            names, follow=True, since=begun, timestamps=timestamps, colours=not no_color, prefix=not no_log_prefix
        )
        return lifecycle.attached(settings, shown, [] if "boulder" in services else services) if attach else 0

    sys.exit(guarded(action))


@task(help={"next": NEXT, "args": "test.sh's arguments in one string: --args '--unit -p ./va'", "timeout": TIMEOUT})
def test(_: Context, next: bool = False, args: str = "", timeout: str = "") -> None:
    """Run Boulder's test.sh in a fresh pod: test --unit -p ./va

    As ./tk8s.sh; ends with test.sh's exit code.
    """

    def action(settings: Settings, signals: Signals) -> int:
        words = [*arguments.words("--args", args), *after_dashes()]
        return run_tests(settings, signals, words, Options(next, arguments.timeout(timeout)))

    sys.exit(guarded(action))


@task(help={"next": NEXT, "timeout": TIMEOUT, **CLIENTS, **INSIDE, **RUN}, iterable=["add_host", "env"])
def run(
    _: Context,
    add_host: list[str],
    env: list[str],
    next: bool = False,
    timeout: str = "",
    fake_dns: str = "",
    config_overlay: str = "",
    entrypoint: str = "",
    service_ports: bool = False,
    workdir: str = "",
    user: str = "",
    no_tty: bool = False,
) -> None:
    """Run a command in a fresh Boulder pod: run go test ./va

    As `docker compose run --rm boulder`; ends with the command's exit code.
    """

    def action(settings: Settings, signals: Signals) -> int:
        wanted = options(next, timeout, fake_dns, add_host, config_overlay)
        how = Inside(variables(env), workdir, user, not no_tty)
        return run_program(settings, signals, after_dashes(), wanted, RunOptions(how, entrypoint, service_ports))

    sys.exit(guarded(action))


@task(help={"next": NEXT, "timeout": TIMEOUT})
def certificates(_: Context, next: bool = False, timeout: str = "") -> None:
    """Make the test certificates that are missing, as `run bsetup`.

    `up` and test runs do so by themselves.
    """
    sys.exit(guarded(lambda settings, signals: make_certificates(settings, signals, options(next, timeout))))


@task
def images(_: Context) -> None:
    """List the images; save FILE, load FILE, pull or build them.

    save writes all that `up` needs to a file and load reads it, for a machine without a network (docs/airgapped.md). pull and build are
    Docker Compose's. pin writes the digests that registries gave into k8s/base.
    """
    action, *words = after_dashes() or [""]
    sys.exit(guarded(lambda settings, signals: handle_images(settings, action, words)))
