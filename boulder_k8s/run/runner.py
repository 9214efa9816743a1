"""Runs commands in a fresh Boulder pod and returns the exit code of the last one that ran.

How the exit code is decided: the supervisor in the pod records it (pod/supervisor.py), the follower reads that record
(follower.py).
"""

from __future__ import annotations

import copy
import json
import os
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..cluster import rollout, snapshot
from ..cluster.api import PATIENCE
from ..cluster.culprit import culprit
from ..cluster.errors import ApiError, Conflict, Forbidden
from ..cluster.kind import Cluster
from ..cluster.watch import wait_until_gone, watching
from ..host.decoration import decoration
from ..host.errors import Problem
from ..host.files import write_private
from ..host.names import BOULDER, CHECKOUT_BELOW, CHECKOUT_MOUNT, NAME, RUN_DIRECTORY, RUNS_MOUNT, SETUP
from ..host.signals import Signals, decisive
from ..manifests.overlay import Rendered
from . import aftermath, silence, standby
from .directory import Run
from .feeder import Feeder, may_read_stdin
from .follower import Follower
from .restarts import Restarts
from .streams import record_window, terminal

UNWATCHED = 3.0  # seconds in which a pod starts if nothing is wrong; after that, we watch it through the API server
POLL = 0.02  # seconds between looks at the run directory: inotify does not cross every sharing between host and node


@dataclass
class Execution:
    """What to run, and in which pod.

    rendered: the run overlay, with the Boulder Deployment. run: the run directory. name: the pod's name. commands: run
    in order until one fails. timeout: seconds until the pod must have started. environment: variables that replace the
    template's. basis: everything that decides how the pod is made and that its description does not say. If it is
    given, the run may claim the pod that waits (standby.py), and when the run ends, it starts the next run's pod.
    ports: Boulder's ports answer on the host. terminal: if False, the commands get none.
    """

    rendered: Rendered
    run: Run
    name: str
    commands: list[list[str]]
    timeout: float
    environment: dict[str, str] = field(default_factory=dict)
    basis: list | None = None
    ports: bool = False
    terminal: bool = True


@dataclass
class Runner:
    """Runs pods that are made from the Boulder Deployment's template."""

    cluster: Cluster
    signals: Signals

    def execute(self, order: Execution) -> int:
        """Runs the commands in a fresh pod with our stdin, stdout and stderr. Returns the exit code of the last one
        that ran.

        The code is what the supervisor recorded. If there is no record: 137 if the pod was killed (out of memory,
        deleted), else 2, and stderr says why. 128 + N after signal N. Raises Problem if the pod cannot start, ApiError,
        or OSError if the disk is full.
        """
        run, name = order.run, order.name
        reads = name != SETUP and may_read_stdin()  # generate.sh's pod must not swallow what the tests are given
        on_terminal = order.terminal and reads and os.isatty(0) and os.isatty(1)
        write_private(run.path / "command.json", json.dumps({"commands": order.commands, "terminal": on_terminal}))
        if name == SETUP:
            (run.path / "stdin.end").touch()
        if on_terminal:
            record_window(run.path)  # before the tests can ask
        document = pod(order, self.cluster.settings.runs)
        made_from = standby.digest(document, order.basis) if order.basis else ""
        uid = ""
        try:
            with run.phase("pod"):
                uid = standby.claim(self.cluster.api, run, made_from) if made_from else ""
                run.record["standby"] = bool(uid)
                if not uid:
                    uid = self.create(document)
                self.wait_for_start(run, name, uid, order.timeout)
            ended = Restarts(self.cluster.api) if name != SETUP else None
            with (
                run.phase("tests"),
                self.signals.collecting(),
                terminal(run.path, on_terminal),
                silence.told(self.cluster.settings, run),
                ended or nullcontext(),
            ):
                feeder = Feeder(run.path, self.signals.insist) if reads else None
                if feeder:
                    feeder.start()
                code = Follower(self.cluster, self.signals, run, name, feeder).follow()
            if ended:
                aftermath.configuration(run)
                with decoration("it is not known which dependencies ended while the tests ran"):
                    ended.report(run)
            if code and not decisive(self.signals.received):  # a user who interrupts wants it to end, not to report
                keep_cluster_state(self.cluster, run)
        except Problem:
            keep_cluster_state(self.cluster, run)
            raise
        finally:
            with self.signals.deferred():
                if (
                    run.exit_code() is None
                    or decisive(self.signals.received)
                    or not self.hand_over(run, document, uid, made_from)
                ):
                    with decoration(f"the pod {name} was not deleted; the next command does it"):
                        self.delete(name, wait=False)
        return code

    def hand_over(self, run: Run, document: dict, uid: str, made_from: str) -> bool:
        """Deletes the pod of a run that has a record, and starts the next run's pod if one may wait; returns False if
        either fails.

        run, document, uid: the run and the pod that ended. made_from: its digest (standby.digest), or "" if no pod may wait.
        """
        settings = self.cluster.settings
        try:
            # A pod made now would have the configuration from before the run.
            same = not run.record.get("config", {}).get("written")
            ahead = made_from and same and standby.wanted(self.cluster)
            successor = standby.prepare(settings, RUNS_MOUNT, document, made_from) if ahead else None
            standby.hand_over(self.cluster.api, document, uid, successor)
        except Exception:  # no room on the disk; no answer
            return False
        return True

    def create(self, document: dict) -> str:
        """Creates the pod and returns its uid. First deletes the pod of an earlier run if it has that name. Raises
        Problem or ApiError.
        """
        api = self.cluster.api
        try:
            return api.create(document)["metadata"]["uid"]
        except Conflict:
            self.delete(document["metadata"]["name"])
        except Forbidden:  # the namespace is new and has no ServiceAccount yet
            with watching(api, "ServiceAccount", fields="metadata.name=default") as watch:
                deadline = time.monotonic() + PATIENCE
                while "default" not in watch.objects and time.monotonic() < deadline:
                    watch.next(1)
        return api.create(document)["metadata"]["uid"]

    def delete(self, name: str, wait: bool = True) -> None:
        """Deletes a pod; does nothing if there is no such pod. Raises Problem if a pod cannot be deleted.

        wait: returns after the pod is gone, else at once.
        """
        try:
            # One second is enough: its supervisor ends at once.
            self.cluster.api.delete("Pod", name, grace=1, patience=PATIENCE if wait else 5)
            gone = not wait or wait_until_gone(self.cluster.api, "Pod", fields=f"metadata.name={name}")
            reason = "it is still there after 60 s"
        except ApiError as error:
            gone, reason = False, str(error)
        if not gone:
            raise Problem(
                f"The pod {name} of an earlier run cannot be deleted.",
                "Run the command again; `invoke down` starts from nothing.",
                reason,
            )

    def wait_for_start(self, run: Run, name: str, uid: str, timeout: float) -> None:
        """Waits until the pod's supervisor runs. Raises Problem naming what prevents it, or after `timeout` seconds;
        raises ApiError.

        The supervisor makes a file in the run directory for this, because the API server learns of the start up to a
        second later. uid: tells this pod from one of an earlier run.
        """
        deadline = time.monotonic() + timeout
        if run.wait_for_file("started", seconds=min(UNWATCHED, timeout)):
            return
        api = self.cluster.api
        with watching(api, fields=f"metadata.name={name}") as watch:
            while not run.wait_for_file("started", seconds=POLL):
                watch.next(POLL)
                found = watch.objects.get(name)
                ours = found and found["metadata"].get("uid", "") == uid  # not one of an earlier run
                if ours and (bad := culprit(found)):
                    raise rollout.failure(api, bad)
                if time.monotonic() > deadline:
                    raise rollout.late(api, {BOULDER: list(watch.objects.values())}, timeout)


def keep_cluster_state(cluster: Cluster, run: Run) -> None:
    """Writes what the cluster knows to RUN/cluster/. Skips it if the tests have recorded their end: then the bundle
    does it.

    If that fails it prints a note, so that a failed run does not fail again here.
    """
    if run.exit_code() is not None:
        return
    with decoration("the cluster's logs were not kept"):
        snapshot.take(cluster.api, cluster.kubectl, run.path / "cluster")


def pod(order: Execution, runs: Path) -> dict:
    """Returns the manifest of a pod made from the rendered Boulder Deployment: what `docker compose run` makes of the
    service `boulder`.

    bsetup gets what docker-compose.yml gives it: what Boulder mounts of the checkout, but no copy of the configuration, no environment and no addresses.
    runs: .runs.
    """
    deployment = order.rendered.workload(BOULDER)
    template = copy.deepcopy(deployment["spec"]["template"])
    spec, labels = template["spec"], template["metadata"]["labels"]
    container = spec["containers"][0]
    container["command"] = ["python3", "-B", f"{RUN_DIRECTORY}/pod/supervisor.py", RUN_DIRECTORY]
    container.pop("args", None)
    if not order.ports:  # as `docker compose run` without --service-ports
        container.pop("ports", None)
    container.pop("startupProbe", None)
    container["volumeMounts"].append({"name": "run", "mountPath": RUN_DIRECTORY})
    directory = str(PurePosixPath(RUNS_MOUNT, order.run.path.relative_to(runs)))
    spec["volumes"].append({"name": "run", "hostPath": {"path": directory, "type": "Directory"}})
    spec |= {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1}
    if order.name == SETUP:
        labels[NAME] = SETUP
        spec.pop("initContainers", None)
        there = {item["name"]: PurePosixPath(item.get("hostPath", {}).get("path", "/")) for item in spec["volumes"]}
        kept = {name for name, path in there.items() if name == "run" or path.is_relative_to(CHECKOUT_MOUNT)}
        spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] in kept]
        container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] in kept]
        container["env"] = []
    else:  # the supervisor does the sidecar's work, before it records the exit code
        spec["initContainers"] = [item for item in spec["initContainers"] if item["name"] != "writeback"]
        container["volumeMounts"].append({"name": "checkout-below", "mountPath": CHECKOUT_BELOW})
        spec["volumes"].append({"name": "checkout-below", "hostPath": {"path": CHECKOUT_MOUNT, "type": "Directory"}})
    container["env"] = [item for item in container["env"] if item["name"] not in order.environment] + [
        {"name": key, "value": value} for key, value in order.environment.items()
    ]
    metadata = {"name": order.name, "namespace": deployment["metadata"]["namespace"], "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
