"""Writes what the cluster knows to files: the log of every service, the events, the descriptions of the pods."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..host import process
from ..host.files import private_directory, write_private
from ..host.names import PART_OF
from . import logs
from .api import Api
from .culprit import statuses
from .errors import ApiError
from .kubectl import Kubectl
from .logs import Position, Target

MOST = 20_000  # lines of each container


def take(api: Api, kubectl: Kubectl, directory: Path) -> None:
    """Writes PODS.log, objects.json, events.txt and describe.txt into a new directory; does nothing if it exists.

    Leaves out what it cannot get, and lists that in missing.txt. Raises OSError if the disk does not take it.
    """
    if directory.exists():  # an earlier snapshot, closer to the failure
        return
    private_directory(directory)
    missing: list[str] = []

    def attempt(what: str, ask: Callable[[], str]) -> str:
        """Returns what `ask` returns, or "" and a line in missing.txt."""
        try:
            return ask()
        except (ApiError, process.Failed, subprocess.TimeoutExpired, OSError) as error:
            missing.append(f"{what}: {error}")
            return ""

    with ThreadPoolExecutor(4) as pool:
        described = pool.submit(attempt, "describe", lambda: kubectl.describe("pods"))
        found = attempt("objects", lambda: json.dumps(api.list("Pod", "Event", patience=0, timeout=20)))
        items = json.loads(found or "[]")
        for item in items:
            item["metadata"].pop("managedFields", None)
        wanted = [(pod, container, "false") for pod, container in containers(items)]
        wanted += [(pod, container, "true") for pod, container in restarted(items)]

        def read(pod: str, container: str, previous: str) -> tuple[str, str]:
            name = f"{pod}{'.previous' if previous == 'true' else ''}.log"
            target = Target(pod, "", container, "")

            def log() -> str:
                found = logs.lines(api, target, Position(tail=MOST), missing, previous=previous)
                return b"".join(container.encode() + b" " + line for line in found).decode(errors="replace")

            return name, attempt(f"logs {pod} {container}", log)

        texts: dict[str, list[str]] = {}
        for name, text in pool.map(lambda item: read(*item), wanted):
            texts.setdefault(name, []).append(text)
        for name, parts in texts.items():
            write_private(directory / name, "".join(parts))
        write_private(directory / "objects.json", json.dumps(items, indent=1))
        write_private(directory / "events.txt", "".join(f"{line}\n" for line in events(items)))
        write_private(directory / "describe.txt", described.result())
    if missing:
        write_private(directory / "missing.txt", "\n".join(missing) + "\n")


def containers(items: list[dict]) -> Iterator[tuple[str, str]]:
    """Yields (pod, container) for every container of Boulder's pods that has run, including init containers."""
    label, _, value = PART_OF.partition("=")
    for item in items:
        if item["kind"] == "Pod" and item["metadata"].get("labels", {}).get(label) == value:
            for container in statuses(item):
                if logs.started(container):
                    yield item["metadata"]["name"], container["name"]


def restarted(items: list[dict]) -> Iterator[tuple[str, str]]:
    """Yields (pod, container) for every container that was restarted."""
    for item in items:
        for status in item.get("status", {}).get("containerStatuses", []) if item["kind"] == "Pod" else ():
            if status.get("restartCount"):
                yield item["metadata"]["name"], status["name"]


def events(items: list[dict]) -> list[str]:
    """Returns one line for each event, in the order of time."""
    found = []
    for item in items:
        if item["kind"] == "Event":
            when = item.get("lastTimestamp") or item.get("eventTime") or item["metadata"].get("creationTimestamp") or ""
            about = item.get("involvedObject", {})
            found.append(
                f"{when} {item.get('type')} {item.get('reason')} {about.get('kind')}/{about.get('name')}: {item.get('message')}"
            )
    return sorted(found)
