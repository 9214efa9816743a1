"""What the first process of each dependency's container is: its user, limits and rights, and the proxies it is told of."""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

from ..host import process
from ..host.errors import Problem
from .orchestrators import Orchestrator

STATUS = "oom_score_adj Name Uid Gid Groups Umask SigIgn CapEff CapPrm CapBnd CapAmb NoNewPrivs Seccomp Seccomp_filters".split()
PROXIES = (
    "http_proxy https_proxy ftp_proxy no_proxy all_proxy".split()
)  # what Docker's client sets from its config.json
LIMIT = re.compile(r"^Max (\S+(?: \S+)*?) {2,}(\S+) +(\S+)")  # proc(5), /proc/pid/limits
# The shell's own commands alone: not every image has cat or grep.
SHOW = """
for file in status limits; do while read -r line; do echo "$line"; done </proc/1/$file; done
read -r line </proc/1/oom_score_adj; echo "oom_score_adj: $line"
for name; do eval "echo \\"proxy $name: \\${$name-absent}\\""; done
"""


def take(orchestrator: Orchestrator, services: list[str]) -> dict[str, dict[str, str]]:
    """Returns the facts about the container of each service: the key is "inside SERVICE".

    A container without a shell has the one fact that it cannot be asked.
    """
    with ThreadPoolExecutor(len(services) or 1) as pool:
        found = pool.map(lambda service: asked(orchestrator, service), services)
        return {f"inside {service}": facts for service, facts in zip(services, found, strict=True)}


def asked(orchestrator: Orchestrator, service: str) -> dict[str, str]:
    """Returns the facts about the container of one service."""
    names = [name for lower in PROXIES for name in (lower, lower.upper())]
    try:
        command = orchestrator.exec(service, ["sh", "-c", SHOW, "sh", *names])
        output = process.run(command, cwd=orchestrator.checkout.path, env=orchestrator.environ, timeout=60)
    except Problem as problem:
        return {"container": f"cannot be asked: {problem.message}"}
    except (process.Failed, subprocess.TimeoutExpired):  # Docker and Kubernetes say it in different words
        return {"container": "cannot be asked: no shell"}
    return facts_of(output)


def facts_of(output: str) -> dict[str, str]:
    """Returns what SHOW has printed, by name; a limit has its soft and its hard value."""
    found = {}
    for line in output.splitlines():
        name, _, value = line.partition(":")
        if match := LIMIT.match(line):
            found[f"limit of {match[1]}"] = f"{match[2]} {match[3]}"
        elif name in STATUS or name.startswith("proxy "):
            found[name] = " ".join(value.split())
    return found
