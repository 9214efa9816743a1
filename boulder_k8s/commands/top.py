"""`invoke top`: the processes of each service, as `docker compose top` shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..cluster.kind import Cluster
from ..host import process, tools
from ..host.names import NAME, PART_OF
from ..host.progress import note, overdue
from ..host.settings import Settings
from .services import named

COLUMNS = "user:12,pid,ppid,stime,time,cgroup:512,args"  # as Docker's `ps -ef`, and which container it is
LINE = re.compile(r"(\S+) +(\d+) +(\d+) +(\S+) +(\S+) +(\S+) +(.*)")


def top(settings: Settings, services: Sequence[str]) -> None:
    """Prints the processes of these services' containers, of all if none is named. Raises Problem if one does not exist or the cluster does
    not run, process.Failed or ApiError.
    """
    cluster = Cluster(settings, tools.find(settings))
    wanted = named(settings, cluster, services)
    cluster.require_running()
    with overdue("asking the cluster"):
        pods = cluster.api.list("Pod", labels=PART_OF)
        listed = process.run(["docker", "exec", settings.node, "ps", "-e", "-o", COLUMNS, "-ww"], timeout=30)
    rows = [found.groups() for line in listed.splitlines()[1:] if (found := LINE.match(line.strip()))]
    shown = 0
    for name, pod, ids in containers(pods):
        if wanted and name not in wanted:
            continue
        mine = [row for row in rows if any(identity in row[5] for identity in ids)]
        if mine:
            shown += 1
            print(f"{name} ({pod})")
            for row in [("UID", "PID", "PPID", "STIME", "TIME", "", "CMD"), *mine]:
                print(f"{row[0]:<12} {row[1]:>7} {row[2]:>7} {row[3]:>8} {row[4]:>8}  {row[6]}")
            print()
    if not shown:
        note("nothing of that runs")


def containers(pods: Sequence[dict]) -> list[tuple[str, str, list[str]]]:
    """Returns each pod's service, its name and its containers' ids, sorted."""
    found = []
    for pod in pods:
        statuses = pod.get("status", {}).get("containerStatuses", [])
        statuses = [*statuses, *pod.get("status", {}).get("initContainerStatuses", [])]
        ids = [item["containerID"].partition("://")[2] for item in statuses if item.get("containerID")]
        found.append((pod["metadata"].get("labels", {}).get(NAME, ""), pod["metadata"]["name"], ids))
    return sorted(found)
