"""A matrix that is on a cluster: started, followed to its end, found again, removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..cluster.api import Api
from ..cluster.errors import ApiError
from ..cluster.kind import Cluster
from ..host import tools
from ..host.errors import Problem
from ..host.progress import note, overdue, shown, step
from ..host.settings import Settings
from ..host.signals import Signals
from ..matrix import course, job, live, objects, table
from ..matrix.course import Course
from ..matrix.objects import Matrix
from ..matrix.target import Target, directory_of, following, is_followed, recall, remember
from . import reports


@dataclass(frozen=True)
class Made:
    """The objects of a matrix. mounted: what the rows mount. jobs: a Job for each row."""

    mounted: list[dict]
    jobs: list[dict]


def start(signals: Signals, one: Matrix, made: Made) -> list[dict]:
    """Makes everything on the cluster; returns the Jobs. If that fails, removes what it has made, and nothing else. Raises Problem,
    ApiError.
    """
    claimed = False
    try:
        with step(f"delivering the checkout and {len(made.jobs)} row{'s' * (len(made.jobs) > 1)}"):
            with signals.deferred():
                one.claim()
                claimed = True
            one.make(made.mounted, made.jobs)
    except BaseException:
        if claimed:
            with signals.deferred():
                remove(one)
        raise
    return [one.placed(item) for item in made.jobs]


def follow(signals: Signals, one: Matrix, courses: Sequence[Course]) -> int:
    """Follows the rows to their end, and removes them; returns the exit code. Raises ApiError."""
    directory = courses[0].directory.parent
    try:
        with live.shown(one.api, courses) as changed:
            course.follow(one, courses, changed)
    except ApiError:
        note(f"the rows may go on: `invoke matrix --attach {one.name}` follows them as soon as the cluster answers")
        raise
    except BaseException:
        with signals.deferred():
            remove(one)
        raise
    with signals.deferred():
        remove(one)
    reports.write(one.name, courses, directory)
    print(table.text(courses))
    note(f"everything about these rows is in {shown(directory)}")
    return course.exit_code(courses)


def attach(settings: Settings, signals: Signals, name: str, target: Target) -> int:
    """Follows a matrix that is on a cluster already; returns what `matrix` returns. Raises Problem if there is none, ApiError."""
    where = target if target.context else recall(settings, name) or target
    one = Matrix.of(name, server(settings, where), where.namespace)
    jobs = job.in_order(one.api.list("Job", labels=one.selector))
    if not jobs:
        raise Problem(
            f"There is no matrix {name} on the cluster {one.api.context}.",
            "`invoke matrix --attach NAME` takes the name that `invoke matrix --detach` has told; --context names another cluster.",
        )
    directory = remember(settings, name, where)
    with following(directory):
        return follow(signals, one, [course.of_job(item, directory) for item in jobs])


def server(settings: Settings, target: Target) -> Api:
    """Returns the API server of a target. Raises Problem if it is this project's cluster and that does not run."""
    if target.context:
        return target.api(settings)
    cluster = Cluster(settings, tools.find(settings))
    cluster.require_running()
    return cluster.api


def clean(settings: Settings, target: Target) -> None:
    """Removes what clients that are gone have left on a cluster: every matrix of ours whose rows have all ended, and every one that a
    client of this project has made and no longer follows. Raises Problem, ApiError.
    """
    api = server(settings, target)
    left = 0
    for name in objects.names(api, target.namespace):
        one = Matrix.of(name, api, target.namespace)
        directory = directory_of(settings, name)
        if is_followed(directory):
            note(f"the matrix {name} stays: a command follows it")
        elif not (directory.exists() or one.has_ended()):
            note(f"the matrix {name} stays: its rows have not ended")
        elif remove(one):
            note(f"the matrix {name} is removed")
        else:
            left += 1
    if left:
        raise Problem("The cluster has not removed everything.", "Run `invoke matrix --clean` again in a minute.")


def remove(one: Matrix) -> bool:
    """Removes a matrix from the cluster; returns whether it is gone, and says so if not."""
    try:
        with overdue(f"removing the matrix {one.name} from {one.namespace}"):
            gone = one.remove()
    except ApiError:
        gone = False
    if not gone:
        note(f"the matrix {one.name} is still in the namespace {one.namespace}: `invoke matrix --clean` removes it")
    return gone
