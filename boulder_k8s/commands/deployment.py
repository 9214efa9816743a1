"""The Deployment boulder, which `docker compose up` would start: start it, stop it while tests run, start it again.

A test pod uses the same addresses and host directories, so the two never run at the same time.
"""

from __future__ import annotations

from ..cluster import rollout
from ..cluster.api import PATIENCE
from ..cluster.watch import wait_until_gone
from ..host.errors import Problem
from ..host.names import BOULDER, NAME, REPLICAS, SETUP, TESTS
from ..host.progress import step
from ..manifests.overlay import Rendered
from ..run import standby
from ..run.directory import Run
from ..run.runner import Runner
from .stack import Stack, is_boulder


def start(stack: Stack, rendered: Rendered, timeout: float) -> None:
    """Applies the Deployment and waits until its newest template is ready. timeout: seconds.

    Raises Problem naming what failed, or ApiError.
    """
    stack.apply("applied-boulder", [item for item in rendered.objects if is_boulder(item)])
    found = stack.find("Deployment", BOULDER)
    if found and REPLICAS in found["metadata"].get("annotations", {}):
        restore(stack)
    rollout.wait(stack.cluster.api, [BOULDER], timeout, "Boulder (its first start compiles it)", stack.known)
    stack.prune(rendered)


def stop(stack: Stack) -> None:
    """If the Deployment is there, scales it down and waits until its pod is gone. Raises Problem after 60 s, or
    ApiError.

    An annotation of the Deployment keeps the number of replicas, so that the next command can restore it if this one is
    killed.
    """
    api = stack.cluster.api
    found = stack.find("Deployment", BOULDER)
    stack.stopped = bool(found)  # by us, or by a killed run whose annotation is still there
    if not found or not found["spec"]["replicas"]:
        return
    change = {"metadata": {"annotations": {REPLICAS: str(found["spec"]["replicas"])}}, "spec": {"replicas": 0}}
    with step("stopping the running Boulder"):
        api.patch("Deployment", BOULDER, change)
        if not wait_until_gone(api, "Pod", labels=f"{NAME}={BOULDER},pod-template-hash", timeout=60):
            raise Problem(
                "The running Boulder did not end within 60 s.",
                "Run the command again; `invoke down` starts from nothing.",
            )


def restore(stack: Stack, patience: float = PATIENCE) -> None:
    """Undoes `stop`, whether this command or a killed one did it. Raises ApiError.

    patience: seconds to wait for an API server that does not answer.
    """
    if not stack.stopped:
        return
    api = stack.cluster.api
    found = api.find("Deployment", BOULDER, patience=patience)
    before = found["metadata"].get("annotations", {}).get(REPLICAS) if found else None
    if before:
        change = {"metadata": {"annotations": {REPLICAS: None}}, "spec": {"replicas": int(before)}}
        api.patch("Deployment", BOULDER, change, patience=patience)


def remove_leftovers(stack: Stack, runner: Runner, run: Run) -> None:
    """Deletes the pods of a run whose wrapper was killed. Raises Problem if one cannot be deleted, or ApiError.

    Keeps two pods that are not leftovers: one that waits for a run, and, if a pod waits for `run`, the one of the run
    before, which is already being deleted.
    """
    for name in (SETUP,) if standby.has_standby(run) else (SETUP, TESTS):
        found = stack.find("Pod", name)
        if found and not standby.is_standby(found):
            runner.delete(name)
