"""The Deployment boulder, which `docker compose up` would start: start it, stop it while tests run, start it again.

A test pod uses the same addresses and host directories, so the two never run at the same time.
"""

from __future__ import annotations

from ..cluster import rollout
from ..cluster.api import PATIENCE
from ..cluster.watch import wait_until_gone
from ..host.errors import Problem
from ..host.names import BOULDER, CODE, NAME, REPLICAS, SETUP, TESTS
from ..host.progress import note, step
from ..manifests import working_tree
from ..manifests.certificates import with_annotation
from ..manifests.overlay import Rendered
from ..run import standby
from ..run.directory import Run
from ..run.runner import Runner
from . import workload
from .stack import Stack, is_boulder

POD = f"{NAME}={BOULDER},{workload.HASH['Deployment']}"  # selects the Deployment's pod, and not the tests'


def start(stack: Stack, rendered: Rendered, timeout: float, anew: bool = False) -> str:
    """Applies the Deployment and waits until its newest template is ready. timeout: seconds. anew: it starts again even if it is ready.

    Returns since when it runs, or "" if this command has started it. It is started again if the checkout's code has changed, and a note
    names the files. Raises Problem naming what failed, or ApiError.
    """
    api = stack.cluster.api
    found = stack.find("Deployment", BOULDER)
    before = pods(stack) if found else {}
    code = working_tree.digest(stack.checkout, working_tree.place(stack.settings))
    if found and before:
        tell_changed(stack, found, code, workload.since(next(iter(before.values()))))
    stack.apply("applied-boulder", coded([item for item in rendered.objects if is_boulder(item)], code))
    change = workload.starting(found) if found else {}
    if anew and before:  # else it has just been started
        change = workload.restarting(found)
    if change:
        api.patch("Deployment", BOULDER, change)
        stack.known = None
    if rollout.wait(api, [BOULDER], timeout, "Boulder (its first start compiles it)", stack.known):
        stack.known = None
    stack.prune(rendered)
    same = before.keys() & pods(stack).keys() if before else ()
    return workload.since(before[min(same)]) if same else ""


def coded(objects: list[dict], code: str) -> list[dict]:
    """Returns objects; Boulder's pods have an annotation with the code that they are started from. code: its digest, or ""."""
    return [with_annotation(item, CODE, code) if code and is_boulder(item) else item for item in objects]


def pods(stack: Stack) -> dict[str, dict]:
    """Returns the Deployment's pods, by their uids, as `bring_up` saw them, or as they are now if that is unknown. Raises ApiError."""
    known = stack.known if stack.known is not None else stack.cluster.api.list("Pod", labels=POD)
    named = [
        item for item in known if item["kind"] == "Pod" and item["metadata"].get("labels", {}).get(NAME) == BOULDER
    ]
    return {
        item["metadata"]["uid"]: item for item in named if workload.HASH["Deployment"] in item["metadata"]["labels"]
    }


def tell_changed(stack: Stack, found: dict, code: str, began: str) -> None:
    """If the code has changed since the Deployment's pod was started, says so and names files. code: its digest now, or ""."""
    before = found["spec"]["template"].get("metadata", {}).get("annotations", {}).get(CODE)
    if not code or not before or before == code:
        return
    files = working_tree.changed(stack.checkout, working_tree.place(stack.settings), before, code)
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    what = f": {', '.join(files[:3])}{more}" if files else ""
    note(f"the checkout has changed since Boulder started ({began}){what}; starting it again")


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
        if not wait_until_gone(api, "Pod", labels=POD, timeout=60):
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
    found = stack.cluster.api.find("Deployment", BOULDER, patience=patience)
    before = found["metadata"].get("annotations", {}).get(REPLICAS) if found else None
    if not before:
        return
    change: dict = {"metadata": {"annotations": {REPLICAS: None}}, "spec": {"replicas": int(before)}}
    template = found["spec"]["template"].get("metadata", {}).get("annotations", {})
    code = working_tree.digest(stack.checkout, working_tree.place(stack.settings)) if CODE in template else ""
    if code and code != template[CODE]:  # it compiles what is there now
        change["spec"]["template"] = {"metadata": {"annotations": {CODE: code}}}
        stack.settings.file("applied-boulder").unlink(missing_ok=True)
    stack.cluster.api.patch("Deployment", BOULDER, change, patience=patience)


def remove_leftovers(stack: Stack, runner: Runner, run: Run) -> None:
    """Deletes the pods of a run whose wrapper was killed. Raises Problem if one cannot be deleted, or ApiError.

    Keeps two pods that are not leftovers: one that waits for a run, and, if a pod waits for `run`, the one of the run
    before, which is already being deleted.
    """
    for name in (SETUP,) if standby.has_standby(run) else (SETUP, TESTS):
        found = stack.find("Pod", name)
        if found and not standby.is_standby(found):
            runner.delete(name)
