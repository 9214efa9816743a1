"""Runs commands in the container of a running service: `invoke exec` and `invoke shell`."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from ..cluster import rollout
from ..cluster.kind import Cluster
from ..host import tools
from ..host.errors import Problem
from ..host.names import NAME, TESTS
from ..host.progress import note, overdue
from ..host.settings import Settings
from .services import named

SHELL = ["sh", "-c", "if command -v bash >/dev/null; then exec bash; else exec sh; fi"]


def execute(settings: Settings, service: str, command: list[str]) -> NoReturn:
    """`docker compose exec SERVICE COMMAND`: replaces this process by kubectl, whose exit code is the command's.

    While tests run, boulder means their pod. Raises Problem if there is no such service or it does not run, or
    ApiError.
    """
    if not command:
        raise Problem("There is no command to run.", "Write it after two dashes: invoke exec -- ls /boulder")
    cluster = Cluster(settings, tools.find(settings))
    (name,) = named(settings, cluster, [service])
    cluster.require_running()
    with overdue("asking the cluster"):
        pods = cluster.api.list("Pod", labels=f"{NAME}={name}")
    running = [
        pod
        for pod in pods
        if pod.get("status", {}).get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]
    if not running and any(rollout.completed(pod) for pod in pods):
        raise Problem(f"{service} has run to its end.", f"See what it wrote: invoke logs -- {service}")
    if not running:
        raise Problem(f"{service} does not run.", "Run `invoke up`; `invoke status` shows what there is.")
    pod = next((pod for pod in running if pod["metadata"]["name"] == TESTS), running[0])["metadata"]["name"]
    if pod == TESTS:
        note("tests are running: this is their pod")
    terminal = ["--tty"] if os.isatty(0) and os.isatty(1) else []
    line = cluster.kubectl.exec(pod, name, command, "--stdin", *terminal)
    sys.stdout.flush()
    os.execv(line[0], line)


def shell(settings: Settings, service: str) -> NoReturn:
    """`docker compose exec SERVICE bash`, or sh if the image has no bash. Raises Problem and ApiError as `execute`
    does.
    """
    execute(settings, service, SHELL)
