"""What a node was told of its network is told again if this project says otherwise now."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from boulder_k8s.cluster import network
from boulder_k8s.commands import networks
from boulder_k8s.host import state
from boulder_k8s.host.settings import ROOT, Settings


@pytest.mark.parametrize("change", ["our code", "a corefile", "the ranges"])
def test_a_node_that_outlives_an_update_gets_the_new_rules(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    shutil.copytree(ROOT / "k8s/cluster", settings.root / "k8s/cluster")
    source = tmp_path / "network.py"
    shutil.copy(network.__file__, source)
    monkeypatch.setattr(network, "__file__", str(source))
    told: list[str] = []
    monkeypatch.setattr(network, "refuse_dead_pods", lambda _: told.append("route") or "a subnet")
    monkeypatch.setattr(network, "follow_dns", lambda *_: bool(told.append("dns")))
    monkeypatch.setattr(network, "refuse_closed_ports", lambda *_: told.append("closed") or ["an address"])

    def once(name: str, ask: Any, also: Any = None) -> Any:  # Stack.once_a_start, of one start of one node
        return state.remembered(settings.file(name), ["node", "start", also], ask)

    def command() -> list[str]:
        told.clear()
        document = {"services": {}, "networks": {}}
        networks.prepare(once, settings, None, document)
        networks.refuse_closed_ports(once, settings, [], document)
        return sorted(told)

    assert [command(), command()] == [["closed", "dns", "route"], []]
    changed = {"our code": source, "a corefile": settings.root / "k8s/cluster/search.corefile"}
    path = changed.get(change, settings.root / "k8s/cluster/kind.yaml")
    path.write_text(path.read_text() + "\n# changed\n")
    assert command() == ["closed", "dns", "route"]
