"""Boulder's dependencies on the cluster: what `docker compose run` brings up before it runs anything."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ..cluster import images, network, rollout
from ..cluster.kind import Cluster
from ..cluster.kubectl import PATIENCE
from ..host import docker, process, state, tools
from ..host.errors import Problem
from ..host.progress import note, step
from ..host.settings import Settings
from ..manifests import compose, drift, overlay, staging
from ..manifests.checkout import Checkout
from ..manifests.compose import Service
from ..manifests.overlay import Rendered
from ..manifests.overrides import PUBLIC
from ..manifests.workloads import WORKLOAD_KINDS
from ..run import standby
from ..run.directory import Run
from ..run.runner import SETUP, TESTS, Harness

REPLICAS = "boulder-k8s/replicas"  # annotation: what the Deployment had before a run scaled it down
BOULDER = "boulder"


@dataclass
class Stack:
    """One checkout's services on one cluster, for config or config-next."""

    settings: Settings
    cluster: Cluster
    checkout: Checkout
    config_next: bool
    document: dict  # the Compose file, resolved
    services: dict[str, Service]
    node_id: str = ""
    node_started: str = ""  # when, as Docker writes it
    image_ids: dict[str, str] | None = None
    known: list[dict] | None = None  # workloads and pods before this command changed anything; None: ask
    stopped: bool = True  # whether there may be a Boulder to start again; False once it is known that there is none

    @classmethod
    def of(cls, settings: Settings, cluster: Cluster, checkout: Checkout, config_next: bool) -> Stack:
        """Reads the checkout's Compose file; changes nothing. Raises Problem when the manifests do not fit it."""
        document = compose.remembered(checkout.path, config_next, settings.root / ".state" / "compose")
        services = compose.services(document)
        overlay.check_services(services)
        return cls(settings, cluster, checkout, config_next, document, services)

    def bring_up(self, harness: Harness, run: Run, timeout: float) -> Rendered:
        """Cluster, images, certificates, dependencies: whatever is not there yet. Returns what was rendered.

        Raises Problem naming what failed. When generate.sh fails, its exit code is the Problem's.
        """
        with run.phase("cluster"), ThreadPoolExecutor(1) as pool:
            begun = time.monotonic()
            node = self.cluster.node()  # refuses a cluster that is not ours before it is asked anything
            # Beside Docker's answers.
            seen = pool.submit(self.look) if node and self.settings.kubeconfig.exists() else None
            self.image_ids = images.ensure_local(self.settings, self.services, self.checkout, self.config_next)
            if time.monotonic() - begun > 5:  # something was pulled meanwhile
                node, seen = self.cluster.node(), None
            self.node_id = self.cluster.ensure(self.checkout, node)
            if not node or not node["State"]["Running"]:
                node = self.cluster.node()  # as it is now
            self.node_started = node["State"].get("StartedAt", "") if node else ""
            self.once_a_start("route", lambda: network.refuse_dead_pods(self.settings))
            self.known = seen.result() if seen else None
        with run.phase("images"):
            images.ensure_on_node(self.settings, self.node_id, self.image_ids)
        self.lay_over()
        run.record |= {
            "images": self.image_ids,
            "node": self.node_id,
            "overrides": self.settings.overrides.described(),
        }
        if staging.needs_generate(self.checkout):
            with run.phase("generate"):
                self.generate(harness, run, timeout)
        with run.phase("dependencies"):
            rendered = self.render()
            drift.check(self.document, rendered.objects, os.environ)
            self.apply("applied", [item for item in rendered.objects if not is_boulder(item)])
            names = sorted({workload.name for workload in overlay.running(self.services)} - {BOULDER})
            if rollout.wait(self.cluster.kubectl, names, timeout, "Boulder's dependencies", self.known):
                # A cluster that has just started: CoreDNS may be the last.
                rollout.wait(self.cluster.system, ["coredns"], timeout, "the cluster's DNS")
        return rendered

    def versions(self) -> dict[str, str]:
        """What a run is made with, for its record. No engine changes under a node that runs."""
        engine = self.once_a_start("docker", docker.version)
        return {**tools.versions(self.settings, self.cluster.tools), "docker": engine}

    def once_a_start(self, name: str, ask: Callable[[], str]) -> str:
        """What `ask` says, asked once for each start of the node."""
        return state.remembered(self.settings.state / f"{name}.json", self.node_id + self.node_started, ask)

    def lay_over(self) -> None:
        """Lays what the user changes of Boulder over the Compose file, and says so. Raises Problem where the host's address is asked
        for and there is no node yet.
        """
        overrides = self.settings.overrides.resolved(lambda: docker.host_address(self.settings.node))
        self.settings = replace(self.settings, overrides=overrides)
        self.document = overrides.over(self.document)
        self.services = compose.services(self.document)
        for key, value in overrides.described().items():
            note(f"not as in the checkout: {key} {value if isinstance(value, str) else ', '.join(value)}")
        if overrides.forward:
            note(f"names resolve to {PUBLIC}, which leads there: Boulder refuses reserved addresses")

    def look(self) -> list[dict] | None:
        """What is on the cluster now, or None when it does not answer at once."""
        try:
            return rollout.objects(self.cluster.kubectl, timeout=10, patience=0)
        except (process.Failed, subprocess.TimeoutExpired):
            return None

    def find(self, kind: str, name: str) -> dict | None:
        """One object as it was when `bring_up` looked, or as it is now when nothing is known."""
        if self.known is None:
            return self.cluster.kubectl.find("get", kind.lower(), name)
        return next(
            (item for item in self.known if item["kind"] == kind and item["metadata"]["name"] == name),
            None,
        )

    def render(self, secrets: bool = True) -> Rendered:
        """The run overlay of the checkout as it is now; without its Secrets where generate.sh has not run yet."""
        return overlay.render(
            self.settings,
            self.checkout,
            self.services,
            self.image_ids or {},
            self.config_next,
            self.cluster.kubectl,
            self.settings.state / "overlay",
            secrets,
        )

    def apply(self, name: str, objects: list[dict]) -> None:
        """Applies objects, unless the very same were the last of that name that this node was given and its workloads are there."""
        last = self.settings.state / f"{name}.json"
        record = {
            "node": self.node_id,
            "sha256": hashlib.sha256(json.dumps(objects, sort_keys=True).encode()).hexdigest(),
        }
        wanted = {(item["kind"], item["metadata"]["name"]) for item in objects if item["kind"] in WORKLOAD_KINDS}
        there = {(item["kind"], item["metadata"]["name"]) for item in self.known or ()}
        if wanted <= there and state.read(last) == record:
            return
        last.unlink(missing_ok=True)
        self.known = None
        with step("kubectl apply"):
            self.cluster.kubectl.apply(objects)
        state.write(last, record)

    def generate(self, harness: Harness, run: Run, timeout: float) -> None:
        """`docker compose run --rm bsetup`: generate.sh in a pod of its own, before the pods that mount what it makes.

        Raises Problem with generate.sh's exit code when it fails.
        """
        kubectl = self.cluster.kubectl
        rendered = self.render(secrets=False)
        kubectl.apply([item for item in rendered.objects if item["kind"] == "Namespace"])
        note("generating the test certificates")
        setup = run.within(SETUP)
        with setup.recorded():
            setup.record["exit_code"] = code = harness.execute(
                rendered, setup, SETUP, [compose.setup_command(self.services)], {}, timeout
            )
        if code:
            raise Problem(
                f"generate.sh ended with {code}; its output is above.",
                f"Mend it, or see whether `docker compose run --rm {SETUP}` works in {self.checkout.path}.",
                exit_code=code,
            )

    def stop_boulder(self) -> None:
        """Scales the Boulder Deployment down, if there is one: a test pod owns the same addresses and host directories.

        What it was is kept on the object itself, so that the next command can restore it if this one is killed.
        """
        kubectl = self.cluster.kubectl
        found = self.find("Deployment", BOULDER)
        self.stopped = bool(found)  # by us, or by a killed run whose annotation is still there
        if not found or not found["spec"]["replicas"]:
            return
        change = {"metadata": {"annotations": {REPLICAS: str(found["spec"]["replicas"])}}, "spec": {"replicas": 0}}
        with step("stopping the running Boulder"):
            kubectl.run("patch", "deployment", BOULDER, "--type=merge", f"--patch={json.dumps(change)}")
            kubectl.run(
                "wait",
                "pod",
                f"--selector={rollout.NAME}={BOULDER},pod-template-hash",
                "--for=delete",
                "--timeout=60s",
                timeout=90,
            )

    def bring_up_boulder(self, rendered: Rendered, timeout: float) -> None:
        """The Deployment that is `docker compose up`'s boulder, its newest template ready. Raises Problem naming what failed."""
        self.apply("applied-boulder", [item for item in rendered.objects if is_boulder(item)])
        found = self.find("Deployment", BOULDER)
        if found and REPLICAS in found["metadata"].get("annotations", {}):
            self.restore_boulder()
        what = "Boulder (its first start compiles it)"
        rollout.wait(self.cluster.kubectl, [BOULDER], timeout, what, self.known)

    def restore_boulder(self, patience: float = PATIENCE) -> None:
        """Undoes stop_boulder, of this command or of a killed one; waits `patience` seconds for an API server."""
        if not self.stopped:
            return
        kubectl = self.cluster.kubectl
        found = kubectl.find("get", "deployment", BOULDER, patience=patience)
        before = found["metadata"].get("annotations", {}).get(REPLICAS) if found else None
        if before:
            change = {"metadata": {"annotations": {REPLICAS: None}}, "spec": {"replicas": int(before)}}
            kubectl.run("patch", "deployment", BOULDER, "--type=merge", f"--patch={json.dumps(change)}")

    def remove_leftovers(self, harness: Harness, run: Run) -> None:
        """Ends the pods of a run whose wrapper was killed. One that waits for a run is none, nor is one whose successor waits for this
        run: it is being deleted behind its wrapper.
        """
        for name in (SETUP,) if standby.awaits(run) else (SETUP, TESTS):
            found = self.find("Pod", name)
            if found and not standby.waits(found):
                harness.delete(name)

    def basis(self) -> list:
        """What a pod is made of that its description does not say: this start of this node, and the images."""
        return [self.node_id, self.node_started, self.image_ids]


def is_boulder(item: dict) -> bool:
    return item["kind"] == "Deployment" and item["metadata"]["name"] == BOULDER
