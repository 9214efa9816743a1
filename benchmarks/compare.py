"""This project and Docker Compose side by side on one checkout: medians of pairs, and their ratio, as a Markdown table.

    BOULDER_DIR=~/boulder .venv/bin/python benchmarks/compare.py                    # everything but the long ones: first, growth, integration, restart
    BOULDER_DIR=~/boulder .venv/bin/python benchmarks/compare.py --only warm,again --pairs 9

Each pair is one run of either, one right after the other, in turns, so that what else the machine does meets both. It uses a
cluster of its own (KIND_CLUSTER, default boulder-bench; BOULDER_PORTS as usual) and the checkout's Compose project, and removes
both at its end. Nothing here decides whether a test passes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from growth import growth
from memory import memory
from sides import (
    CHECKOUT,
    CLUSTER,
    ENVIRONMENT,
    PYTHON,
    ROOT,
    SETTLE,
    compose,
    invoke,
    pairs,
    phases,
    row,
    seconds,
    t_sh,
    wrapper,
)

BARE = f"{CLUSTER}-bare"
EDITED = "wfe2/wfe.go"  # gets a comment at its end, and its content back afterwards


def warm(count: int) -> list[str]:
    """The run of forty times a day."""
    t_sh("--help")
    wrapper("--help")
    ours, theirs = pairs(count, lambda: wrapper("--help"), lambda: t_sh("--help"))
    profile = ", ".join(f"{name} {value:.2f} s" for name, value in phases().items())
    return [row("`tk8s.sh --help`, all up", ours, theirs, "`t.sh --help`"), f"phases of the last of them: {profile}"]


def again(count: int) -> list[str]:
    """`up` when all is up, beside Compose's."""
    invoke("up")
    compose("up", "--detach", "--no-recreate", "bmariadb")
    ours, theirs = pairs(
        count, lambda: invoke("up"), lambda: seconds("docker", "compose", "up", "--detach", "bmariadb", cwd=CHECKOUT)
    )
    return [row("`invoke up`, all up", ours, theirs, "`docker compose up -d`, one service")]


def edited(change: Callable[[], float], directory: str) -> float:
    """From a saved file to the answer of the new Boulder: the change of a comment, then a restart."""
    with open(CHECKOUT / EDITED, "a") as file:
        file.write(f"// {time.time()}\n")
    begun = time.monotonic()
    change()
    while subprocess.run(["curl", "--silent", "--fail", "--output", os.devnull, directory]).returncode:
        time.sleep(0.1)
    return time.monotonic() - begun


def restart(count: int) -> list[str]:
    """What an edit costs. Both are up at the same time, so BOULDER_PORTS must name other ports than Compose's."""
    before = (CHECKOUT / EDITED).read_bytes()
    port = ENVIRONMENT.get("BOULDER_PORTS", "4001:4001").partition(":")[0]
    if port == "4001":
        sys.exit("restart: Compose has port 4001. Set BOULDER_PORTS=14001:4001,14003:4003.")
    try:
        invoke("up")
        compose("up", "--detach")
        edited(lambda: 0.0, "http://localhost:4001/directory")
        ours, theirs = pairs(
            count,
            lambda: edited(lambda: invoke("restart", "boulder"), f"http://localhost:{port}/directory"),
            lambda: edited(lambda: compose("restart", "boulder"), "http://localhost:4001/directory"),
        )
    finally:
        (CHECKOUT / EDITED).write_bytes(before)
    return [row("edit, `restart boulder`, answer", ours, theirs, "`docker compose restart boulder`, answer")]


def bare_cluster() -> float:
    """kind's own time for a node with nothing on it, configured as ours but for ports, the checkout and kept images."""
    document = yaml.safe_load((ROOT / ".state/clusters" / CLUSTER / "kind.yaml").read_text())
    node = document["nodes"][0]
    node.pop("extraPortMappings", None)
    node["extraMounts"] = [mount for mount in node["extraMounts"] if mount["containerPath"] == "/static-pods"]
    configuration = ROOT / ".state" / "bench-kind.yaml"
    configuration.write_text(yaml.safe_dump(document))
    kind = next(iter(sorted((ROOT / ".state/bin").glob("kind*"))), Path("kind"))
    kubeconfig = ROOT / ".state" / "bench.kubeconfig"
    named = ["--name", BARE, "--kubeconfig", str(kubeconfig)]
    taken = seconds(str(kind), "create", "cluster", *named, "--config", str(configuration))
    seconds(str(kind), "delete", "cluster", *named)
    return taken


def cold_up() -> float:
    """From no cluster to dependencies that are ready: `test.sh --help` needs just them."""
    invoke("down")
    wrapper("--help")
    found = phases()
    return sum(found[name] for name in ("cluster", "images", "dependencies"))


def cold(count: int) -> list[str]:
    """From no cluster, images known to the engine."""
    cold_up()  # the first one loads the images
    ours, theirs = pairs(count, cold_up, bare_cluster)
    profile = ", ".join(f"{name} {value:.1f} s" for name, value in phases().items())
    return [
        row("cold start to dependencies ready", ours, theirs, "`kind create cluster`, bare"),
        f"phases of the last: {profile}",
    ]


def first(count: int) -> list[str]:
    """From no cluster and no volume, images known to the engine: beside the stream that brings them to the node, of the same run."""
    ours, theirs = [], []
    for _ in range(count):
        invoke("down", "--images")
        wrapper("--help")
        found = phases()
        ours.append(sum(found[name] for name in ("cluster", "images", "dependencies")))
        theirs.append(found["images"])
    return [row("first cold start, no image on the node", ours, theirs, "its one stream of images")]


def down_after_up() -> float:
    wrapper("--help")
    return invoke("down")


def compose_down_after_up() -> float:
    t_sh("--help")
    return compose("down", "--volumes")


def down(count: int) -> list[str]:
    ours, theirs = pairs(count, down_after_up, compose_down_after_up)
    return [row("`invoke down`", ours, theirs, "`docker compose down -v`")]


def imports(count: int) -> list[str]:
    def started(code: str) -> float:
        return seconds(PYTHON, "-c", code)

    ours, theirs = pairs(max(count, 9), lambda: started("import boulder_k8s.__main__"), lambda: started("pass"))
    return [row("start of Python and imports", ours, theirs, "`python -c pass`")]


def suite() -> float:
    compose("down", "--volumes")
    wrapper("--help")
    time.sleep(SETTLE)
    return wrapper("--integration")


def compose_suite() -> float:
    invoke("down")
    t_sh("--help")
    time.sleep(SETTLE)
    return t_sh("--integration")


def integration(count: int) -> list[str]:
    """Each alone on the machine: minutes long, so that what the other's idle stack takes of the processor would count."""
    ours, theirs = pairs(count, suite, compose_suite)
    return [row("`--integration`", ours, theirs, "`t.sh`")]


ROWS = {
    "imports": imports,
    "warm": warm,
    "again": again,
    "memory": memory,
    "down": down,
    "cold": cold,
    "first": first,
    "growth": growth,
    "restart": restart,
    "integration": integration,
}


LONG = ("first", "growth", "integration", "restart")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", default=",".join(name for name in ROWS if name not in LONG))
    options = parser.parse_args()
    print(
        "| work | beside | here | there | ratio | difference | pairs | range here / there |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    notes = []
    try:
        for name in options.only.split(","):
            for line in ROWS[name](options.pairs):
                print(line, flush=True) if line.startswith("|") else notes.append(f"{name}: {line}")
    finally:
        invoke("down")
        compose("down", "--volumes")
    print(*notes, sep="\n")


if __name__ == "__main__":
    main()
