"""A checkout whose Compose file has services that k8s/base does not know."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml
from support.e2e import Project

NEW = {
    "boulder": {
        "depends_on": {
            "bnew": {"condition": "service_healthy"},
            "bnew-init": {"condition": "service_completed_successfully"},
        }
    },
    "bnew": {
        "image": "redis:7.0.15",
        "command": "redis-server --port 4321 --protected-mode no",
        "volumes": ["data:/data", "./test:/test:ro"],
        "healthcheck": {"test": ["CMD", "redis-cli", "-p", "4321", "ping"]},
        "networks": {"bouldernet": {"aliases": ["boulder-new"]}},
    },
    "bnew-init": {
        "image": "redis:7.0.15",
        "depends_on": {"bnew": {"condition": "service_healthy"}},
        "entrypoint": ["redis-cli", "-e", "-h", "boulder-new", "-p", "4321", "set", "done", "yes"],
        "networks": ["bouldernet"],
    },
    "client": {"image": "nobody.invalid/has-this:1", "devices": ["/dev/null:/dev/null"]},
}


@pytest.fixture
def following(stack: Project) -> Iterator[Project]:
    assert stack.run("--exit=0").returncode == 0
    yield stack
    (stack.checkout / "docker-compose.override.yml").unlink(missing_ok=True)
    assert stack.run("--exit=0").returncode == 0  # and the new services are gone


def override(project: Project, services: dict) -> None:
    text = yaml.safe_dump({"services": services, "volumes": {"data": {}}})
    (project.checkout / "docker-compose.override.yml").write_text(text)


def test_services_that_the_base_does_not_know_come_fail_recover_and_go(following: Project) -> None:
    override(following, NEW)
    came = following.run("--exit=7")
    assert came.returncode == 7, came.stderr.decode()
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
