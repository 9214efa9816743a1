"""A real kind cluster with the miniature checkout (tests/fixtures/boulder), shared by all end-to-end tests."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest
from support.e2e import ROOT, Project, free_port, remove_all


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.e2e)
        item.add_marker(pytest.mark.timeout(1200))  # every command has a limit of its own


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    checkout = tmp_path_factory.mktemp("e2e") / "boulder"
    shutil.copytree(ROOT / "tests/fixtures/boulder", checkout, symlinks=True)
    git = ["git", "-C", str(checkout), "-c", "user.name=e2e", "-c", "user.email=e2e@example.invalid"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "The miniature checkout"]):
        subprocess.run([*git, *command], check=True)
    found = Project(checkout, free_port())
    remove_all(found)
    yield found
    remove_all(found)


@pytest.fixture
def stack(project: Project) -> Iterator[Project]:
    """The project, nothing of an earlier test left in the checkout, and afterwards no pod of a run left on the cluster."""
    yield project
    project.end_all()
    project.clean("-qfd")
