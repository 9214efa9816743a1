"""`invoke revisions`: which revisions of the checkout's history the manifests follow, without a cluster, an image or a change of the checkout."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..host import process, tools
from ..host.errors import Problem
from ..host.files import own_directory
from ..host.progress import note, step
from ..host.settings import Settings
from ..manifests import checkout as checkouts
from ..manifests import compare, compose, compose_key, differences, drift, harness, history, overlay, selection
from ..manifests.checkout import Checkout
from ..manifests.history import DECIDING, History, Revision
from ..manifests.overlay import RenderOptions
from .outcomes import VARIANTS, Outcome, as_object, as_text


def revisions(
    settings: Settings, since: str = "", limit: int = 0, as_json: bool = False, environ: Mapping[str, str] = os.environ
) -> int:
    """Renders every revision that touches what the manifests depend on, newest first, and prints a table; returns the exit code.

    since: a date, or "" for the whole history. limit: that many of the newest ones, 0 for all. The exit code is 0, or 1 if one is refused or
    has static differences on no list. Raises Problem if there is none, if the date is none, or if the checkout has no history.
    """
    begin = history.date(since) if since else ""
    kubectl = tools.find_kubectl(settings)
    past = History.of(checkouts.of_command(settings, environ).path)
    if past.is_shallow():
        here = "1 commit of its history is" if (number := past.count()) == 1 else f"{number} commits of its history are"
        note(f"a shallow clone: {here} here, and the oldest counts as touching everything")
    place = own_directory(settings.root / ".state") / "revisions"
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as directory:
        work = Work(settings, past, kubectl, Path(directory), environ)
        found = list(work.outcomes(begin, limit))
    if not found:
        raise Problem(
            "There is no revision that touches what the manifests depend on" + (f" since {since}." if since else "."),
            "Name an earlier date with --since, or leave it out.",
        )
    print(as_object(found) if as_json else as_text(found))
    return 0 if all(outcome.is_clean for _, both in found for outcome in both.values()) else 1


@dataclass
class Work:
    """The rendering of revisions, in one directory.

    documents: what Compose made of the files of a revision, by all that decides it; it is the same for most revisions, as their
    directory has the same path. known: outcomes, by git's ids of everything that they depend on.
    """

    settings: Settings
    past: History
    kubectl: Path
    directory: Path
    environ: Mapping[str, str]
    documents: dict[str, dict | Problem] = field(default_factory=dict)
    known: dict[str, Outcome] = field(default_factory=dict)

    @property
    def tree(self) -> Path:
        """Where a revision's files lie."""
        return self.directory / "boulder"

    def outcomes(self, since: str, limit: int) -> Iterator[tuple[Revision, dict[str, Outcome]]]:
        """Renders revisions one by one. since, limit: as History.revisions has them."""
        with step("looking for the revisions to render"):
            touched, needed = self.paths(since, limit)
            chosen = self.past.revisions([*DECIDING, *touched], since, limit)
        with step(f"rendering {len(chosen)} revisions") as said, ThreadPoolExecutor(len(VARIANTS)) as pool:
            for number, revision in enumerate(chosen, 1):
                paths = [*self.past.deciding(revision.commit), *needed]
                keys = self.keys(revision, paths)
                if new := [variant for variant in VARIANTS if keys[variant] not in self.known]:
                    self.unpack(revision, paths)
                    for variant, outcome in zip(new, pool.map(partial(self.outcome, revision), new), strict=True):
                        self.known[keys[variant]] = outcome
                yield revision, {variant: self.known[keys[variant]] for variant in VARIANTS}
                if number % 10 == 0:
                    said(f"{number} of {len(chosen)}, {revision.date}")

    def keys(self, revision: Revision, paths: list[str]) -> dict[str, str]:
        """Returns what the outcome with each configuration depends on: the files, but for the other configuration's."""
        lines = self.past.contents(revision.commit, paths)
        other = {variant: f"\ttest/{name}/" for variant in VARIANTS for name in VARIANTS if name != variant}
        return {
            variant: json.dumps([variant, *(line for line in lines if other[variant] not in line)])
            for variant in VARIANTS
        }

    def paths(self, since: str, limit: int) -> tuple[set[str], set[str]]:
        """Returns what services use of the checkout, and what rendering reads of it, in any of the revisions: each may mount other files."""
        changes = self.past.revisions(DECIDING)
        recent = self.past.revisions(DECIDING, since, limit)
        used, read = history.staged(), history.staged()
        # The one before gives the first revisions of the range their Compose file.
        for revision in changes[: len(recent) + 1]:
            self.unpack(revision, self.past.deciding(revision.commit))
            for config_next in VARIANTS.values():
                document = self.document(revision, config_next)
                if isinstance(document, dict):
                    more, all_of_it = history.sources(document, self.tree)
                    used, read = used | more, read | all_of_it
        return used, read

    def unpack(self, revision: Revision, paths: list[str] | dict[str, str]) -> None:
        """Makes the tree anew, with these files and directories of a revision."""
        shutil.rmtree(self.tree, ignore_errors=True)
        self.tree.mkdir()
        self.past.unpack(revision.commit, paths, self.tree)

    def document(self, revision: Revision, config_next: bool) -> dict | Problem:
        """Returns what Compose makes of the tree's files, or why it refuses them."""
        key = compose_key.of(self.tree, config_next, self.environ)
        if not key or key not in self.documents:
            try:
                self.documents[key] = compose.resolved(self.tree, config_next, self.environ)
            except Problem as problem:
                if problem.check:  # the machine's, such as Compose that is not installed
                    raise
                self.documents[key] = problem
        found = self.documents[key]
        if isinstance(found, Problem):
            return found
        return compose.for_tests(found, harness.read(self.tree, config_next), self.environ)

    def outcome(self, revision: Revision, variant: str) -> Outcome:
        """Renders the tree with one configuration, and compares it with its Compose file."""
        try:
            return self.rendered(revision, variant)
        except Problem as problem:
            why = " ".join([problem.message, *problem.detail.splitlines()[-1:]])
        except process.Failed as failed:
            why = f"{Path(failed.command[0]).name}: {failed.output.splitlines()[-1]}"
        except Exception as error:  # a defect of ours: the other revisions are to be seen nevertheless
            why = f"a defect of boulder-k8s: {type(error).__name__}: {error}"
        return Outcome(why.replace(f"{self.tree}/", ""))

    def rendered(self, revision: Revision, variant: str) -> Outcome:
        """As `outcome`. Raises Problem, process.Failed."""
        config_next = VARIANTS[variant]
        document = self.document(revision, config_next)
        if isinstance(document, Problem):
            raise document
        document = selection.followed(document, self.tree, config_next, {})
        services = compose.services(document)
        options = RenderOptions.of(
            Checkout(self.tree),
            document,
            self.kubectl,
            self.directory / variant,
            config_next=config_next,
            secrets=False,  # generate.sh makes them
        )
        found = compare.compare(document, overlay.render(self.settings, options).objects)
        unlisted, _ = differences.partition(
            (item for item in found if not drift.is_port(item)), differences.read_intended()
        )
        script = harness.read(self.tree, config_next)
        refused = [drift.short(item) for item in unlisted if drift.is_refused(item)]
        return Outcome(
            ", ".join([*drift.refused_of_script(script, document), *refused]),
            sorted(service.name for service in selection.converted(services)),
            [drift.short(item) for item in unlisted],
            list(script.notes),
        )
