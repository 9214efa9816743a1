"""What `invoke up` takes from an ACME client's author arrives in Boulder's pod, and goes with its flag."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.e2e import CLUSTER, Project

LOOK = "echo $FAKE_DNS; getent hosts client.example; cat test/config/new.json; git status --porcelain; true"
# Accepted by the sidecar, whether or not anything listens on this host's port 80.
CONNECT = "import socket; socket.create_connection(('64.112.117.1', 80), 5)"


def test_up_takes_changes_and_goes_back_to_the_checkout(stack: Project, tmp_path: Path) -> None:
    (tmp_path / "new.json").write_text("of my own\n")
    gateway = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}"
    changes = ["--fake-dns", "host-gateway", "--add-host", "client.example:10.77.0.80", "--config-overlay", tmp_path]

    def looked() -> list[str]:
        result = stack.invoke("exec", "--", "sh", "-c", LOOK)
        assert result.returncode == 0, result.stderr
        return [" ".join(line.split()) for line in result.stdout.decode().splitlines()]

    result = stack.invoke("up", *changes)
    assert result.returncode == 0, result.stderr
    host = subprocess.run(
        ["docker", "inspect", "--format", gateway, f"{CLUSTER}-control-plane"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    assert looked()[:3] == ["64.112.117.1", "10.77.0.80 client.example", "of my own"]
    assert stack.record()["overrides"]["FAKE_DNS"] == host
    assert stack.invoke("exec", "--", "python3", "-c", CONNECT).returncode == 0

    assert stack.run("-h").returncode == 0  # stops that Boulder, and starts it again as it was
    assert stack.record()["overrides"] == {}
    stack.kubectl("rollout", "status", "deployment/boulder", "--timeout=120s")
    assert looked()[:3] == ["64.112.117.1", "10.77.0.80 client.example", "of my own"]

    assert stack.invoke("up").returncode == 0
    assert looked() == ["64.112.117.122"]
    assert stack.invoke("exec", "--", "python3", "-c", CONNECT).returncode != 0
    assert not (stack.checkout / "test/config/new.json").exists()
