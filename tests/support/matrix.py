"""The rows of a matrix on the small API server of the tests, as a cluster would run them."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import threading
from pathlib import Path

from support.api_server import ApiServer

from boulder_k8s.cluster.api import Api
from boulder_k8s.host.settings import ROOT
from boulder_k8s.matrix import course, table
from boulder_k8s.matrix.course import Course, follow
from boulder_k8s.matrix.job import MATRIX, ROW, TEXT
from boulder_k8s.matrix.objects import Matrix

NAMESPACE = "boulder-matrix-m1"


def results() -> object:
    """The sidecar's program."""
    spec = importlib.util.spec_from_file_location("results", ROOT / "boulder_k8s/run/pod/results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def job(name: str) -> dict:
    labels = {MATRIX: "m1", ROW: name}
    metadata = {"name": name, "labels": labels, "annotations": {TEXT: f"./t.sh --{name}"}}
    volumes = [{"name": "programs", "configMap": {"name": "checkout-1"}}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "boulder"}], "volumes": volumes}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}


class Rows:
    """The rows of a matrix that is followed in a thread. told: every line so far."""

    def __init__(self, server: ApiServer, api: Api, directory: Path, *names: str) -> None:
        self.server, self.directory = server, directory
        self.matrix = Matrix.of("m1", api)
        config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "checkout-1"}}
        self.matrix.claim()
        self.matrix.make([config_map], [job(name) for name in names])
        self.courses = {name: course.of_job(job(name), directory) for name in names}
        self.told: list[str] = []
        self.thread = threading.Thread(target=self.work, daemon=True)

    def work(self) -> None:
        follow(self.matrix, [*self.courses.values()], lambda changed: self.told.append(table.line(changed)))

    def start(self) -> Rows:
        self.thread.start()
        return self

    def end(self) -> dict[str, Course]:
        self.thread.join(30)
        assert not self.thread.is_alive(), self.told
        return self.courses

    def pod(self, row: str, name: str, phase: str = "Running", **status: object) -> None:
        """Gives a row a pod, or changes it."""
        whole = {"phase": phase, **status}
        if not self.server.find("Pod", name, NAMESPACE):
            metadata = {"name": name, "labels": {MATRIX: "m1", ROW: row}}
            names = ("boulder", "bconsul", "results")
            spec = {"nodeName": "node-1", "containers": [{"name": name} for name in names]}
            self.server.add({"kind": "Pod", "metadata": metadata, "spec": spec}, NAMESPACE)
        self.server.change("Pod", name, {"status": whole}, NAMESPACE)

    def ended(
        self, row: str, code: int, recorded: int | None = None, out: bytes = b"output", send: bool = True
    ) -> None:
        """Ends a row's tests, its sidecar's log sent or not, and its Job."""
        name = f"{row}-1"
        record = {"exit_code": code if recorded is None else recorded, "stdout": len(out), "stderr": 0}
        message = json.dumps({**record, "began": 1.0, "ended": 2.0})
        state = {"terminated": {"exitCode": code, "message": message, "startedAt": "1", "finishedAt": "2"}}
        main = {"name": "boulder", "containerID": "c1", "state": state}
        service = {"name": "bconsul", "containerID": "c2", "state": {"running": {}}}
        if send:
            self.server.say(name, "results", *framed(self.directory / f".{row}", out))
        self.server.say(name, "bconsul", "consul says")
        self.server.say(name, "boulder", "the tests' own log")
        self.pod(
            row, name, "Failed" if code else "Succeeded", containerStatuses=[main], initContainerStatuses=[service]
        )
        self.over(row, "Failed" if code else "Complete")

    def over(self, row: str, how: str) -> None:
        conditions = [{"type": how, "status": "True", "reason": "R"}]
        self.server.change("Job", row, {"status": {"conditions": conditions}}, NAMESPACE)


def framed(directory: Path, out: bytes) -> list[str]:
    """What the sidecar prints."""
    directory.mkdir()
    (directory / "stdout").write_bytes(out)
    (directory / "stderr").touch()
    data = results().archive(str(directory))
    end = f"boulder-k8s end {len(data)} {hashlib.sha256(data).hexdigest()}"
    return ["boulder-k8s results", base64.b64encode(data).decode(), end]
