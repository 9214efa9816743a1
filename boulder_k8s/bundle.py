"""What the cluster knew when a run failed, kept in its run directory."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import process
from .kubectl import Kubectl
from .progress import note
from .run import Run


def collect(kubectl: Kubectl, run: Run) -> None:
    """Writes every service's log, the events and the pods' descriptions below RUN/cluster/. What cannot be had is left out,
    and said in RUN/cluster/missing.txt: a failed run must not fail again here.
    """
    try:
        gather(kubectl, run.path / "cluster")
    except OSError as error:
        note(f"the cluster's logs were not kept: {error.strerror}")


def gather(kubectl: Kubectl, directory: Path) -> None:
    if directory.exists():  # nearer to the failure already
        return
    directory.mkdir()
    wanted = {
        "events.txt": ["get", "events", "--sort-by=.lastTimestamp"],
        "pods.txt": ["get", "pods", "-o", "wide"],
        "describe.txt": ["describe", "pods"],
    }
    try:
        pods = kubectl.json("get", "pods", timeout=20, patience=0)["items"]
    except (process.Failed, subprocess.TimeoutExpired) as error:
        (directory / "missing.txt").write_text(f"pods: {error}\n")
        return
    for pod in pods:
        name = pod["metadata"]["name"]
        wanted[f"{name}.log"] = ["logs", name, "--all-containers", "--prefix", "--tail=20000"]
        if any(status.get("restartCount") for status in pod["status"].get("containerStatuses", [])):
            wanted[f"{name}.previous.log"] = ["logs", name, "--previous", "--tail=20000"]
    with ThreadPoolExecutor(4) as pool:
        failures = [
            line for line in pool.map(lambda item: keep(kubectl, directory / item[0], item[1]), wanted.items()) if line
        ]
    if failures:
        (directory / "missing.txt").write_text("\n".join(failures) + "\n")


def keep(kubectl: Kubectl, path: Path, arguments: list[str]) -> str:
    """Writes kubectl's answer to a file; returns what went wrong, if anything."""
    try:
        path.write_text(kubectl.run(*arguments, timeout=30, patience=0))
    except (process.Failed, subprocess.TimeoutExpired, OSError) as error:
        return f"{path.name}: {error}"
    return ""
