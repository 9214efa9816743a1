"""A Boulder that another cluster of this project runs with the same checkout is named, and its advice ends it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.api_server import ApiServer
from support.programs import Programs

from boulder_k8s.commands import lifecycle, neighbours, working
from boulder_k8s.commands.arguments import Options
from boulder_k8s.host import state
from boulder_k8s.host.names import NAME
from boulder_k8s.host.settings import Settings
from boulder_k8s.host.tools import Tools

TOOLS = Tools(Path("/kind"), Path("/kubectl"))


@pytest.fixture
def other(settings: Settings, server: ApiServer, checkout: Path, programs: Programs, monkeypatch) -> Settings:
    """Another cluster of the project, where Boulder is up with the checkout."""
    found = replace(settings, cluster="other")
    state.write(found.file("cluster"), {"path": str(checkout)})
    state.write(found.file("boulder"), {})
    server.write_kubeconfig(found.kubeconfig, found.context)
    labels = {NAME: "boulder", "app.kubernetes.io/part-of": "boulder"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "boulder", "image": "b", "env": []}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    server.add({"kind": "Deployment", "metadata": {"name": "boulder", "labels": labels}, "spec": spec})
    node(programs, settings)
    monkeypatch.setattr(lifecycle.tools, "find", lambda _: TOOLS)
    monkeypatch.setenv("BOULDER_DIR", "/nowhere")
    return found


def node(programs: Programs, settings: Settings, **status: bool) -> None:
    mounts = [{"Type": "bind", "Source": str(settings.runs), "Destination": "/runs"}]
    found = {"Id": "x", "State": {"Running": True, "Paused": False, **status}, "Mounts": mounts}
    programs.answer("docker", "container inspect other-control-plane", f"echo '{json.dumps([found])}'")


def said(settings: Settings, checkout: Path, capsys) -> list[str]:
    neighbours.tell(settings, TOOLS, checkout)
    return capsys.readouterr().err.splitlines()


def test_it_is_named_until_its_advice_is_followed(settings, other, checkout, capsys, tmp_path) -> None:
    (line,) = said(settings, checkout, capsys)
    assert "Boulder is up on cluster other with this checkout" in line and "test/certs" in line
    command = re.search(r"`KIND_CLUSTER=(\S+) invoke (\S+) (\S+)`", line)
    assert command.groups() == ("other", "stop", "boulder")
    assert said(settings, tmp_path, capsys) == []  # another checkout
    assert said(other, checkout, capsys) == []  # its own
    lifecycle.stop(other, ["boulder"])
    capsys.readouterr()
    assert said(settings, checkout, capsys) == []


@pytest.mark.parametrize("status", [{"Running": False}, {"Paused": True}])
def test_a_node_that_does_not_run_is_asked_nothing(
    settings, other, checkout, capsys, server: ApiServer, programs: Programs, status: dict
) -> None:
    node(programs, settings, **status)
    assert said(settings, checkout, capsys) == [] and server.requests == []


@pytest.mark.parametrize(
    "how", ["no node", "another project's", "no kubeconfig", "an API server that is gone", "half a file"]
)
def test_what_cannot_be_asked_stops_nothing(
    settings, other, checkout, capsys, server: ApiServer, programs: Programs, how: str
) -> None:
    assert len(said(settings, checkout, capsys)) == 1
    if how == "no node":
        programs.answer("docker", "container inspect", "echo 'Error: No such container: x' >&2; exit 1")
    elif how == "another project's":
        node(programs, replace(settings, root=checkout))
    elif how == "no kubeconfig":
        other.kubeconfig.unlink()
    elif how == "an API server that is gone":
        server.fail("GET", "/deployments/boulder", status=503, times=None)
    else:
        other.file("boulder").write_text("{")
        other.file("cluster").write_text('{"key": null, "answ')
    assert said(settings, checkout, capsys) == []


def test_every_command_that_uses_the_checkout_says_it(settings, other, checkout, capsys, monkeypatch) -> None:
    monkeypatch.setattr(working.fitness, "check", lambda *_: None)
    monkeypatch.setattr(working.tools, "find", lambda _: TOOLS)
    monkeypatch.setattr(working.Cluster, "api", property(lambda _: type("Api", (), {"preload": lambda _: None})()))
    monkeypatch.setattr(working.Stack, "of", lambda *_: None)
    monkeypatch.setattr(working.neighbours, "tell", lambda _, __, path: print("told", path))
    with working.working(settings, "x", None, Options(environ={"BOULDER_DIR": str(checkout)})):
        assert capsys.readouterr().out == f"told {checkout}\n"
