"""What the cluster knew when a run failed, kept in its run directory; and when an archive is made of that."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ..host import process
from ..host.errors import Interrupted
from ..host.progress import note
from ..host.settings import Settings
from ..run.directory import Run
from .kubectl import Kubectl

EVERYTHING = "--selector=app.kubernetes.io/part-of=boulder"
PREFIX = re.compile(r"\[pod/([^/]+)/([^\]]+)\] ")  # `kubectl logs --prefix`


def collect(kubectl: Kubectl, run: Run) -> None:
    """Writes every service's log, the events and the pods' descriptions below RUN/cluster/. What cannot be had is left out,
    and said in RUN/cluster/missing.txt: a failed run must not fail again here. Of tests that failed by themselves `packed` does it.
    """
    if run.exit_code() is not None:
        return
    try:
        gather(kubectl, run.path / "cluster")
    except OSError as error:
        note(f"the cluster's logs were not kept: {error.strerror}")


def gather(kubectl: Kubectl, directory: Path) -> None:
    """Three requests at once, and one for each container that has been restarted."""
    if directory.exists():  # nearer to the failure already
        return
    directory.mkdir()
    with ThreadPoolExecutor(3) as pool:
        logs = pool.submit(
            ask,
            kubectl,
            *("logs", EVERYTHING, "--all-containers", "--prefix", "--timestamps", "--ignore-errors"),
            *("--tail=20000", "--max-log-requests=50"),
        )
        described = pool.submit(ask, kubectl, "describe", "pods")
        objects, *missing = ask(kubectl, "get", "pods,events", "-o", "json")
        items = json.loads(objects)["items"] if objects else []
        for item in items:
            item.get("metadata", {}).pop("managedFields", None)
        for pod, container in restarted(items):
            text, problem = ask(kubectl, "logs", pod, f"--container={container}", "--previous", "--timestamps")
            (directory / f"{pod}.previous.log").write_text(text)
            missing.append(problem)
        (directory / "objects.json").write_text(json.dumps(items, indent=1))
        (directory / "events.txt").write_text("".join(f"{line}\n" for line in events(items)))
        text, problem = described.result()
        (directory / "describe.txt").write_text(text)
        missing.append(problem)
        text, problem = logs.result()
        missing += [problem, *split(text, directory)]
    if missing := [line for line in missing if line]:
        (directory / "missing.txt").write_text("\n".join(missing) + "\n")


def ask(kubectl: Kubectl, *arguments: str) -> tuple[str, str]:
    """kubectl's answer, and what went wrong, if anything."""
    try:
        return kubectl.run(*arguments, timeout=20, patience=0), ""
    except (process.Failed, subprocess.TimeoutExpired, OSError) as error:
        return "", f"{arguments[0]}: {error}"


def split(text: str, directory: Path) -> list[str]:
    """Writes the pods' logs to files of their own; returns the lines that belong to none."""
    logs: dict[str, list[str]] = {}
    rest = []
    for line in text.splitlines(keepends=True):
        if match := PREFIX.match(line):
            logs.setdefault(match[1], []).append(f"{match[2]} {line[match.end() :]}")
        else:
            rest.append(line.rstrip("\n"))
    for pod, lines in logs.items():
        (directory / f"{pod}.log").write_text("".join(lines))
    return rest


def restarted(items: list[dict]) -> Iterator[tuple[str, str]]:
    for item in items:
        for status in item.get("status", {}).get("containerStatuses", []) if item["kind"] == "Pod" else ():
            if status.get("restartCount"):
                yield item["metadata"]["name"], status["name"]


def events(items: list[dict]) -> list[str]:
    """A line each, in the order of time."""
    found = []
    for item in items:
        if item["kind"] == "Event":
            when = item.get("lastTimestamp") or item.get("eventTime") or item["metadata"].get("creationTimestamp") or ""
            about = item.get("involvedObject", {})
            found.append(
                f"{when} {item.get('type')} {item.get('reason')} {about.get('kind')}/{about.get('name')}: {item.get('message')}"
            )
    return sorted(found)


@contextmanager
def packed(settings: Settings, run: Run) -> Iterator[None]:
    """Around a run, its record included: when the block fails there is RUN/bundle.tar.gz. Of tests that failed, as tests do every
    few minutes, all of it is made behind our back: nobody waits for it.
    """
    try:
        yield
    except Interrupted:  # who interrupts wants an end, not a report
        raise
    except BaseException:
        pack(settings, run)
        raise
    if run.record.get("failure"):
        pack(settings, run)
    elif run.record.get("exit_code") and run.exit_code() == run.record["exit_code"]:  # the tests' own, not a signal's
        words = [sys.executable, "-m", "boulder_k8s.diagnose.bundle", str(run.path), settings.cluster]
        process.leave(words, cwd=settings.root)


def pack(settings: Settings, run: Run) -> None:
    from ..diagnose import bundle  # here, not on top: a run that does not fail needs none of it

    bundle.pack(settings, run)
