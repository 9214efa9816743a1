"""`invoke matrix`: many rows of Boulder's CI, each a Job, on one cluster."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from ..cluster import images
from ..cluster.kind import Cluster
from ..host import tools
from ..host.files import private_directory
from ..host.lock import held
from ..host.progress import note, overdue, step
from ..host.settings import Settings
from ..host.signals import Signals
from ..manifests import checkout
from ..manifests.checkout import Checkout
from ..matrix import course, delivery, job, objects, preflight, rows, source
from ..matrix.job import Terms
from ..matrix.objects import Matrix
from ..matrix.rows import Row
from ..matrix.source import Source
from ..matrix.target import Target, following, remember
from .arguments import Options
from .matrices import Made, follow, start
from .working import working

REQUESTS = {"cpu": "1", "memory": "3Gi"}  # what the scheduler keeps free for a row


@dataclass(frozen=True)
class MatrixOptions:
    """What `invoke matrix` takes. typed: rows. patterns: which rows of the workflow. seconds: after which a row is ended; 0: never.
    requests: what the scheduler keeps free for each row. queue: Kueue's. target: the cluster. detach: ends as soon as the rows are there. cache: a claim for the Go build cache.
    """

    typed: Sequence[str] = ()
    patterns: Sequence[str] = ()
    seconds: int = 0
    requests: Mapping[str, str] = field(default_factory=lambda: REQUESTS)
    queue: str = ""
    target: Target = Target()
    detach: bool = False
    cache: str = ""

    def rows(self, found: Checkout) -> list[Row]:
        """Returns the rows: those that the user typed, and those of the workflow that fit; all of these if he named none. Raises Problem."""
        typed = rows.typed(self.typed)
        if typed and not self.patterns:
            return typed
        return rows.numbered([*typed, *rows.chosen(rows.of_workflow(found.path), self.patterns)])

    def terms(self, name: str) -> Terms:
        """Returns the terms of a matrix's rows. Raises Problem if a request is no quantity."""
        for text in self.requests.values():
            preflight.quantity(text)
        return Terms(name, self.requests, self.seconds, self.queue)


def render(settings: Settings, options: Options, wanted: MatrixOptions) -> None:
    """Prints the YAML that `invoke matrix` applies. Needs no cluster. Raises Problem."""
    found = checkout.of_command(settings, options.environ)
    chosen = wanted.rows(found)
    matrix = Matrix.of("NAME", Cluster(settings, tools.find(settings)).api, wanted.target.namespace)
    with held(settings, "invoke matrix --render"), overdue("asking Compose and git"):
        sources = source.of_rows(found, chosen, options.environ)
        made = compose(settings, found, chosen, sources, wanted.terms("NAME"), wanted)
    first = [matrix.namespace_object()] if matrix.own else []
    sys.stdout.write(text([*first, *map(matrix.placed, [*made.mounted, *made.jobs])]))


def text(items: Sequence[dict]) -> str:
    """Returns objects as YAML; a comment is in place of each piece of the checkout."""
    texts = []
    for item in items:
        if "binaryData" in item:
            texts.append(f"# ConfigMap {item['metadata']['name']}: a piece of the checkout, as a git pack\n")
        else:
            texts.append(yaml.safe_dump(item, sort_keys=False))
    return "---\n".join(texts)


def compose(
    settings: Settings,
    found: Checkout,
    chosen: Sequence[Row],
    sources: Mapping[source.Key, Source],
    terms: Terms,
    wanted: MatrixOptions,
) -> Made:
    """Packs the checkout, and returns all that the rows need but the namespace. Raises Problem."""
    kubectl, ours = tools.find_kubectl(settings), not wanted.target.context
    packed = delivery.pack(found, private_directory(settings.state / "matrix"))
    places, rendered = {}, []
    for number, (key, one) in enumerate(sources.items()):
        directory = settings.state / f"matrix-overlay-{number}"
        places[key] = one.place(settings, kubectl, directory, ours, wanted.cache)
        rendered += places[key].rendered.objects
    jobs = [job.job(row, places[source.key(row)], packed, terms, number) for number, row in enumerate(chosen)]
    return Made([delivery.programs(), *packed.config_maps(), *job.mounted(jobs, rendered)], jobs)


def matrix(settings: Settings, signals: Signals, options: Options, wanted: MatrixOptions) -> int:
    """Runs the rows; returns 0 if all passed, 1 if tests failed, 2 if a row has no verdict.

    Their results are in .runs/matrix-NAME/ROW/. Whatever ends it removes what it made on the cluster, but for a cluster that does not
    answer any more. Raises Problem if it cannot begin, ApiError.
    """
    name = objects.new_name()
    terms, where = wanted.terms(name), wanted.target
    if where.context:
        one = Matrix.of(name, where.api(settings), where.namespace)
        for line in preflight.require(one.api, wanted.requests, one.own):
            note(line)
        found = checkout.of_command(settings, options.environ)
        chosen = wanted.rows(found)
        with held(settings, "invoke matrix"), step("packing the checkout"):
            made = compose(settings, found, chosen, source.of_rows(found, chosen, options.environ), terms, wanted)
    else:
        with working(settings, "invoke matrix", signals, options) as (stack, _):
            found, one = stack.checkout, Matrix.of(name, stack.cluster.api, where.namespace)
            chosen = wanted.rows(found)
            sources = source.of_rows(found, chosen, options.environ)
            bring_up(settings, stack.cluster, found, list(sources.values()))
            preflight.require(one.api, wanted.requests, one.own)
            with step("packing the checkout"):
                made = compose(settings, found, chosen, sources, terms, wanted)
    directory = remember(settings, name, where)
    with following(directory):
        jobs = start(signals, one, made)
        if not wanted.detach:
            return follow(signals, one, [course.of_job(item, directory) for item in jobs])
    note(
        f"the rows run without this command: `invoke matrix --attach {name}` follows them, `invoke matrix --clean` removes them"
    )
    return 0


def bring_up(settings: Settings, cluster: Cluster, found: Checkout, sources: Sequence[Source]) -> None:
    """Makes the cluster run, with the images of every row. Raises Problem, ApiError."""
    node = cluster.node()
    ids: dict[str, str] = {}
    for one in sources:
        ids |= images.ensure_local(settings, one.services, found, one.config_next)
    images.ensure_on_node(settings, cluster.ensure(found, node), ids)
