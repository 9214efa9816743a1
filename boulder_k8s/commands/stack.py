"""Boulder's dependencies on the cluster: what `docker compose run` brings up before it runs anything."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..cluster import images, leftovers, rollout
from ..cluster.errors import ApiError
from ..cluster.failed import NodeFailed
from ..cluster.kind import Cluster
from ..host import docker, state, tools
from ..host.errors import Problem
from ..host.names import BOULDER, SETUP
from ..host.progress import note
from ..host.settings import Settings
from ..manifests import certificates, compose, drift, overlay, selection, staging, written
from ..manifests.checkout import Checkout
from ..manifests.compose import Service
from ..manifests.overlay import Rendered, RenderOptions
from ..manifests.overrides import PUBLIC, Overrides
from ..run.directory import Run
from ..run.runner import Execution, Runner, keep_cluster_state
from . import applied, databases, networks, workload
from .arguments import Options


@contextmanager
def explained(stack: Stack, run: Run) -> Iterator[None]:
    """If the block raises Problem, keeps what the cluster knows; if the node lacks an image, the next command loads all."""
    try:
        yield
    except Problem as problem:
        if stack.node_id:
            keep_cluster_state(stack.cluster, run)
        if isinstance(problem, rollout.ImageLost):
            images.forget(stack.settings)
        elif isinstance(problem, NodeFailed):
            problem.keep(run.path / "cluster")
        raise


@dataclass
class Stack:
    """One checkout's services on one cluster, for config or config-next."""

    settings: Settings
    cluster: Cluster
    checkout: Checkout
    config_next: bool
    overrides: Overrides
    document: dict  # the Compose file, as Compose resolves it and as we follow it
    services: dict[str, Service]
    node_id: str = ""
    node_started: str = ""  # when, as Docker writes it
    image_ids: dict[str, str] | None = None
    known: list[dict] | None = None  # workloads and pods before this command changed anything; None: unknown
    names_changed: bool = False  # whether CoreDNS starts anew, to ask somebody else
    named: Sequence[str] = ()  # services that are to start, without the others
    stopped: bool = True  # whether `restore` must look for a Boulder to start again

    @classmethod
    def of(cls, settings: Settings, cluster: Cluster, checkout: Checkout, options: Options) -> Stack:
        """Returns the stack of a checkout, read from its Compose file. Raises Problem if the manifests do not fit it."""
        kept = settings.file("compose-next" if options.config_next else "compose")
        document = compose.remembered(checkout.path, options.config_next, kept)
        document = selection.followed(document, checkout.path, options.config_next)
        services = compose.services(document)
        return cls(settings, cluster, checkout, options.config_next, options.overrides, document, services)

    def bring_up(self, runner: Runner, run: Run, timeout: float, last: str = "dependencies") -> Rendered:
        """Starts all that Boulder needs, up to the step `last`; returns the rendered overlay. timeout: seconds for each wait.

        Raises Problem naming what failed, or ApiError. If generate.sh fails, the Problem has its exit code.
        """
        steps: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("cluster", lambda: self.ensure_cluster(run)),
            ("images", lambda: images.ensure_on_node(self.settings, self.node_id, self.image_ids)),
            ("certificates", lambda: self.generate(runner, run, timeout)),
            ("dependencies", lambda: self.start_dependencies(timeout)),
        )
        for name, action in steps:
            with run.phase(name):
                rendered = action()
            if name == last:
                break
        return rendered

    def ensure_cluster(self, run: Run) -> None:
        """Makes the images in the host's engine and the cluster, and looks at what the cluster runs. Raises Problem,
        ApiError.
        """
        begun = time.monotonic()
        node = self.cluster.node()  # raises if the cluster is not ours, before we ask it anything
        with ThreadPoolExecutor(1) as pool:
            usable = self.cluster.is_as_remembered(node, self.checkout)
            seen = pool.submit(self.observe) if usable else None  # while Docker answers
            self.image_ids = images.ensure_local(self.settings, self.services, self.checkout, self.config_next)
            if time.monotonic() - begun > 5:  # it has pulled something meanwhile
                node, seen, usable = self.cluster.node(), None, False
            self.node_id = self.cluster.ensure(self.checkout, node)
            if not usable:
                node = self.cluster.node()  # as it is now
            self.node_started = node["State"].get("StartedAt", "") if node else ""
            system, once = self.cluster.system, self.once_a_start
            self.names_changed = networks.prepare(once, self.settings, system, self.document)
            self.known = seen.result() if seen else None
        self.apply_overrides()
        run.record |= {"images": self.image_ids, "node": self.node_id, "overrides": self.overrides.described()}

    def start_dependencies(self, timeout: float) -> Rendered:
        """Applies everything except Boulder itself, waits until it is ready, and returns the rendered overlay. timeout:
        seconds.

        Raises Problem naming what is not ready, or ApiError.
        """
        rendered = self.render()
        drift.check(
            self.document, rendered.objects, os.environ, source=written.finder(self.checkout.path, self.config_next)
        )
        names, waves = sorted(selection.needed(self.services, self.named)), selection.waves(self.services)
        dependencies = [item for item in rendered.objects if not is_boulder(item)]
        self.apply("applied", dependencies, waves, timeout=timeout, prune=True, only={*names})
        networks.refuse_closed_ports(self.once_a_start, self.settings, rendered.objects, self.document)
        if workload.start(self.cluster.api, self.known or (), names):  # what is applied anew starts by that
            self.known = None
        waited = rollout.wait(self.cluster.api, names, timeout, "Boulder's dependencies", self.known)
        if waited or self.names_changed:
            # A cluster that has just started: CoreDNS may be the last.
            rollout.wait(self.cluster.system, ["coredns"], timeout, "the cluster's DNS", labels="k8s-app=kube-dns")
        databases.check(self.settings, self.node_id, self.checkout, names)
        self.prune(rendered)
        return rendered

    def prune(self, rendered: Rendered) -> None:
        """After a change: removes what nothing uses any more. Raises ApiError."""
        if self.known is None:
            leftovers.prune(self.cluster.api, rendered.objects)

    def versions(self) -> dict[str, str]:
        """Returns the versions of what makes a run, for run.json. The engine's is asked once, since it cannot change
        while the node runs.
        """
        engine = self.once_a_start("engine", docker.version)
        return {**tools.versions(self.settings, self.cluster.tools), "docker": engine}

    def once_a_start(self, name: str, ask: Callable[[], Any], also: Any = None) -> Any:
        """Returns the answer of `ask`, called once for each start of the node. name: a key of state.FILES. also: what
        else the answer depends on."""
        return state.remembered(self.settings.file(name), [self.node_id, self.node_started, also], ask)

    def apply_overrides(self) -> None:
        """Applies the user's changes to the Compose file that was read. Raises Problem if they need the host's address
        and no node runs.
        """
        self.overrides = self.overrides.resolved(lambda: docker.host_address(self.settings.node))
        self.document = self.overrides.apply_to(self.document)
        self.services = compose.services(self.document)
        for key, value in self.overrides.described().items():
            note(f"not as in the checkout: {key} {value if isinstance(value, str) else ', '.join(value)}")
        if self.overrides.relay_target:
            note(f"names resolve to {PUBLIC}, which forwards to FAKE_DNS: Boulder refuses reserved addresses")

    def observe(self) -> list[dict] | None:
        """Returns what is on the cluster (applied.look), or None if it does not answer at once."""
        try:
            return applied.look(self.cluster.api, timeout=10)
        except ApiError:
            return None

    def find(self, kind: str, name: str) -> dict | None:
        """Returns one object as `bring_up` saw it, or as it is now if nothing is known; None if there is none. Raises
        ApiError.
        """
        if self.known is None:
            return self.cluster.api.find(kind, name)
        return next(
            (item for item in self.known if item["kind"] == kind and item["metadata"]["name"] == name),
            None,
        )

    def render(self, secrets: bool = True) -> Rendered:
        """Returns the run overlay of the checkout as it is now; `secrets` = False leaves out its Secrets. Raises
        Problem.
        """
        return overlay.render(
            self.settings,
            RenderOptions.of(
                self.checkout,
                self.document,
                self.cluster.tools.kubectl,
                self.settings.state / "overlay",
                config_next=self.config_next,
                image_ids=self.image_ids or {},
                secrets=secrets,
                overrides=self.overrides,
            ),
        )

    def apply(self, name: str, objects: list[dict], waves: Sequence[set[str]] = (), **options: Any) -> None:
        """Applies objects, as applied.ensure does. name: the key of state.FILES that remembers them. options: its further ones. Raises
        Problem, ApiError.
        """
        last = self.settings.file(name)
        objects = certificates.marked(objects, self.checkout)
        if applied.ensure(self.cluster.api, objects, last, self.node_id, self.known, waves, **options):
            self.known = None

    def generate(self, runner: Runner, run: Run, timeout: float) -> None:
        """`docker compose run --rm bsetup`: runs generate.sh in a pod before the pods start that mount what it makes.

        Does nothing if there is nothing to make. timeout: seconds until its pod must have started. Raises Problem, with
        generate.sh's exit code if that fails, or ApiError.
        """
        service, words = self.services.get(SETUP), compose.setup_words(self.services)
        if not staging.setup_is_due(self.checkout, words):
            return
        rendered = self.render(secrets=False)
        self.cluster.api.apply([item for item in rendered.objects if item["kind"] == "Namespace"])
        note("generating the test certificates")
        setup = run.within(SETUP)
        with setup.recorded():
            order = Execution(rendered, setup, SETUP, [words], timeout, service.environment)
            setup.record["exit_code"] = code = runner.execute(order)
        if code:
            raise Problem(
                f"{Path(words[0]).name} ended with {code}; its output is above.",
                f"Correct the cause, or see whether `docker compose run --rm {service.name}` works in {self.checkout.path}.",
                exit_code=code,
            )

    def basis(self) -> list:
        """Returns what decides how a pod is made and its description does not say: this start of this node, and the
        images.
        """
        owner = (self.checkout.path / "test").stat()
        return [self.node_id, self.node_started, self.image_ids, owner.st_uid, owner.st_gid]


def is_boulder(item: dict) -> bool:
    """Returns whether an object is the Deployment boulder, which only `up` applies."""
    return item["kind"] == "Deployment" and item["metadata"]["name"] == BOULDER
