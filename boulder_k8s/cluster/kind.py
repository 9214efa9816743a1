"""The kind cluster: made, repaired, recognised as ours, removed."""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..host import docker, process, state
from ..host.errors import Problem
from ..host.files import own_directory, private_directory
from ..host.names import RUNS_MOUNT
from ..host.progress import note, step
from ..host.settings import Settings
from ..host.tools import Tools
from ..manifests.checkout import Checkout
from . import causes, configuration, failed, images, repair, volume
from .api import Api
from .failed import NodeFailed
from .kubectl import Kubectl
from .node import check_ports, mounts
from .node import state as node_state


@dataclass(frozen=True)
class Cluster:
    """One kind cluster of this project. Its identity is the node container that mounts this project's run directories."""

    settings: Settings
    tools: Tools

    @cached_property
    def api(self) -> Api:
        """Its API server, in the project's namespace."""
        return Api(self.settings.kubeconfig, self.settings.context, self.settings.file("discovery"))

    @property
    def system(self) -> Api:
        """Its API server, in the namespace of Kubernetes' own workloads."""
        return self.api.within("kube-system")

    @property
    def kubectl(self) -> Kubectl:
        """kubectl for `exec` and `describe` on this cluster."""
        return Kubectl(self.tools.kubectl, self.settings.kubeconfig, self.settings.context)

    def kind(self, *arguments: str | Path, env: dict[str, str] | None = None) -> str:
        """Runs kind on this cluster alone, with this project's kubeconfig. Raises process.Failed."""
        command = [
            self.tools.kind,
            *arguments,
            f"--name={self.settings.cluster}",
            f"--kubeconfig={self.settings.kubeconfig}",
        ]
        ours = {"KUBECONFIG": str(self.settings.kubeconfig), "KIND_EXPERIMENTAL_PROVIDER": "docker"}
        return process.run(command, env={**os.environ, **ours, **(env or {})})

    def node(self) -> dict | None:
        """The node container, or None when there is no cluster of this name. Raises Problem when the cluster is not ours."""
        found = docker.inspect_container(self.settings.node)
        if found and mounts(found).get(RUNS_MOUNT) != str(self.settings.runs):
            owner = mounts(found).get(RUNS_MOUNT)
            whose = f"belongs to the boulder-k8s in {Path(owner).parent}" if owner else "was not made by boulder-k8s"
            raise Problem(
                f"kind cluster {self.settings.cluster} exists and {whose}.",
                "Choose another name: KIND_CLUSTER=NAME, and BOULDER_PORTS if that cluster publishes the ports.",
                check="cluster",
            )
        return found

    def is_running(self) -> bool:
        """Whether its node runs. Raises Problem when the cluster is not ours."""
        return node_state(self.node()) == "running"

    def require_running(self) -> None:
        """Raises Problem when there is no cluster of this name, when it does not run, or when it is not ours."""
        node = self.node()
        if node is None:
            raise Problem(f"There is no cluster {self.settings.cluster}.", "Run `invoke up`.")
        if node_state(node) == "paused":
            raise Problem(
                f"Cluster {self.settings.cluster} is paused.",
                f"Run `docker unpause {self.settings.node}`; `invoke up` does it too.",
            )
        if not node["State"]["Running"] or not self.settings.kubeconfig.exists():
            raise Problem(f"Cluster {self.settings.cluster} does not run.", "Run `invoke up`: it starts it again.")

    def is_as_remembered(self, node: dict | None, checkout: Checkout) -> bool:
        """Whether a node, as `node` returned it, can be used at once: it runs and mounts what is there now."""
        return (
            node_state(node) == "running"
            and self.settings.kubeconfig.exists()
            and self.record().get("node") == node["Id"]
            and not repair.replaced(self.settings, self.record(), checkout.path)
        )

    def ensure(self, checkout: Checkout, node: dict | None) -> str:
        """Makes the cluster run, whatever state it is in; returns the node container's id. node: what `node` has just returned.

        What differs from what is remembered is repaired (repair.py); the databases stay. Raises Problem when it was made for
        another checkout or other ports, when a port is taken, or when kind fails.
        """
        if node and self.record().get("node") != node["Id"] and not repair.recall(self.settings, node):
            note(f"cluster {self.settings.cluster} is half made; making it again")
            self.remove()
            node = None
        if not node:
            return self.create(checkout)
        repair.check_fits(self.settings, node, checkout.path)
        if self.record().get("version") != configuration.version(self.settings.root):
            note(
                f"cluster {self.settings.cluster} was made by another version of boulder-k8s; `invoke down` once, for its changes"
            )
        if self.is_as_remembered(node, checkout):
            return node["Id"]
        if repair.wake(self.settings, node, checkout.path, self.record()) or not self.settings.kubeconfig.exists():
            self.kind("export", "kubeconfig")
            self.api.forget()
            self.wait_for_api()
        if repair.replaced(self.settings, self.record(), checkout.path):
            self.remember(node["Id"], checkout)
        return node["Id"]

    def create(self, checkout: Checkout) -> str:
        """kind create cluster, the checkout mounted, Consul's names known to CoreDNS. Returns the node container's id."""
        check_ports(self.settings)
        own_directory(self.settings.root / ".state")
        own_directory(self.settings.runs)
        node_image = images.ensure_node_image(self.settings)
        kept = volume.ensure(self.settings, node_image)
        for attempts_left in reversed(range(5)):
            try:
                self.create_once(checkout, node_image, kept)
                break
            except process.Failed as error:
                self.node()  # raises Problem where somebody else has made a cluster of this name meanwhile
                said = failed.logs(self.settings)
                self.remove()
                # What an interrupted command had started (kind's own `docker run`) makes a node behind our back until it ends.
                if not attempts_left or not any(
                    text in error.output for text in ("already in use by container", "already exist")
                ):
                    raise self.cannot(error, said) from error
                time.sleep(2)
        node_id = docker.inspect_container(self.settings.node)["Id"]
        images.note_loaded(self.settings, node_id, volume.images(self.settings) if kept else {})
        self.remember(node_id, checkout)
        return node_id

    def remember(self, node_id: str, checkout: Checkout) -> None:
        """Writes down what the node is and what it mounts, also in the node itself. A cluster without that was
        interrupted while it was made.
        """
        record = {
            "node": node_id,
            **repair.identities(self.settings, checkout.path),
            "path": str(checkout.path),
            "version": configuration.version(self.settings.root),
            # An engine on this very kernel follows a renamed directory; file sharing with a machine of its own may not.
            "same_kernel": sys.platform == "linux" and not docker.engine().desktop,
        }
        repair.keep_in_node(self.settings, record)
        state.write(self.settings.file("cluster"), record)

    def create_once(self, checkout: Checkout, node_image: str, kept: Path | None) -> None:
        """One attempt: `kind create cluster`. Raises process.Failed."""
        private_directory(self.settings.state)  # a kubeconfig and the test PKI's keys
        path = configuration.write(self.settings, checkout, node_image, kept, docker.engine().cgroup_v1)
        with step(f"kind create cluster {self.settings.cluster}"):
            self.kind("create", "cluster", "--retain", f"--config={path}")  # a node that fails can be asked why
            self.api.forget()

    def cannot(self, error: process.Failed, said: dict[str, str]) -> NodeFailed:
        """Returns the Problem that says what kind's words mean. said: what the node told."""
        why = causes.problem(self.settings.cluster, error.output)
        found = NodeFailed(why.message, why.fix, why.detail, why.exit_code, why.check)
        found.logs = said
        return found

    def record(self) -> dict:
        """What `remember` wrote; empty when there is no cluster or its creation was interrupted."""
        return state.read(self.settings.file("cluster")) or {}

    def wait_for_api(self, timeout: float = 120) -> None:
        """Waits until the API server answers. Raises Problem after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with step("waiting for the API server"):
            while not self.api.is_ready():
                if time.monotonic() > deadline:
                    raise Problem(
                        f"The API server of cluster {self.settings.cluster} does not answer.",
                        "Run `invoke down` and start again.",
                        check="cluster",
                    )
                time.sleep(0.5)

    def remove(self) -> None:
        """Deletes the cluster and what is remembered about it. Nothing happens when there is none."""
        with step(f"kind delete cluster {self.settings.cluster}"):
            self.kind("delete", "cluster")
        shutil.rmtree(self.settings.state, ignore_errors=True)
        shutil.rmtree(self.settings.standby, ignore_errors=True)
