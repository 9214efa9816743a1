"""Runs commands in the container of a running service: `invoke exec` and `invoke shell`."""

from __future__ import annotations

import math
import os
import time
from typing import NoReturn

from ..cluster import rollout
from ..cluster.api import Api
from ..cluster.kind import Cluster
from ..cluster.watch import watching
from ..host import become, tools
from ..host.errors import Problem
from ..host.names import NAME, REPLICAS, TESTS, WORKLOAD_KINDS
from ..host.progress import note, overdue, step
from ..host.settings import Settings
from .inside import PLAIN, Inside
from .services import named

STARTING = 30.0  # seconds that a service gets which is being started
SHELL = ["sh", "-c", "if command -v bash >/dev/null; then exec bash; else exec sh; fi"]


def execute(settings: Settings, service: str, command: list[str], how: Inside = PLAIN) -> NoReturn:
    """`docker compose exec SERVICE COMMAND`: replaces this process by kubectl, whose exit code is the command's.

    how: with which variables and so on. While tests run, boulder means their pod. Raises Problem if there is no such service or it does not run, or
    ApiError.
    """
    if not command:
        raise Problem("There is no command to run.", "Write the service and the command: `invoke exec bconsul ls /`.")
    cluster = Cluster(settings, tools.find(settings))
    (name,) = named(settings, cluster, [service])
    cluster.require_running()
    pod = pod_of(cluster.api, service, name)
    if pod == TESTS:
        note("tests are running: this is their pod")
    terminal = ["--tty"] if how.terminal and os.isatty(0) and os.isatty(1) else []
    become_kubectl(cluster.kubectl.exec(pod, name, how.words(command), "--stdin", *terminal))


def become_kubectl(line: list[str]) -> NoReturn:
    """Replaces this process by kubectl. line: its command line. The user's preferences for kubectl are not about our cluster; their
    variable stays as it is.
    """
    if become.users("KUBERC") != "off":  # kubectl refuses both
        line.insert(1, "--kuberc=/dev/null")
    become.become(line)


def runs(pod: dict, name: str) -> bool:
    """Returns whether a pod is there to stay, and its container of this name runs now."""
    status = pod.get("status", {})
    up = [item for item in status.get("containerStatuses", []) if item["name"] == name and "running" in item["state"]]
    return status.get("phase") == "Running" and bool(up) and "deletionTimestamp" not in pod["metadata"]


def pod_of(api: Api, service: str, name: str) -> str:
    """Returns the name of the pod in which a service runs, that of the tests first; waits for one that is about to run.

    service: as the user writes it. name: as Kubernetes does. Raises Problem if the service does not run, has run to its end or takes too
    long to start, or ApiError.
    """
    with overdue("asking the cluster"):
        pods = api.list("Pod", labels=f"{NAME}={name}")
        workloads = api.list(*WORKLOAD_KINDS)
    if running := [pod for pod in pods if runs(pod, name)]:
        return first(running)
    # Also if the pod before has ended with 0.
    if any(is_wanted(item, name) for item in workloads) or any(is_pending(pod) for pod in pods):
        with step(f"waiting for {service}, which is being started"):
            if pod := next_pod(api, name, STARTING):
                return pod
        raise Problem(
            f"{service} is still being started after {STARTING:.0f} s.",
            f"`invoke logs {service}` and `invoke status` show what it does; then run the command again.",
        )
    if any(rollout.completed(pod) for pod in pods):
        raise Problem(f"{service} has run to its end.", f"See what it wrote: `invoke logs {service}`.")
    raise Problem(f"{service} does not run.", "Run `invoke up`; `invoke status` shows what there is.")


def first(pods: list[dict]) -> str:
    """Returns the name of the pod to use among those that run, of which there is one at least: the tests' is the one that somebody works in."""
    names = sorted(pod["metadata"]["name"] for pod in pods)
    return TESTS if TESTS in names else names[0]


def is_wanted(workload: dict, name: str) -> bool:
    """Returns whether a workload is this one and is to have a pod, or has given its place to a run that gives it back."""
    if workload["metadata"]["name"] != name or workload["kind"] == "Job":
        return False
    return bool(workload["spec"].get("replicas") or REPLICAS in workload["metadata"].get("annotations", {}))


def is_pending(pod: dict) -> bool:
    """Returns whether a pod, of whatever owner, has yet to start."""
    return pod.get("status", {}).get("phase") == "Pending" and "deletionTimestamp" not in pod["metadata"]


def next_pod(api: Api, name: str, seconds: float = math.inf) -> str:
    """Waits until a service runs; returns the name of its pod, that of the tests first, or "" if none has come in time. name: in Kubernetes.
    Raises ApiError.
    """
    deadline, labels = time.monotonic() + seconds, f"{NAME}={name}"
    with watching(api, labels=labels) as watch:
        # Not watch.objects: those come one by one, and the first is not always the one to use.
        while not (running := [pod for pod in api.list("Pod", labels=labels) if runs(pod, name)]):
            left = deadline - time.monotonic()
            if left <= 0:
                return ""
            watch.next(min(left, 1.0))
    return first(running)
