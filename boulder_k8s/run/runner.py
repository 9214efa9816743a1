"""Runs a command in a fresh Boulder pod and returns what that command decided."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..cluster import rollout, snapshot, volume
from ..cluster.kind import RUNS_MOUNT, Cluster
from ..cluster.kubectl import PATIENCE
from ..cluster.watch import watching
from ..host import process
from ..host.errors import Problem
from ..host.progress import note
from ..host.signals import Signals
from ..manifests.overlay import Rendered
from . import standby
from .directory import Run
from .follower import RUN_DIRECTORY, Follower
from .streams import Feeder, may_read_stdin, record_window, terminal

TESTS = "boulder-tests"  # t.sh's `--name boulder_tests`
SETUP = "bsetup"
UNWATCHED = 3.0  # seconds in which a pod starts if nothing is wrong; a watch, a process of its own, begins after that
POLL = (
    0.02  # seconds between looks at the run directory: inotify does not cross every file sharing between host and node
)


@dataclass
class Harness:
    """Runs pods made from the Boulder Deployment's template."""

    cluster: Cluster
    signals: Signals

    def execute(
        self,
        rendered: Rendered,
        run: Run,
        name: str,
        commands: list[list[str]],
        environment: dict[str, str],
        timeout: float,
        basis: object = None,
    ) -> int:
        """Runs `commands` one after the other in a fresh pod, our streams being theirs; returns the last one's exit code.

        The code is the supervisor's record and nothing else. Without a record: 137 when the pod was killed (memory, deletion), 1
        otherwise, with the reason on stderr. 128 + N after signal N. timeout: seconds until the pod must have started. basis: what
        the pod is made of that its description does not say; with it the pod may be one that was started ahead, and the next run's
        is started behind this one (standby.py). Raises Problem when it cannot start.
        """
        reads = name != SETUP and may_read_stdin()  # generate.sh's pod must not swallow what the tests are given
        on_terminal = reads and os.isatty(0) and os.isatty(1)
        (run.path / "command.json").write_text(json.dumps({"commands": commands, "terminal": on_terminal}))
        if name == SETUP:
            (run.path / "stdin.end").touch()
        if on_terminal:
            record_window(run.path)  # before the tests can ask
        kubectl = self.cluster.kubectl
        document = pod(rendered, name, run, self.cluster.settings.runs, environment)
        made_from = standby.digest(document, basis) if basis else ""
        try:
            with run.phase("pod"):
                uid = standby.take(kubectl, run, made_from) if made_from else ""
                run.record["standby"] = bool(uid)
                if not uid:
                    uid = self.create(document)
                self.wait_for_start(run, name, uid, timeout)
            with run.phase("tests"), self.signals.collecting(), terminal(run.path, on_terminal):
                if reads:
                    Feeder(run.path).start()
                code = Follower(self.cluster, self.signals, run, name).follow()
            if code and not self.signals.received:  # who interrupts wants an end, not a report
                snapshot.collect(kubectl, run)
        except Problem:
            snapshot.collect(kubectl, run)
            raise
        finally:
            with self.signals.deferred():
                if run.exit_code() is None or self.signals.received or not self.leave(run, document, uid, made_from):
                    self.delete(name, wait=False)
        return code

    def leave(self, run: Run, document: dict, uid: str, made_from: str) -> bool:
        """Has the pod of a run that has a record deleted behind us, and the next run's started; False when that cannot be."""
        settings = self.cluster.settings
        try:
            # An engine on this very kernel follows a renamed directory; file sharing with a machine of its own may not. Docker Desktop
            # for Linux has one too, and no volume (volume.py).
            here = sys.platform == "linux" and bool(volume.read(settings))
            ahead = standby.prepare(settings, RUNS_MOUNT, document, made_from) if made_from and here else None
            standby.leave(self.cluster.kubectl, run, document, uid, ahead)
        except OSError:  # no room on the disk
            return False
        return True

    def create(self, document: dict) -> str:
        """Creates the pod, in place of one of an earlier run when there is one; returns its uid."""
        kubectl = self.cluster.kubectl
        # --raw: the request alone. Without it kubectl first asks what a Pod is and how it may be made, for 0.1 s.
        command = ("create", f"--raw=/api/v1/namespaces/{document['metadata']['namespace']}/pods", "-f", "-")
        text = json.dumps(document)
        try:
            return json.loads(kubectl.run(*command, input=text))["metadata"]["uid"]
        except process.Failed as error:
            if "AlreadyExists" in error.output:
                self.delete(document["metadata"]["name"])
            elif "error looking up service account" in error.output:  # the namespace is so new that it has none yet
                kubectl.run("wait", "serviceaccount/default", "--for=create", "--timeout=60s", timeout=90)
            else:
                raise
        return json.loads(kubectl.run(*command, input=text))["metadata"]["uid"]

    def delete(self, name: str, wait: bool = True) -> None:
        """Deletes a pod of an earlier or this run."""
        try:
            # A second: its supervisor ends at once.
            words = ("delete", "pod", name, "--ignore-not-found", f"--wait={str(wait).lower()}", "--grace-period=1")
            self.cluster.kubectl.run(*words, patience=PATIENCE if wait else 5)
        except (process.Failed, subprocess.TimeoutExpired) as error:
            if wait:
                raise Problem(
                    f"The pod {name} of an earlier run cannot be deleted.",
                    "Run the command again; `invoke down` starts from nothing.",
                    str(error),
                ) from error
            note(f"the pod {name} could not be deleted; the next command does it")

    def wait_for_start(self, run: Run, name: str, uid: str, timeout: float) -> None:
        """Waits until the pod's supervisor runs. Raises Problem naming the culprit when it cannot, or after `timeout` seconds.

        The supervisor says so itself, in the run directory: the API server hears of it up to a second later.
        """
        deadline = time.monotonic() + timeout
        if run.said("started", seconds=min(UNWATCHED, timeout)):
            return
        with watching(self.cluster.kubectl, f"--field-selector=metadata.name={name}") as watch:
            while not run.said("started", seconds=POLL):
                watch.next(POLL)
                found = watch.pods.get(name)
                ours = found and found["metadata"].get("uid", "") == uid  # not one of an earlier run
                if ours and (bad := rollout.culprit(found)):
                    raise rollout.failure(self.cluster.kubectl, bad)
                if time.monotonic() > deadline:
                    raise rollout.late(self.cluster.kubectl, ["boulder"], list(watch.pods.values()), timeout)


def pod(rendered: Rendered, name: str, run: Run, runs: Path, environment: dict[str, str]) -> dict:
    """A bare pod made from the rendered Boulder Deployment: what `docker compose run` makes of the service `boulder`.

    bsetup, as in docker-compose.yml, gets the checkout and no network of its own, no configuration and no environment.
    """
    template = copy.deepcopy(rendered.workload("boulder")["spec"]["template"])
    spec = template["spec"]
    container = spec["containers"][0]
    container["command"] = ["python3", "-B", f"{RUN_DIRECTORY}/pod/supervisor.py", RUN_DIRECTORY]
    container.pop("args", None)
    container.pop("ports", None)  # as `docker compose run` without --service-ports
    container.pop("startupProbe", None)
    container["volumeMounts"].append({"name": "run", "mountPath": RUN_DIRECTORY})
    spec["volumes"].append(
        {
            "name": "run",
            "hostPath": {"path": str(PurePosixPath(RUNS_MOUNT, run.path.relative_to(runs))), "type": "Directory"},
        }
    )
    spec |= {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1}
    labels = template["metadata"]["labels"]
    if name == SETUP:
        labels["app.kubernetes.io/name"] = SETUP
        spec.pop("initContainers", None)
        kept = {"checkout", "gocache", "softhsm-tokens", "run"}
        spec["volumes"] = [item for item in spec["volumes"] if item["name"] in kept]
        container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] in kept]
        container["env"] = []
    container["env"] = [item for item in container["env"] if item["name"] not in environment] + [
        {"name": key, "value": value} for key, value in environment.items()
    ]
    namespace = rendered.workload("boulder")["metadata"]["namespace"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": spec,
    }
