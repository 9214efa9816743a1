"""Which of Boulder's dependencies ended while tests ran. The kubelet starts them again; under Compose they stay down."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from ..cluster.api import Api
from ..cluster.errors import ApiError
from ..cluster.times import unix
from ..cluster.watch import Watch, watching
from ..host.names import BOULDER, NAME, PART_OF, SETUP
from ..host.progress import note
from .directory import Run
from .standby import STANDBY

JOB = "batch.kubernetes.io/job-name"  # of pods that end on purpose: https://kubernetes.io/docs/reference/labels-annotations-taints/
LABELS = f"{PART_OF},{NAME} notin ({BOULDER},{SETUP},{STANDBY}),!{JOB}"
QUICK = 1.0  # seconds after which we watch: a shorter run needs only the look at its end


@dataclass
class Restarts:
    """Collects the ends of dependencies' containers while its block runs."""

    api: Api
    began: int = 0  # Unix time; Kubernetes gives whole seconds
    found: dict[str, dict] = field(default_factory=dict)  # by the id of the container that ended
    over: threading.Event = field(default_factory=threading.Event)
    watch: Watch | None = None

    def __enter__(self) -> Restarts:
        self.began = int(time.time())
        threading.Thread(target=self.look, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        if self.watch:
            self.watch.changes.put({"type": "OVER"})  # wakes the thread

    def look(self) -> None:
        """The thread: watches, because the state of a container has its last end only."""
        if self.over.wait(QUICK):
            return
        with watching(self.api, labels=LABELS) as self.watch:
            while not self.over.is_set():
                self.watch.next(60)
                self.collect(list(self.watch.objects.values()))

    def collect(self, pods: list[dict]) -> None:
        """Adds the containers of these pods that have ended since we began."""
        for pod in pods:
            for status in pod.get("status", {}).get("containerStatuses", []):
                for state in (status.get("state", {}), status.get("lastState", {})):
                    ended = state.get("terminated")
                    if ended and (at := unix(ended.get("finishedAt"))) and at >= self.began:
                        self.found[ended.get("containerID", ended["finishedAt"])] = {
                            "service": pod["metadata"]["labels"][NAME],
                            "exit_code": ended.get("exitCode"),
                            "reason": ended.get("reason", ""),
                            "began": ended.get("startedAt"),
                            "ended": ended["finishedAt"],
                        }

    def report(self, run: Run) -> None:
        """Puts what ended into run.json, and names it on stderr in one line. Raises nothing if the API server does not
        answer: the exit code stays the tests'.
        """
        try:
            self.collect(self.api.list("Pod", labels=LABELS, timeout=10, patience=0))
        except ApiError:
            pass  # what the watch has seen is all that is known
        run.record["restarts"] = sorted(self.found.copy().values(), key=lambda item: item["ended"])
        if run.record["restarts"]:
            note(f"{described(run.record['restarts'])} while the tests ran; under Compose it would have stayed down")


def described(restarts: list[dict]) -> str:
    """Returns what ended, for people."""
    return "; ".join(
        f"{item['service']} ended at {item['ended']} with exit code {item['exit_code']} ({item['reason']})"
        for item in restarts
    )
