"""Docker's Compose plugin, where this machine has it."""

from __future__ import annotations

import shutil
import subprocess

import pytest


@pytest.fixture(scope="session")
def docker_compose() -> None:
    """Compose resolves its own files, for which no engine is needed. Without it the end-to-end tests cover the same."""
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not here: install Docker with its Compose plugin")
