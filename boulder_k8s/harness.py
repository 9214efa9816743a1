"""Runs a command in a fresh Boulder pod and returns what that command decided."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass

from . import docker, process, rollout
from .cluster import RUNS_MOUNT, Cluster
from .errors import Problem
from .overlay import Rendered
from .progress import note
from .run import Run
from .signals import Signals
from .streams import Attachment, Feeder, Outlet, may_read_stdin, terminal
from .watch import watching

TESTS = "boulder-tests"  # t.sh's `--name boulder_tests`
SETUP = "bsetup"
RUN_DIRECTORY = "/run/boulder-k8s"  # in the pod
STALL = 5.0  # seconds without delivery, though there is something to deliver, before the stream is opened anew
PATIENCE = 180.0  # seconds for an API server that does not answer while the node runs
BROKEN_PIPE = 128 + signal.SIGPIPE


@dataclass
class Harness:
    """Runs pods made from the Boulder Deployment's template."""

    cluster: Cluster
    signals: Signals

    def execute(self, rendered: Rendered, run: Run, name: str, commands: list[list[str]], environment: dict[str, str], timeout: float) -> int:
        """Runs `commands` one after the other in a fresh pod, our streams being theirs; returns the last one's exit code.

        The code is the supervisor's record and nothing else. Without a record: 137 when the pod was killed (memory, deletion), 1
        otherwise, with the reason on stderr. 128 + N after signal N. timeout: seconds until the pod must have started. Raises
        Problem when it cannot start.
        """
        on_terminal = os.isatty(0) and os.isatty(1) and may_read_stdin()
        (run.path / "command.json").write_text(json.dumps({"commands": commands, "terminal": on_terminal}))
        kubectl = self.cluster.kubectl
        try:
            with run.phase("pod"):
                self.delete(name)
                kubectl.run("create", "-f", "-", input=json.dumps(pod(rendered, name, run, environment)))
                self.wait_for_start(name, timeout)
            with run.phase("tests"), self.signals.collecting(), terminal(run.path, on_terminal):
                if may_read_stdin():
                    Feeder(run.path).start()
                code = Follower(self, run, name).follow()
        finally:
            with self.signals.collecting():  # this must happen; the second Ctrl-C comes again after it
                self.delete(name, wait=False)
        return code

    def delete(self, name: str, wait: bool = True) -> None:
        """Deletes a pod of an earlier or this run. Its supervisor ends at once, so it gets one second."""
        try:
            self.cluster.kubectl.run("delete", "pod", name, "--ignore-not-found", "--grace-period=1", f"--wait={str(wait).lower()}")
        except (process.Failed, subprocess.TimeoutExpired) as error:
            if wait:
                raise Problem(f"The pod {name} of an earlier run cannot be deleted.", "Run the command again; `invoke down` starts from nothing.", str(error)) from error
            note(f"the pod {name} could not be deleted; the next command does it")

    def wait_for_start(self, name: str, timeout: float) -> None:
        """Waits until the pod's container runs. Raises Problem naming the culprit when it cannot, or after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with watching(self.cluster.kubectl, name) as watch:
            while True:
                watch.next(min(1.0, max(0.01, deadline - time.monotonic())))
                if found := watch.pods.get(name):
                    if any(set(item.get("state", {})) & {"running", "terminated"} for item in found.get("status", {}).get("containerStatuses", [])):
                        return
                    if bad := rollout.culprit(found):
                        raise rollout.failure(self.cluster.kubectl, bad)
                if time.monotonic() > deadline:
                    raise rollout.late(self.cluster.kubectl, ["boulder"], list(watch.pods.values()), timeout)


def pod(rendered: Rendered, name: str, run: Run, environment: dict[str, str]) -> dict:
    """A bare pod made from the rendered Boulder Deployment: what `docker compose run` makes of the service `boulder`.

    bsetup, as in docker-compose.yml, gets the checkout and no network of its own, no configuration and no environment.
    """
    template = copy.deepcopy(rendered.workload("boulder")["spec"]["template"])
    spec = template["spec"]
    container = spec["containers"][0]
    container["command"] = ["python3", f"{RUN_DIRECTORY}/supervisor.py", "run", RUN_DIRECTORY]
    container.pop("args", None)
    container.pop("ports", None)  # as `docker compose run` without --service-ports
    container.pop("startupProbe", None)
    container["volumeMounts"].append({"name": "run", "mountPath": RUN_DIRECTORY})
    spec["volumes"].append({"name": "run", "hostPath": {"path": f"{RUNS_MOUNT}/{run.path.name}", "type": "Directory"}})
    spec |= {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1}
    labels = template["metadata"]["labels"]
    if name == SETUP:
        labels["app.kubernetes.io/name"] = SETUP
        spec.pop("initContainers", None)
        kept = {"checkout", "gocache", "softhsm-tokens", "run"}
        spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] in kept]
        container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] in kept]
        container["env"] = []
    container["env"] = [item for item in container["env"] if item["name"] not in environment] + [{"name": key, "value": value} for key, value in environment.items()]
    namespace = rendered.workload("boulder")["metadata"]["namespace"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": spec}


class Follower:
    """Delivers one run's streams and signals until its end is certain."""

    def __init__(self, harness: Harness, run: Run, name: str) -> None:
        self.kubectl = harness.cluster.kubectl
        self.node = harness.cluster.settings.node
        self.signals = harness.signals
        self.run = run
        self.name = name
        self.outlets = [Outlet(descriptor, run.path / stream) for descriptor, stream in ((1, "stdout"), (2, "stderr"))]
        self.command = self.kubectl.command("exec", name, "--container=boulder", "--", "python3", f"{RUN_DIRECTORY}/supervisor.py", "follow", RUN_DIRECTORY)
        self.sent = 0
        self.reconnects = 0

    def follow(self) -> int:
        """Returns the run's exit code, everything that was recorded delivered."""
        self.signals.received.clear()
        reason = ""
        attachment = Attachment(self.command, self.outlets)
        unanswered_since = None  # when the API server stopped answering
        while self.run.exit_code() is None:
            self.signals.arrived.wait(0.02)
            self.signals.arrived.clear()
            if code := self.pass_on_signals():
                attachment.end()
                return code
            if not attachment.ended() and not any(outlet.stalled(STALL) for outlet in self.outlets):
                continue
            attachment.end()
            if self.run.exit_code() is not None:
                break
            try:
                if reason := self.dead():
                    break
                unanswered_since = None
            except (process.Failed, subprocess.TimeoutExpired) as error:
                unanswered_since = unanswered_since or time.monotonic()
                if reason := self.node_down() or ("the API server does not answer" if time.monotonic() - unanswered_since > PATIENCE else ""):
                    note(str(error))
                    break
            if time.monotonic() - attachment.began < 0.5:
                time.sleep(0.2)
            self.reconnects += 1
            attachment = Attachment(self.command, self.outlets)
        # The record appears when the streams are complete: let the stream bring the rest, then read what it did not bring.
        while not attachment.ended() and any(outlet.behind() for outlet in self.outlets) and not any(outlet.stalled(1) for outlet in self.outlets):
            if code := self.pass_on_signals():
                attachment.end()
                return code
            time.sleep(0.005)
        attachment.end()
        for outlet in self.outlets:
            outlet.catch_up()
        self.run.record["reconnects"] = self.reconnects
        return self.verdict(reason)

    def verdict(self, reason: str) -> int:
        code = self.run.exit_code()
        if self.signals.received:
            return 128 + self.signals.received[0]
        if any(outlet.closed for outlet in self.outlets):
            return BROKEN_PIPE
        if code is not None:
            return code
        self.run.record["failure"] = reason
        note(f"the tests did not end: {reason}. There is no result.")
        return 128 + signal.SIGKILL if reason.startswith(("killed", "deleted")) else 1

    def pass_on_signals(self) -> int:
        """Sends newly arrived signals to the tests. A second one ends everything: returns the exit code then, else 0."""
        if any(outlet.closed for outlet in self.outlets):
            return BROKEN_PIPE  # nobody reads any more; a program that writes would be ended by SIGPIPE
        received = self.signals.received
        if len(received) > 1:
            return 128 + received[0]
        if received and not self.sent:
            self.sent = 1
            name = signal.Signals(received[0]).name
            note(f"{name}: passed on to the tests; a second one ends them at once")
            partial = self.run.path / "signals" / ".1"
            partial.write_text(name.removeprefix("SIG"))
            partial.replace(self.run.path / "signals" / "1")
        return 0

    def dead(self) -> str:
        """Why the run cannot end any more, or "" while its pod lives. Raises process.Failed when the API server does not answer."""
        try:
            found = self.kubectl.json("get", "pod", self.name, timeout=10)
        except process.Failed as error:
            if "NotFound" in error.output:
                return "deleted: its pod is gone"
            raise
        if self.run.exit_code() is not None:
            return ""
        if "deletionTimestamp" in found["metadata"]:
            return "deleted: its pod is being deleted"
        for item in found["status"].get("containerStatuses", []):
            if ended := item.get("state", {}).get("terminated"):
                return ending(ended)
        if found["status"].get("phase") == "Failed":
            return f"killed: {found['status'].get('reason', '')} {found['status'].get('message', '')}".strip()
        return ""

    def node_down(self) -> str:
        node = docker.inspect_container(self.node)
        if node is None:
            return "killed: the cluster is gone"
        return "" if node["State"]["Running"] else "killed: the cluster's node has stopped"


def ending(terminated: dict) -> str:
    """What a container's end means when there is no record."""
    code, reason = terminated.get("exitCode"), terminated.get("reason", "")
    if reason == "OOMKilled":
        return "killed: OOMKilled, the pod ran out of memory"
    if code == 74:
        return "the disk is full: what the tests said could not be recorded"
    if code in (137, 143, 255):
        return f"killed: its container ended with {code} ({reason})"
    return f"its container ended with {code} ({reason}) without a result"
