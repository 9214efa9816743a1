"""Compares what a program in the Boulder container sees under Compose and under Kubernetes."""

from __future__ import annotations

import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..host import process
from ..host.errors import Problem
from ..host.progress import step
from ..manifests.differences import Difference
from . import dependencies, in_container, terminal, times
from .in_container import GO_ON, READY, REPORT
from .orchestrators import COMPOSE, Orchestrator

PART = "probe"
ABSENT = "absent"
# Tries TCP ports from a service's container; its image may have bash, or an nc (BusyBox's or another).
TRY_PORTS = """
if command -v bash >/dev/null; then try() { timeout 2 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; }
elif command -v nc >/dev/null; then # BusyBox's may lack -z
  try() { nc -z -w 2 "$1" "$2" 2>/dev/null || nc -w 2 "$1" "$2" -e true 2>/dev/null; }
else echo "neither bash nor nc" >&2; exit 1; fi
for endpoint; do
  if try "${endpoint%:*}" "${endpoint##*:}"; then echo "$endpoint answers"; else echo "$endpoint does not"; fi
done
"""
# Where the dependencies listen, according to test/config, test/proxysql, start.py and Compose's images.
DEPENDENCIES = (
    "boulder-mariadb:3306",
    "bmariadb:3306",
    "boulder-proxysql:6033",
    "10.77.77.4:4218",
    "10.77.77.5:4218",
    "10.77.77.10:53",
    "10.77.77.10:8500",
    "bjaeger:4317",
    "boulder-minio:9000",
    "boulder-vitess:33577",
)
WITHOUT_SHELL_SIDE = {"boulder", "bsetup", "bpkimetal"}  # runs the script; does not run; has no network
NOT_RUNNING = {"boulder", "bsetup"}  # is probed by the script; does not run
ENDED = re.compile(
    r"is not running$|completed pod"
)  # what docker and kubectl say of a container that has run to its end
TIMED = "seconds: "  # begins a subject whose facts are seconds


def take(
    orchestrator: Orchestrator, services: list[str], names: list[str], directory: Path
) -> dict[str, dict[str, str]]:
    """Runs the script in a fresh Boulder container; returns its report, with what the dependencies' containers are and
    reach, and what a program sees of a terminal.

    services: their names in Compose. names: every host name in docker-compose.yml. directory: gets the output. Raises
    Problem if the container cannot run or ends without a report.
    """
    source = Path(in_container.__file__).read_text()
    command = orchestrator.boulder(["python3", "-c", source, ",".join(names)])
    orchestrator.prepare()
    log = directory / f"probe-{orchestrator.name.lower()}.log"
    with (
        step(f"probing under {orchestrator.name}") as show,
        log.open("w") as stderr,
        process.started(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            errors="replace",
            env=orchestrator.environ,
            cwd=orchestrator.checkout.path,
        ) as child,
    ):
        lines, seen = [], {}
        for line in child.stdout:
            if line.startswith(READY):
                ports = sorted({int(address.rpartition(":")[2]) for address in json.loads(line.removeprefix(READY))})
                wanted = [*(f"10.77.77.77:{port}" for port in ports), *DEPENDENCIES]
                show("ports from every dependency")
                seen = from_every_side(orchestrator, sorted(set(services) - WITHOUT_SHELL_SIDE), wanted)
                seen |= dependencies.take(orchestrator, sorted(set(services) - NOT_RUNNING))
                process.run(orchestrator.exec("boulder", ["touch", GO_ON]), cwd=orchestrator.checkout.path)
            elif line.startswith(REPORT):
                report = json.loads(line.removeprefix(REPORT)) | seen
                child.wait()
                show("a terminal")
                report["terminal"] = terminal.take(orchestrator)
                (directory / f"probe-{orchestrator.name.lower()}.json").write_text(json.dumps(report, indent=1))
                return report
            else:
                lines.append(line.rstrip())
        code = child.wait()
    raise Problem(
        f"The probe under {orchestrator.name} ended with {code} and without a report.",
        f"See {log} and the lines above; {'./t.sh' if orchestrator.name == COMPOSE else './tk8s.sh'} --start-py should work.",
        "\n".join([*lines[-15:], *log.read_text(errors="replace").splitlines()[-15:]]),
    )


def from_every_side(orchestrator: Orchestrator, services: list[str], endpoints: list[str]) -> dict[str, dict[str, str]]:
    """Returns which endpoints answer in the container of each service: the key is "from SERVICE"."""
    with ThreadPoolExecutor(len(services) or 1) as pool:  # an endpoint that does not answer takes 2 s
        found = pool.map(lambda service: reached(orchestrator, service, endpoints), services)
        return {f"from {service}": answers for service, answers in zip(services, found, strict=True)}


def reached(orchestrator: Orchestrator, service: str, endpoints: list[str]) -> dict[str, str]:
    """Returns which endpoints answer in the container of a service."""
    try:
        command = orchestrator.exec(service, ["sh", "-c", TRY_PORTS, "sh", *endpoints])
        output = process.run(command, cwd=orchestrator.checkout.path, env=orchestrator.environ, timeout=300)
    except (Problem, process.Failed, subprocess.TimeoutExpired) as error:
        last = str(error).splitlines()[-1]
        return {"container": f"cannot be asked: {'it has ended' if ENDED.search(last) else last}"}
    found = dict(line.partition(" ")[::2] for line in output.splitlines())
    if "answers" not in found.values():  # every service reaches some endpoint, so the attempt itself has failed
        return {"container": "cannot be asked: nothing answers"}
    return found


def compare(under_compose: dict[str, dict[str, str]], under_kubernetes: dict[str, dict[str, str]]) -> list[Difference]:
    """Returns one Difference for each fact that is not the same; a fact in seconds, by the rule of `times.slower`."""
    found = []
    for subject in sorted({*under_compose, *under_kubernetes}):
        one, other = under_compose.get(subject, {}), under_kubernetes.get(subject, {})
        for aspect in sorted({*one, *other}):
            values = one.get(aspect, ABSENT), other.get(aspect, ABSENT)
            if subject.startswith(TIMED) and ABSENT not in values:
                if times.slower(*map(float, values)):
                    found.append(Difference(PART, subject, aspect, *(times.shown(float(value)) for value in values)))
            elif values[0] != values[1]:
                found.append(Difference(PART, subject, aspect, *values))
    return found


def count_facts(report: dict[str, dict[str, str]]) -> int:
    """Returns how many facts a report holds."""
    return sum(len(aspects) for aspects in report.values())
