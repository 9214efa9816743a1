"""invoke's face: `invoke --list`, a line a task; the rest of its docstring is `invoke --help TASK`. Each calls one function of boulder_k8s."""

from __future__ import annotations

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
from boulder_k8s.commands.cli import guarded
from boulder_k8s.commands.flags import JSON, PARITY, RENDER, RERUN, REVISIONS
from boulder_k8s.faces.day import exec as exec
from boulder_k8s.faces.day import link as link
from boulder_k8s.faces.day import logs as logs
from boulder_k8s.faces.day import restart as restart
from boulder_k8s.faces.day import rm as rm
from boulder_k8s.faces.day import shell as shell
from boulder_k8s.faces.day import start as start
from boulder_k8s.faces.day import status as status
from boulder_k8s.faces.day import stop as stop
from boulder_k8s.faces.day import top as top
from boulder_k8s.faces.matrix import matrix as matrix
from boulder_k8s.faces.pods import certificates as certificates
from boulder_k8s.faces.pods import images as images
from boulder_k8s.faces.pods import run as run
from boulder_k8s.faces.pods import test as test
from boulder_k8s.faces.pods import up as up
from boulder_k8s.faces.reaching import kubectl as kubectl
from boulder_k8s.faces.reaching import port as port
from boulder_k8s.faces.reaching import port_forward as port_forward
from boulder_k8s.faces.reaching import sql as sql
from boulder_k8s.faces.reaching import trace as trace
from boulder_k8s.faces.words import options
from boulder_k8s.host.settings import Settings
from boulder_k8s.host.signals import Signals

for verb in ("down", "render", "rerun", "revisions"):
    import_module(f"boulder_k8s.commands.{verb}")
for name in ("bundle", "doctor"):
    import_module(f"boulder_k8s.diagnose.{name}")


@task(help={"images": "also drop the Docker volume that keeps the node's images for the next cluster"})
def down(_: Context, images: bool = False) -> None:
    """Remove the cluster and its databases."""
    sys.exit(guarded(lambda settings, signals: commands.down.down(settings, drop_images=images)))


@task(help=RERUN)
def rerun(_: Context, failed: bool = False, run: str = "", timeout: str = "") -> None:
    """Run the last run's tests again; --failed: those that failed."""
    sys.exit(guarded(lambda settings, signals: commands.rerun.rerun(settings, signals, failed, run, timeout)))


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
