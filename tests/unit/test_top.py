"""`invoke top`: which processes are whose."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.api_server import ApiServer
from support.programs import Programs

from boulder_k8s.commands import top
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.names import NAME
from boulder_k8s.host.settings import Settings
from boulder_k8s.host.tools import Tools

LISTED = """USER             PID    PPID STIME     TIME CGROUP                                   COMMAND
root               1       0 20:00 00:00:01 0::/init.scope                           /sbin/init
root             900     880 20:01 00:00:02 0::/kubelet.slice/cri-containerd-c0.scope consul agent -dev
100              901     900 20:01 00:00:00 0::/kubelet.slice/cri-containerd-c0.scope sleep  10
999             1000     990 20:02 00:00:03 0::/kubelet.slice/cri-containerd-m0.scope mariadbd
"""


@pytest.fixture
def settings(settings: Settings, server: ApiServer, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A node that runs Consul and MariaDB."""
    settings.state.mkdir(parents=True)
    server.write_kubeconfig(settings.kubeconfig)
    monkeypatch.setattr(top.tools, "find", lambda _: Tools(Path("/kind"), Path("/kubectl")))
    monkeypatch.setattr(top.Cluster, "require_running", lambda _: None)
    monkeypatch.setattr(top.Cluster, "is_running", lambda _: True)
    monkeypatch.setenv("BOULDER_DIR", "/nowhere")
    (programs.directory / "listed").write_text(LISTED)
    programs.answer("docker", "exec unit-control-plane ps", "cat $cd/listed")
    for name, identity in (("bconsul", "c0"), ("bmariadb", "m0")):
        labels = {NAME: name, "app.kubernetes.io/part-of": "boulder"}
        server.add(
            {
                "kind": "Pod",
                "metadata": {"name": f"{name}-0", "labels": labels},
                "spec": {"containers": [{"name": name}]},
            }
        )
        server.change(
            "Pod",
            f"{name}-0",
            {"status": {"containerStatuses": [{"name": name, "containerID": f"containerd://{identity}"}]}},
        )
    return settings


def test_each_service_has_its_own_processes(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    top.top(settings, [])
    shown = capsys.readouterr().out
    consul, mariadb = shown.split("bmariadb (bmariadb-0)")
    assert consul.startswith("bconsul (bconsul-0)\nUID ")
    assert ("consul agent -dev" in consul, "sleep  10" in consul, "mariadbd" in consul) == (True, True, False)
    assert "mariadbd" in mariadb and "/sbin/init" not in shown
    top.top(settings, ["bmariadb"])
    assert "consul" not in capsys.readouterr().out


def test_what_does_not_run_or_is_no_service_is_said(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    top.top(settings, ["bjaeger"])
    assert "nothing of that runs" in capsys.readouterr().err
    with pytest.raises(Problem, match="There is no service bjager"):
        top.top(settings, ["bjager"])
