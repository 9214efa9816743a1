"""This project and Docker Compose side by side on one checkout: medians of pairs, and their ratio, as a Markdown table.

    BOULDER_DIR=~/boulder .venv/bin/python benchmarks/compare.py                    # everything but the two long ones: first, integration
    BOULDER_DIR=~/boulder .venv/bin/python benchmarks/compare.py --only warm,up --pairs 9

Each pair is one run of either, one right after the other, in turns, so that what else the machine does meets both. It uses a
cluster of its own (KIND_CLUSTER, default boulder-bench; BOULDER_PORTS as usual) and the checkout's Compose project, and removes
both at its end. Nothing here decides whether a test passes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
CHECKOUT = Path(os.environ.get("BOULDER_DIR") or ROOT / ".boulder").resolve()
CLUSTER = os.environ.get("KIND_CLUSTER") or "boulder-bench"
BARE = f"{CLUSTER}-bare"
ENVIRONMENT = {**os.environ, "BOULDER_DIR": str(CHECKOUT), "KIND_CLUSTER": CLUSTER, "CI": "true"}
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)  # some machines' own: every start would compile the package anew
INVOKE = str(ROOT / ".venv/bin/invoke")
SETTLE = 4  # seconds before each measured command: what the one before it left to be done is done, and disturbs neither
PYTHON = str(ROOT / ".venv/bin/python")


def seconds(*command: str, cwd: Path = ROOT) -> float:
    """How long a command takes that must succeed."""
    begun = time.monotonic()
    result = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    taken = time.monotonic() - begun
    if result.returncode:
        sys.exit(
            f"{' '.join(command)} ended with {result.returncode}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}"
        )
    return taken


def wrapper(*arguments: str) -> float:
    return seconds(str(ROOT / "tk8s.sh"), *arguments)


def t_sh(*arguments: str) -> float:
    return seconds(str(CHECKOUT / "t.sh"), *arguments)


def compose(*arguments: str) -> float:
    return seconds("docker", "compose", "--profile", "*", *arguments, cwd=CHECKOUT)


def invoke(*arguments: str) -> float:
    return seconds(INVOKE, *arguments)


def pairs(count: int, ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[list[float], list[float]]:
    """`count` runs of each, in turns; the order changes from pair to pair."""
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(count):
        for side in (0, 1) if number % 2 else (1, 0):
            time.sleep(SETTLE)
            found[side].append((ours, theirs)[side]())
    return found


def phases() -> dict[str, float]:
    """The phases of the newest run, in seconds."""
    return json.loads((ROOT / ".runs/latest/run.json").read_text())["phases"]


def row(what: str, ours: list[float], theirs: list[float], other: str) -> str:
    a, b = statistics.median(ours), statistics.median(theirs)
    spread = f"{min(ours):.2f}-{max(ours):.2f} / {min(theirs):.2f}-{max(theirs):.2f}"
    return f"| {what} | {other} | {a:.2f} s | {b:.2f} s | {a / b:.2f} | {a - b:+.2f} s | {len(ours)} | {spread} |"


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


def bare_cluster() -> float:
    """kind's own time for a node with nothing on it, configured as ours but for mounts and ports."""
    document = yaml.safe_load((ROOT / ".state" / CLUSTER / "kind.yaml").read_text())
    for key in ("extraMounts", "extraPortMappings"):
        document["nodes"][0].pop(key, None)
    configuration = ROOT / ".state" / "bench-kind.yaml"
    configuration.write_text(yaml.safe_dump(document))
    kind = next(iter(sorted((ROOT / ".state/bin").glob("kind*"))), Path("kind"))
    image = ["--image", os.environ["KIND_NODE_IMAGE"]] if "KIND_NODE_IMAGE" in os.environ else []
    kubeconfig = ROOT / ".state" / "bench.kubeconfig"
    named = ["--name", BARE, "--kubeconfig", str(kubeconfig)]
    taken = seconds(str(kind), "create", "cluster", *named, *image, "--config", str(configuration))
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
    "integration": integration,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", default=",".join(name for name in ROWS if name not in ("first", "integration")))
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
