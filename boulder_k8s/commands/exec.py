"""Commands beside what runs in a service's container: `invoke exec` and `invoke shell`."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from ..cluster.kind import Cluster
from ..host import tools
from ..host.errors import Problem
from ..host.names import NAME, TESTS
from ..host.progress import note, overdue
from ..host.settings import Settings
from ..manifests.workloads import workload_names

SHELL = ["sh", "-c", "if command -v bash >/dev/null; then exec bash; else exec sh; fi"]


def execute(settings: Settings, service: str, command: list[str]) -> NoReturn:
    """`docker compose exec SERVICE COMMAND`: becomes kubectl, whose exit code is the command's. For Boulder it is the tests' pod
    while tests run.

    Raises Problem when there is no such service or it does not run.
    """
    if not command:
        raise Problem("There is no command to run.", "Write it behind two dashes: invoke exec -- ls /boulder")
    (name,) = workload_names([service])
    cluster = Cluster(settings, tools.find(settings))
    cluster.require_running()
    with overdue("asking the cluster"):
        pods = cluster.api.list("Pod", labels=f"{NAME}={name}")
    running = [
        pod
        for pod in pods
        if pod.get("status", {}).get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]
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
    """`docker compose exec SERVICE bash`, or sh where the image has no bash. Raises Problem as `execute`."""
    execute(settings, service, SHELL)
