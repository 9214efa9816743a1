"""invoke's face: `invoke --list`, a line a task; the rest of its docstring is `invoke --help TASK`. Each calls one function of boulder_k8s."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

from invoke import Context, task

from boulder_k8s import bootstrap

started = Path(sys.argv[0])
if not sys.flags.isolated and (started.stem in ("invoke", "inv") or started.parent.name == "invoke"):
    # An invoke of the user's own: it need not have what the tasks import.
    sys.exit(bootstrap.main([]) or bootstrap.become(["commands.typed", *sys.argv[1:]]))

from boulder_k8s import commands, diagnose
from boulder_k8s.commands import arguments
from boulder_k8s.commands.arguments import Options
from boulder_k8s.commands.cli import guarded
from boulder_k8s.commands.flags import CLIENTS, JSON, LOGS, NEXT, PARITY, RENDER, RERUN, REVISIONS, SERVICE, TIMEOUT, UP
from boulder_k8s.faces.day import restart as restart
from boulder_k8s.faces.day import rm as rm
from boulder_k8s.faces.day import start as start
from boulder_k8s.faces.day import stop as stop
from boulder_k8s.faces.words import after_dashes, options
from boulder_k8s.host.settings import Settings
from boulder_k8s.host.signals import Signals

for verb in ("down", "exec", "images", "logs", "render", "rerun", "revisions", "run", "status", "test", "up", "watch"):
    import_module(f"boulder_k8s.commands.{verb}")
for name in ("bundle", "doctor"):
    import_module(f"boulder_k8s.diagnose.{name}")

FILE = "" if sys.argv[-2:] == ["images", "pin"] else None  # invoke asks for every positional word, and pin has no file


@task(help=UP, iterable=["add_host", "fresh"])
def up(
    _: Context,
    add_host: list[str],
    fresh: list[str],
    next: bool = False,
    timeout: str = "",
    offline: bool = False,
    fake_dns: str = "",
    config_overlay: str = "",
    watch: bool = False,
) -> None:
    """Start Boulder and everything it needs, as `docker compose up`.

    Ends when http://localhost:4001/directory answers, or goes on with --watch.
    """
    if offline:
        os.environ["BOULDER_K8S_OFFLINE"] = "true"

    def action(settings: Settings, signals: Signals) -> int | None:
        wanted = options(next, timeout, fake_dns, add_host, config_overlay)
        verb = commands.watch.watch if watch else commands.up.up
        return verb(settings, signals, wanted, fresh)

    sys.exit(guarded(action))


@task(help={"images": "also drop the Docker volume that keeps the node's images for the next cluster"})
def down(_: Context, images: bool = False) -> None:
    """Remove the cluster and its databases."""
    sys.exit(guarded(lambda settings, signals: commands.down.down(settings, drop_images=images)))


@task(help={"next": NEXT, "args": "test.sh's arguments in one string: --args '--unit -p ./va'", "timeout": TIMEOUT})
def test(_: Context, next: bool = False, args: str = "", timeout: str = "") -> None:
    """Run Boulder's test.sh in a fresh pod, as ./tk8s.sh: test --unit

    Ends with test.sh's exit code.
    """

    def action(settings: Settings, signals: Signals) -> int:
        words = [*arguments.words("--args", args), *after_dashes()]
        return commands.test.test(settings, signals, words, Options(next, arguments.timeout(timeout)))

    sys.exit(guarded(action))


@task(help=RERUN)
def rerun(_: Context, failed: bool = False, run: str = "", timeout: str = "") -> None:
    """Run the last run's tests again; --failed: those that failed."""
    sys.exit(guarded(lambda settings, signals: commands.rerun.rerun(settings, signals, failed, run, timeout)))


@task(help=LOGS)
def logs(
    _: Context,
    services: str = "",
    follow: bool = False,
    timestamps: bool = False,
    tail: str = "all",
    since: str = "",
    previous: bool = False,
) -> None:
    """Print the services' logs: logs bconsul bredis_1

    All if none is named. What the tests say is in .runs/latest/.
    """
    names = [*services.replace(",", " ").split(), *after_dashes()]
    wanted = commands.logs.LogOptions(names, follow, since, tail, previous, timestamps)
    sys.exit(guarded(lambda settings, signals: commands.logs.logs(settings, wanted)))


@task(help={"next": NEXT, "timeout": TIMEOUT, **CLIENTS}, iterable=["add_host"])
def run(
    _: Context, add_host: list[str], next: bool = False, timeout: str = "", fake_dns: str = "", config_overlay: str = ""
) -> None:
    """Run a command in a fresh Boulder pod: run go test ./va

    As `docker compose run --rm boulder`; ends with the command's exit code.
    """

    def action(settings: Settings, signals: Signals) -> int:
        wanted = options(next, timeout, fake_dns, add_host, config_overlay)
        return commands.run.run(settings, signals, after_dashes(), wanted)

    sys.exit(guarded(action))


@task(help={"service": SERVICE})
def exec(_: Context, service: str = "boulder") -> None:
    """Run a command in a service's container: exec bconsul ls /

    As `docker compose exec`, beside what runs there; ends with the command's exit code.
    """
    sys.exit(guarded(lambda settings, signals: commands.exec.execute(settings, service, after_dashes())))


@task(help={"service": SERVICE})
def shell(_: Context, service: str = "boulder") -> None:
    """Open a shell in a service's container: shell bmariadb"""
    sys.exit(guarded(lambda settings, signals: commands.exec.shell(settings, service)))


@task(help={"json": JSON})
def status(_: Context, json: bool = False) -> None:
    """Show the cluster, its services and the last run.

    Ends with 0 when everything is ready, else with 1.
    """
    sys.exit(guarded(lambda settings, signals: commands.status.status(settings, as_json=json)))


@task(help={"json": JSON})
def doctor(_: Context, json: bool = False) -> None:
    """Look at all that this machine must have, and say what to do.

    Changes nothing. Ends with 1 when something fails.
    """
    sys.exit(guarded(lambda settings, signals: diagnose.doctor.doctor(settings, as_json=json)))


@task(help={"output": "where the archive is to be; .runs/bundle.tar.gz"})
def bundle(_: Context, output: str = "") -> None:
    """Pack the last run and the cluster's state into one archive.

    For a report of something that went wrong: summary.txt in it, which is printed as well, says what probably happened. Secrets are
    left out.
    """
    sys.exit(guarded(lambda settings, signals: diagnose.bundle.bundle(settings, Path(output) if output else None)))


@task(help=RENDER, iterable=["add_host"])
def render(
    _: Context,
    add_host: list[str],
    next: bool = False,
    secrets: bool = False,
    fake_dns: str = "",
    config_overlay: str = "",
) -> None:
    """Print the YAML that `up` applies, without its Secrets."""

    def action(settings: Settings, signals: Signals) -> None:
        wanted = options(next, fake_dns=fake_dns, add_host=add_host, config_overlay=config_overlay)
        commands.render.render(settings, wanted, secrets)

    sys.exit(guarded(action))


@task(help=PARITY)
def parity(
    _: Context,
    part: str = "",
    args: str = "--integration --verbose",
    next: bool = False,
    json: bool = False,
    reruns: str = "1",
    output: str = "",
) -> None:
    """Compare the checkout's Docker Compose stack with the cluster.

    Ends with 1 if anything differs that is not meant to (docs/parity.md).
    """
    command = import_module("boulder_k8s.parity.command")  # here, not on top: no other task needs it

    def action(settings: Settings, signals: Signals) -> int:
        wanted = command.ParityOptions(
            part.replace(",", " ").split() or command.PARTS,
            arguments.words("--args", args),
            config_next=next,
            as_json=json,
            reruns=arguments.number("--reruns", reruns),
            output=Path(output).resolve() if output else None,
        )
        return command.parity(settings, wanted)

    sys.exit(guarded(action))


@task(help=REVISIONS)
def revisions(_: Context, since: str = "", limit: str = "0", json: bool = False) -> None:
    """Render the revisions of the checkout's history, and compare.

    Each one that changes what the manifests depend on, with its Compose file. Needs no cluster and no images. Ends with 1 if one is refused or has static differences that are not listed (docs/parity.md).
    """

    def action(settings: Settings, signals: Signals) -> int:
        return commands.revisions.revisions(settings, since, arguments.number("--limit", limit), as_json=json)

    sys.exit(guarded(action))


@task(
    positional=["action", "file"],
    help={
        "action": "save: write FILE; load: bring what it has to this machine; pin: write the images' digests into k8s/base",
        "file": "the one file that save writes and load reads",
    },
)
def images(_: Context, action: str, file: str | None = FILE) -> None:
    """Save all that `up` needs to a file, or load it: images save FILE

    For a machine without a network. images pin writes the digests that registries gave into k8s/base.
    """
    sys.exit(guarded(lambda settings, signals: commands.images.images(settings, action, file)))
