"""Runs commands in a fresh Boulder pod and returns what the last of them decided.

How the exit code is decided: the supervisor in the pod records it (pod/supervisor.py), the follower reads that record (follower.py).
"""

from __future__ import annotations

import copy
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..cluster import rollout, snapshot
from ..cluster.api import PATIENCE
from ..cluster.errors import ApiError, Conflict, Forbidden
from ..cluster.kind import Cluster
from ..cluster.watch import wait_until_gone, watching
from ..host.errors import Problem
from ..host.names import BOULDER, NAME, RUN_DIRECTORY, RUNS_MOUNT, SETUP
from ..host.progress import note
from ..host.signals import Signals
from ..manifests.overlay import Rendered
from . import standby
from .directory import Run
from .follower import Follower
from .streams import Feeder, may_read_stdin, record_window, terminal

UNWATCHED = 3.0  # seconds in which a pod starts if nothing is wrong; a watch begins after that
POLL = (
    0.02  # seconds between looks at the run directory: inotify does not cross every file sharing between host and node
)


@dataclass
class Execution:
    """What is to run, and in what.

    rendered: the run overlay, with the Boulder Deployment. run: the run directory. name: the pod's name. commands: one after the
    other until one fails. environment: laid over the template's. timeout: seconds until the pod must have started. basis: what the pod
    is made of that its description does not say; with it the pod may be one that waits (standby.py), and the next run's is started
    when this one ends.
    """

    rendered: Rendered
    run: Run
    name: str
    commands: list[list[str]]
    timeout: float
    environment: dict[str, str] = field(default_factory=dict)
    basis: list | None = None


@dataclass
class Runner:
    """Runs pods that are made from the Boulder Deployment's template."""

    cluster: Cluster
    signals: Signals

    def execute(self, order: Execution) -> int:
        """Runs the commands in a fresh pod, our streams being theirs; returns the last one's exit code.

        The code is the supervisor's record and nothing else. Without a record: 137 if the pod was killed (memory, deletion), 1
        otherwise, with the reason on stderr. 128 + N after signal N. Raises Problem if the pod cannot start.
        """
        run, name = order.run, order.name
        reads = name != SETUP and may_read_stdin()  # generate.sh's pod must not swallow what the tests are given
        on_terminal = reads and os.isatty(0) and os.isatty(1)
        (run.path / "command.json").write_text(json.dumps({"commands": order.commands, "terminal": on_terminal}))
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
            with run.phase("tests"), self.signals.collecting(), terminal(run.path, on_terminal):
                if reads:
                    Feeder(run.path).start()
                code = Follower(self.cluster, self.signals, run, name).follow()
            if code and not self.signals.received:  # who interrupts wants an end, not a report
                keep_cluster_state(self.cluster, run)
        except Problem:
            keep_cluster_state(self.cluster, run)
            raise
        finally:
            with self.signals.deferred():
                if run.exit_code() is None or self.signals.received or not self.hand_over(document, uid, made_from):
                    self.delete(name, wait=False)
        return code

    def hand_over(self, document: dict, uid: str, made_from: str) -> bool:
        """Deletes the pod of a run that has a record, and starts the next run's; returns False if that cannot be."""
        settings = self.cluster.settings
        try:
            ahead = made_from and standby.wanted(self.cluster)
            successor = standby.prepare(settings, RUNS_MOUNT, document, made_from) if ahead else None
            standby.hand_over(self.cluster.api, document, uid, successor)
        except (OSError, ApiError):  # no room on the disk; no answer
            return False
        return True

    def create(self, document: dict) -> str:
        """Creates the pod, in place of one of an earlier run if there is one; returns its uid."""
        api = self.cluster.api
        try:
            return api.create(document)["metadata"]["uid"]
        except Conflict:
            self.delete(document["metadata"]["name"])
        except Forbidden:  # a namespace that is so new that it has no ServiceAccount yet
            with watching(api, "ServiceAccount", fields="metadata.name=default") as watch:
                deadline = time.monotonic() + PATIENCE
                while "default" not in watch.objects and time.monotonic() < deadline:
                    watch.next(1)
        return api.create(document)["metadata"]["uid"]

    def delete(self, name: str, wait: bool = True) -> None:
        """Deletes a pod of an earlier run or of this one."""
        try:
            # A second: its supervisor ends at once.
            self.cluster.api.delete("Pod", name, grace=1, patience=PATIENCE if wait else 5)
            gone = not wait or wait_until_gone(self.cluster.api, "Pod", fields=f"metadata.name={name}")
            reason = "it is still there after 60 s"
        except ApiError as error:
            gone, reason = False, str(error)
        if gone:
            return
        if wait:
            raise Problem(
                f"The pod {name} of an earlier run cannot be deleted.",
                "Run the command again; `invoke down` starts from nothing.",
                reason,
            )
        note(f"the pod {name} could not be deleted; the next command does it")

    def wait_for_start(self, run: Run, name: str, uid: str, timeout: float) -> None:
        """Waits until the pod's supervisor runs. Raises Problem naming the culprit if it cannot, or after `timeout` seconds.

        The supervisor says so itself, in the run directory: the API server hears of it up to a second later.
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
                if ours and (bad := rollout.culprit(found)):
                    raise rollout.failure(api, bad)
                if time.monotonic() > deadline:
                    raise rollout.late(api, [BOULDER], list(watch.objects.values()), timeout)


def keep_cluster_state(cluster: Cluster, run: Run) -> None:
    """Keeps what the cluster knows in RUN/cluster/, unless the tests have ended by themselves: then the bundle does it.

    A failed run must not fail again here.
    """
    if run.exit_code() is not None:
        return
    try:
        snapshot.take(cluster.api, cluster.kubectl, run.path / "cluster")
    except OSError as error:
        note(f"the cluster's logs were not kept: {error.strerror}")


def pod(order: Execution, runs: Path) -> dict:
    """A bare pod made from the rendered Boulder Deployment: what `docker compose run` makes of the service `boulder`.

    bsetup, as in docker-compose.yml, gets the checkout and no network of its own, no configuration and no environment.
    """
    deployment = order.rendered.workload(BOULDER)
    template = copy.deepcopy(deployment["spec"]["template"])
    spec, labels = template["spec"], template["metadata"]["labels"]
    container = spec["containers"][0]
    container["command"] = ["python3", "-B", f"{RUN_DIRECTORY}/pod/supervisor.py", RUN_DIRECTORY]
    container.pop("args", None)
    container.pop("ports", None)  # as `docker compose run` without --service-ports
    container.pop("startupProbe", None)
    container["volumeMounts"].append({"name": "run", "mountPath": RUN_DIRECTORY})
    directory = str(PurePosixPath(RUNS_MOUNT, order.run.path.relative_to(runs)))
    spec["volumes"].append({"name": "run", "hostPath": {"path": directory, "type": "Directory"}})
    spec |= {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1}
    if order.name == SETUP:
        labels[NAME] = SETUP
        spec.pop("initContainers", None)
        kept = {"checkout", "gocache", "softhsm-tokens", "run"}
        spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] in kept]
        container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] in kept]
        container["env"] = []
    container["env"] = [item for item in container["env"] if item["name"] not in order.environment] + [
        {"name": key, "value": value} for key, value in order.environment.items()
    ]
    metadata = {"name": order.name, "namespace": deployment["metadata"]["namespace"], "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
