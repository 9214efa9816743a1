"""The real Boulder for tests/real."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.real import PUBLISHED, Boulder, free_ports, is_boulder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.real)
        item.add_marker(pytest.mark.timeout(3600))  # every command has a limit of its own


@pytest.fixture(scope="session")
def boulder() -> Iterator[Boulder]:
    checkout = Path(os.environ.get("BOULDER_DIR") or "/nonexistent").resolve()
    if not is_boulder(checkout):
        pytest.skip("BOULDER_DIR names no checkout of Boulder itself")
    found = Boulder(checkout, dict(zip(PUBLISHED, free_ports(len(PUBLISHED)), strict=True)))
    yield found
    found.invoke("down", "--images")
