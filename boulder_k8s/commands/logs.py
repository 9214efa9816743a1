"""Prints the logs of the services as Docker Compose prints them: `invoke logs`."""

from __future__ import annotations

import heapq
import queue
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..cluster import logs as container
from ..cluster.errors import ApiError
from ..cluster.kind import Cluster
from ..cluster.logs import STAMP, Position, Reader, Target, now, stamp, started
from ..cluster.watch import watching
from ..host import durations, tools
from ..host.errors import Interrupted, Problem
from ..host.names import NAME, PART_OF, TESTS
from ..host.progress import note, overdue
from ..host.settings import Settings
from . import run_output
from .arguments import number
from .printer import Printer, coloured
from .services import named

TOGETHER = 0.1  # seconds of lines that are gathered, to print those of several containers in the order of time
AT_FIRST = 1.5  # the same for the lines that are there at the start


@dataclass(frozen=True)
class Wanted:
    """What to print. services: names of pods or workloads; empty: all. since: a time as the kubelet writes it. tail:
    lines of each.
    """

    services: tuple[str, ...] = ()
    since: str = ""
    tail: int | None = None

    def targets(self, pods: Iterable[dict], previous: bool = False) -> dict[Target, dict]:
        """Returns the containers whose logs to print, sorted by name, each with its status. previous: those that have
        been restarted. Leaves out init containers that ended with 0.
        """
        found = {}
        for pod in pods:
            metadata, status = pod["metadata"], pod.get("status", {})
            service = metadata.get("labels", {}).get(NAME, "")
            if self.services and not {service, metadata["name"]} & set(self.services):
                continue
            # Compose numbers a service's containers; here each has one. `docker compose run` names its container otherwise.
            name = f"{service}-1" if metadata.get("ownerReferences") else metadata["name"]
            for item in status.get("initContainerStatuses", []):
                if item.get("state", {}).get("terminated", {}).get("exitCode") != 0:
                    found[Target(metadata["name"], metadata["uid"], item["name"], f"{name} {item['name']}")] = item
            for item in status.get("containerStatuses", []):
                found[Target(metadata["name"], metadata["uid"], item["name"], name)] = item
        return {
            target: item
            for target, item in sorted(found.items(), key=lambda pair: pair[0].name)
            if (item.get("lastState", {}).get("terminated") if previous else started(item))
        }


@dataclass(frozen=True)
class LogOptions:
    """The options of `docker compose logs`. services: all if it is empty. follow: continues, also with containers that
    restart or appear, until it is interrupted or the cluster is gone. since: "10m" or a date, as Compose takes it.
    tail: lines of each container, or "all". previous: the logs of the containers before their last restart. timestamps:
    prints the time of each line. colours, prefix: if False, no colours, no name before each line.
    """

    services: list[str]
    follow: bool = False
    since: str = ""
    tail: str = "all"
    previous: bool = False
    timestamps: bool = False
    colours: bool = True
    prefix: bool = True


def logs(settings: Settings, options: LogOptions) -> int:
    """`docker compose logs`: prints the services' logs in the order of time. Returns 0, or 1 if a log could not be
    read, or 128 + N after signal N with `follow`. Raises Problem if an option is invalid or the cluster does not run,
    or ApiError.
    """
    if options.follow and options.previous:
        raise Problem("--follow and --previous cannot go together.", "Use one: an earlier log does not grow.")
    tail = None if options.tail == "all" else number("--tail", options.tail)
    since = moment(options.since)
    cluster = Cluster(settings, tools.find(settings))
    cluster.api.preload()
    wanted = Wanted(tuple(named(settings, cluster, options.services, [TESTS])), since, tail)
    cluster.require_running()
    printer = Printer(options.timestamps, options.colours and coloured(), options.prefix)
    if not options.follow:
        return once(cluster, wanted, printer, options.previous)
    try:
        go_on(cluster, wanted, printer)
    except Interrupted as end:  # the usual way to end it, so it prints nothing
        return 128 + end.signum
    return 0


def once(cluster: Cluster, wanted: Wanted, printer: Printer, previous: bool) -> int:
    """Prints the logs as they are now; returns 0, or 1 if a log could not be read. Raises ApiError if the pods cannot
    be listed.
    """
    with overdue("asking the cluster"):
        pods = cluster.api.list("Pod", labels=PART_OF)
    targets = wanted.targets(pods, previous)
    if not targets:
        note("no container of these has been restarted" if previous else "nothing runs that has a log")
    printer.meet(target.name for target in targets)
    failed: list[Target] = []
    words: dict[Target, list[str]] = {target: [] for target in targets}

    run = run_output.directory(cluster, pods)

    def read(target: Target) -> Iterator[tuple[str, bytes]]:
        if target.pod == TESTS and run:
            yield from ((target.name, line) for line in run_output.lines(run, wanted.tail))
            return
        position = Position(wanted.since, wanted.tail)
        try:
            options = {"previous": "true"} if previous else {}
            for line in container.lines(cluster.api, target, position, words[target], **options):
                yield target.name, line
        except ApiError as error:
            words[target].append(str(error))

    for name, line in heapq.merge(*map(read, targets), key=lambda item: item[1][:STAMP]):
        printer.write(name, line)
    sys.stdout.flush()
    for target in targets:
        if words[target]:
            note(f"{target.name}: {' '.join(words[target])}")
            failed.append(target)
    return int(bool(failed))


def go_on(cluster: Cluster, wanted: Wanted, printer: Printer) -> None:
    """Prints the logs and what is added to them, until the cluster is gone. Raises ApiError, Interrupted."""
    arrived: queue.Queue[tuple[str, bytes]] = queue.Queue(10_000)
    positions: dict[Target, Position] = {}
    readers: dict[Target, threading.Thread] = {}
    pods_seen = time.monotonic()
    with watching(cluster.api, labels=PART_OF) as watch:

        def reader(target: Target, tail: int | None, run: Path | None) -> threading.Thread:
            """Continues after what an earlier reader of the same container has read, if there was one."""
            if target.pod == TESTS and run:
                there = lambda: TESTS in watch.objects  # noqa: E731
                return run_output.Tail(run, tail, there, lambda line: arrived.put((target.name, line)))
            return Reader(
                cluster.api,
                target,
                positions.setdefault(target, Position(wanted.since, tail)),
                lambda: wanted.targets(list(watch.objects.values())).get(target),
                lambda line: arrived.put((target.name, line)),
                lambda code: arrived.put(("", f"{now()} {target.name} exited with code {code}\n".encode())),
            )

        while True:
            first = not readers
            watch.next(TOGETHER if first else 0)
            targets = wanted.targets(list(watch.objects.values()))
            printer.meet(target.name for target in targets)
            run = run_output.directory(cluster, watch.objects.values())
            for target in targets:
                if target.pod == TESTS and (not run or target in readers):  # it waits for a run, or is read once
                    continue
                if target not in readers or not readers[target].is_alive():
                    # What appears later is printed from its beginning.
                    readers[target] = reader(target, wanted.tail if first else None, run)
                    readers[target].start()
            for name, line in together(arrived, AT_FIRST if first and readers else TOGETHER):
                if name:
                    printer.write(name, line)
                else:
                    sys.stdout.buffer.write(line[STAMP + 1 :])
            sys.stdout.flush()
            if watch.objects:
                pods_seen = time.monotonic()
            elif time.monotonic() - pods_seen > 5:
                if not cluster.is_running():
                    note(f"cluster {cluster.settings.cluster} has stopped")
                    return
                pods_seen = time.monotonic()


def together(arrived: queue.Queue, seconds: float) -> list[tuple[str, bytes]]:
    """Waits `seconds`, and returns what arrived meanwhile, sorted by the times of the lines."""
    deadline = time.monotonic() + seconds
    found = []
    while (left := deadline - time.monotonic()) > 0 and len(found) < 50_000:
        try:
            found.append(arrived.get(timeout=left))
        except queue.Empty:
            break
    return sorted(found, key=lambda item: item[1][:STAMP])


def moment(text: str, base: datetime | None = None) -> str:
    """Returns a time as the kubelet writes it. text: a duration before `base` (now) such as "1h30m", a date, or seconds
    since 1970. Raises Problem if it is something else.
    """
    if not text:
        return ""
    ago = durations.seconds(text)
    try:
        if re.fullmatch(r"\d{9,}(\.\d+)?", text):
            then = datetime.fromtimestamp(float(text), UTC)
        elif ago is not None:
            then = (base or datetime.now(UTC)) - timedelta(seconds=ago)
        else:
            then = datetime.fromisoformat(text).astimezone(UTC)  # without a time zone: in this machine's, as for Docker
        return stamp(then)
    except (ValueError, OverflowError) as error:
        raise Problem(
            f"--since {text} is neither a duration nor a date.", "Write 10m, 1h30m, or 2026-01-31T12:00:00."
        ) from error
