"""What either side's stack holds in memory."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from sides import CHECKOUT, CLUSTER, t_sh, wrapper


def memory(_: int) -> list[str]:
    """What the node container uses, beside the sum of Compose's containers; both idle, dependencies up."""
    wrapper("--help")
    t_sh("--help")
    time.sleep(60)  # for both to be as idle
    found = subprocess.run(
        ["docker", "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}"], capture_output=True, text=True
    ).stdout
    units = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "B": 1}
    used = {}
    for line in found.splitlines():
        name, amount = line.split()[:2]
        unit = next(unit for unit in units if amount.endswith(unit))
        used[name] = float(amount.removesuffix(unit)) * units[unit]
    project = json.loads(
        subprocess.run(["docker", "compose", "config", "--format", "json"], cwd=CHECKOUT, capture_output=True).stdout
    )["name"]
    rows = []
    for what, amounts in (
        ("memory as `docker stats` counts it", used),
        ("memory of its processes alone", anonymous(used)),
    ):
        ours = amounts.pop(f"{CLUSTER}-control-plane") / 2**20  # whose name may begin like the project's containers
        theirs = sum(value for name, value in amounts.items() if name.startswith(f"{project}-")) / 2**20
        rows.append(
            f"| {what}, dependencies idle | Compose's containers | {ours:.0f} MiB | {theirs:.0f} MiB | {ours / theirs:.2f} | "
            f"{ours - theirs:+.0f} MiB | 1 | |"
        )
    return rows


def anonymous(names: Iterable[str]) -> dict[str, float]:
    """What the processes of each container hold without the files that they have read: RssAnon in bytes (proc_pid_status(5)). Of an
    engine that runs on this very kernel.
    """
    ids = {
        name: subprocess.run(
            ["docker", "inspect", "--format", "{{.Id}}", name], capture_output=True, text=True
        ).stdout.strip()
        for name in names
    }
    found = dict.fromkeys(ids, 0.0)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            group, status = (process / "cgroup").read_text(), (process / "status").read_text()
        except OSError:  # ended meanwhile
            continue
        kilobytes = [int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:")]
        for name, container in ids.items():
            if container in group:
                found[name] += sum(kilobytes) * 1024
    return found
