"""The resolver that the machine has: one that answers every name, and one that never answers, make no difference to tests.

Needs the lab's resolver, which `tests/lab/lab internet` switches (tests/lab/README.md).
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.e2e import LIMIT, ROOT, Project

RESOLVER = "198.51.100.53"


def internet(state: str) -> None:
    subprocess.run([ROOT / "tests/lab/lab", "internet", state], check=True, timeout=60)


@pytest.fixture
def silent(stack: Project) -> Iterator[Project]:
    """The project on a machine whose resolver takes questions and never answers, as in a train."""
    assert stack.run("--exit=0").returncode == 0
    if RESOLVER not in stack.node("cat", "/etc/resolv.conf"):
        pytest.skip(f"containers here do not ask the lab's resolver; on Debian, run: {ROOT}/check --lab")
    internet("silent")
    yield stack
    internet("answering")


def compose(project: Project, *command: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command,
        cwd=project.checkout,
        env=project.env(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LIMIT,
    )


def start_consul_under_compose(project: Project) -> None:
    """Boulder asks Consul's DNS once, as under Compose after it has compiled: Consul has been up for long. The miniature compiles
    nothing, so it may ask before Consul has elected itself."""
    started = compose(project, "docker", "compose", "up", "--detach", "bconsul")
    assert started.returncode == 0, started.stderr
    asked = ["docker", "compose", "exec", "-T", "bconsul", "nslookup", "publisher.service.consul", "10.77.77.10"]
    deadline = time.monotonic() + 60
    while (answer := compose(project, *asked)).returncode:
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)


def test_boulder_starts_without_a_resolver_that_answers(silent: Project) -> None:
    try:
        start_consul_under_compose(silent)
        there = compose(silent, silent.checkout / "t.sh", "--start-py")
    finally:
        removed = compose(silent, "docker", "compose", "down", "--volumes")
    assert removed.returncode == 0, removed.stderr
    here = silent.run("--start-py")
    assert silent.invoke("down").returncode == 0
    from_nothing = silent.run("--start-py")
    for result in (there, here, from_nothing):
        assert result.returncode == 0, (result.args, result.stdout[-4000:], result.stderr[-4000:])
        assert b"SUCCESS" in result.stdout
