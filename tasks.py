"""invoke's face: `invoke --list`. Each task calls one function of boulder_k8s.commands."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from invoke import Context, task

from boulder_k8s import bootstrap

VENV = Path(__file__).resolve().parent / ".venv"
if Path(sys.prefix).resolve() != VENV.resolve():  # an invoke of the user's own: it need not have what the tasks import
    if code := bootstrap.main([]):
        sys.exit(code)
    os.execv(VENV / "bin/invoke", ["invoke", *sys.argv[1:]])

from boulder_k8s import commands  # noqa: E402
from boulder_k8s.__main__ import guarded  # noqa: E402

NEXT = "test/config-next, as ./tn.sh; without it test/config, as ./t.sh"
TIMEOUT = "seconds to wait for the services to get ready"


@task(help={"next": NEXT, "timeout": TIMEOUT})
def up(_: Context, next: bool = False, timeout: float = commands.TIMEOUT) -> None:
    """Start Boulder and everything it needs; ends when http://localhost:4001/directory answers."""
    sys.exit(guarded(lambda settings, signals: commands.up(settings, signals, config_next=next, timeout=timeout)))


@task
def down(_: Context) -> None:
    """Remove the cluster and its databases."""
    sys.exit(guarded(lambda settings, signals: commands.down(settings)))


@task(help={"next": NEXT, "args": "test.sh's arguments in one string: --args '--unit -p ./va'", "timeout": TIMEOUT})
def test(_: Context, next: bool = False, args: str = "", timeout: float = commands.TIMEOUT) -> None:
    """Run Boulder's test.sh in a fresh pod, as ./tk8s.sh does; ends with its exit code."""
    sys.exit(
        guarded(
            lambda settings, signals: commands.test(
                settings, signals, shlex.split(args), config_next=next, timeout=timeout
            )
        )
    )


@task(
    help={
        "services": "services as docker-compose.yml names them, separated by commas: --services bconsul,bredis_1; all when there is none",
        "follow": "go on until Ctrl-C",
    },
)
def logs(context: Context, services: str = "", follow: bool = False) -> None:
    """Print the services' logs; services may also stand behind two dashes: logs --follow -- bconsul bredis_1."""
    names = [*services.replace(",", " ").split(), *context.remainder.split()]
    sys.exit(guarded(lambda settings, signals: commands.logs(settings, names, follow)))


@task(
    help={
        "part": "static, probe or results; several separated by commas; all when there is none",
        "args": "test.sh's arguments for the part results, in one string",
        "next": NEXT,
        "json": "print the report as JSON",
        "reruns": "how often tests that differ are run again on both sides",
        "output": "directory for report.json, report.md, junit.xml and the logs",
    },
)
def parity(
    _: Context,
    part: str = "",
    args: str = "--integration --verbose",
    next: bool = False,
    json: bool = False,
    reruns: int = 1,
    output: str = "",
) -> None:
    """Compare this checkout's Docker Compose stack with the cluster; ends with 1 when anything differs that is not meant to."""
    from boulder_k8s.parity import command

    sys.exit(
        guarded(
            lambda settings, signals: command.parity(
                settings,
                part.replace(",", " ").split() or command.PARTS,
                shlex.split(args),
                config_next=next,
                as_json=json,
                reruns=reruns,
                output=Path(output).resolve() if output else None,
            )
        )
    )
