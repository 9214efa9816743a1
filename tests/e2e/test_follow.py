"""A checkout whose Compose file has services that k8s/base does not know."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml
from support.e2e import NEW, Project, eventually, override


@pytest.fixture
def following(stack: Project) -> Iterator[Project]:
    assert stack.run("--exit=0").returncode == 0
    yield stack
    (stack.checkout / "docker-compose.override.yml").unlink(missing_ok=True)
    assert stack.run("--exit=0").returncode == 0  # and the new services are gone


def test_services_that_the_base_does_not_know_come_fail_recover_and_go(following: Project) -> None:
    override(following, NEW)
    came = following.run("--exit=7")
    assert came.returncode == 7, came.stderr.decode()
    # What runs to its end does so before each run, as under Compose.
    again = following.invoke(
        "run", "--", "bash", "-c", "exec 3<>/dev/tcp/boulder-new/4321; echo GET ran >&3; head -2 <&3"
    )
    assert again.stdout.split() == [b"$1", b"2"], again.stderr.decode()
    broken = {**NEW["bnew-init"], "entrypoint": ["redis-cli", "-e", "-h", "boulder-new", "-p", "4322", "ping"]}
    override(following, {**NEW, "bnew-init": broken})
    failed = following.run("--exit=7")
    assert failed.returncode == 2
    assert b"container bnew-init) cannot start" in failed.stderr and b"Connection refused" in failed.stderr
    override(following, NEW)
    assert following.run("--exit=7").returncode == 7
    (following.checkout / "docker-compose.override.yml").unlink()
    gone = following.run("--exit=7")
    assert gone.returncode == 7
    assert b"removing what the checkout no longer has: bnew, bnew-init, boulder-new" in gone.stderr


def test_a_service_that_the_base_knows_changes_and_gets_a_network_of_another_range(following: Project) -> None:
    """The command reads its configuration from the whole mount, and the address is one of a range that the cluster has not had."""
    changed = {
        "bredis_1": {
            "command": "redis-server /test/redis-ratelimits.config --save 60 5",
            "healthcheck": {"test": ["CMD-SHELL", "test -d /test/config"]},
            "networks": {"third": {"ipv4_address": "172.30.5.4"}},
        },
        "boulder": {"networks": {"third": {"ipv4_address": "172.30.5.77"}}},
    }
    text = {"services": changed, "networks": {"third": {"ipam": {"config": [{"subnet": "172.30.5.0/24"}]}}}}
    (following.checkout / "docker-compose.override.yml").write_text(yaml.safe_dump(text))
    script = """
        for address in 10.77.77.4 172.30.5.4; do
            timeout 5 bash -c ": </dev/tcp/$address/4218" && echo $address
        done
        python3 -c 'import socket; socket.socket().bind(("172.30.5.77", 80)); print("bound")'
    """
    came = following.invoke("run", "--", "bash", "-c", script)
    assert came.stdout.decode().split() == ["10.77.77.4", "172.30.5.4", "bound"], came.stderr.decode()
    assert "--save" in following.kubectl("get", "statefulset", "bredis-1", "--output=jsonpath={..args}")
    (following.checkout / "docker-compose.override.yml").unlink()
    assert following.run("--exit=7").returncode == 7
    # Kubernetes lets go of a range some seconds after the last Service of it.
    eventually(lambda: "172-30-5" not in following.kubectl("get", "servicecidr", "--output=name"), "the range is gone")
