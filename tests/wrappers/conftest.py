"""The wrappers' tests' machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.api_server import ApiServer
from support.machine import FAKES, Machine, borrow_environment

from boulder_k8s.host.settings import ROOT


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    project = tmp_path / "project"
    tracked = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "-z"], check=True, capture_output=True, text=True
    ).stdout
    for name in tracked.split("\0"):
        if name and not name.startswith("tests/") and (ROOT / name).exists():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, project / name)
    borrow_environment(project / ".venv")
    os.utime(project / "requirements.txt", (0, 0))  # older than the environment: nothing to install
    checkout = tmp_path / "boulder"
    shutil.copytree(ROOT / "tests/fixtures/boulder", checkout)
    for name in (
        "minica.pem",
        "minica-key.pem",
        "redis/cert.pem",
        "redis/key.pem",
        "consul.boulder/cert.pem",
        "consul.boulder/key.pem",
    ):
        (checkout / "test/certs/ipki" / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / "test/certs/ipki" / name).touch()
    state = tmp_path / "state"
    (state / "bin").mkdir(parents=True)
    for tool in ("docker", "kind", "kubectl"):
        fake = state / "bin" / tool
        fake.write_text(f"#!{sys.executable} -I\n" + (FAKES / f"{tool}.py").read_text())
        fake.chmod(0o755)
    (state / "kubectl-real").symlink_to(Path(sys.prefix) / "bin/kubectl")
    with ApiServer(namespaces=()) as api:
        (state / "api-url").write_text(api.url)
        found = Machine(project, checkout, state, api)
        api.controller.on_pod.append(found.start_pod)
        yield found


@pytest.fixture(autouse=True)
def told(machine: Machine) -> None:
    machine.tell("runs", str(machine.project / ".runs"))
    machine.tell("exit-code", "0")
