"""The house: each module fits in one head."""

from __future__ import annotations

import pytest

from boulder_k8s.host.settings import ROOT

MODULES = [
    path
    for path in sorted([*(ROOT / "boulder_k8s").rglob("*.py"), ROOT / "tasks.py"])
    # Programs that run inside a container are one file each.
    if path.parent.name != "pod" and path.name != "in_container.py"
]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_has_at_most_250_lines(path) -> None:
    assert len(path.read_text().splitlines()) <= 250
