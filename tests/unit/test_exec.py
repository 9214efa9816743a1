"""`invoke exec` and `shell`: which pod, which words, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.api_server import ApiServer
from support.pods import eventually

from boulder_k8s.commands import exec as module
from boulder_k8s.host import become as become_module
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import Settings
from boulder_k8s.host.tools import Tools


class Became(BaseException):
    """The process would be another program now."""


@pytest.fixture
def settings(settings: Settings, server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A cluster that runs."""
    settings.state.mkdir(parents=True)
    server.write_kubeconfig(settings.kubeconfig)
    monkeypatch.setattr(module.tools, "find", lambda _: Tools(Path("/kind"), Path("/kubectl")))
    monkeypatch.setattr(module.Cluster, "require_running", lambda _: None)
    monkeypatch.setattr(module.Cluster, "is_running", lambda _: True)
    monkeypatch.setenv("BOULDER_DIR", "/nowhere")

    def become(_: str, words: list[str], environment: dict[str, str]) -> None:
        raise Became(words, environment)

    monkeypatch.setattr(os, "execve", become)
    return settings


def add(server: ApiServer, name: str, service: str) -> None:
    labels = {"app.kubernetes.io/name": service}
    server.add(
        {"kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": {"containers": [{"name": service}]}}
    )


def words(settings: Settings, service: str, *command: str) -> list[str]:
    with pytest.raises(Became) as caught:
        module.execute(settings, service, list(command))
    return caught.value.args[0]


def test_the_command_runs_in_the_services_container(settings: Settings, server: ApiServer) -> None:
    add(server, "bredis-1-0", "bredis-1")
    found = words(settings, "bredis_1", "redis-cli", "a b")
    assert found[0] == "/kubectl"
    assert {f"--kubeconfig={settings.kubeconfig}", "--context=kind-unit", "--namespace=boulder"} <= set(found)
    assert found[found.index("exec") :] == [
        *("exec", "bredis-1-0", "--container=bredis-1", "--stdin", "--", "redis-cli", "a b"),
    ]


@pytest.mark.parametrize("kuberc", [None, "off", "on"])
def test_kubectl_takes_what_it_is_given_and_none_of_the_users_preferences(
    settings: Settings, server: ApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kuberc: str | None
) -> None:
    """The user prefers what kubectl would refuse, in a file that it reads of itself."""
    (tmp_path / ".kube").mkdir()
    prefers = {"command": "exec", "options": [{"name": "container", "default": "other"}, {"name": "v", "default": "x"}]}
    file = {"apiVersion": "kubectl.config.k8s.io/v1beta1", "kind": "Preference", "defaults": [prefers]}
    (tmp_path / ".kube/kuberc").write_text(json.dumps(file))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBERC", raising=False)
    if kuberc:
        monkeypatch.setenv("KUBERC", kuberc)
    monkeypatch.setattr(become_module, "OURS", {})
    become_module.set_for_children("KUBERC", "off")  # as commands/cli.py does
    add(server, "bconsul-x", "bconsul")
    with pytest.raises(Became) as caught:
        module.execute(settings, "bconsul", ["true"])
    command, environment = caught.value.args
    assert environment.get("KUBERC") == kuberc
    kubectl = Path(sys.prefix) / "bin/kubectl"
    done = subprocess.run([kubectl, *command[1:]], env=environment, capture_output=True, text=True, timeout=60)
    assert "kuberc" not in done.stderr and "invalid" not in done.stderr
    assert server.asked("GET", "/pods/bconsul-x"), done.stderr


def test_while_tests_run_boulder_is_their_pod(settings: Settings, server: ApiServer, capsys) -> None:
    add(server, "boulder-7d-x", "boulder")
    add(server, "boulder-tests", "boulder")
    assert "boulder-tests" in words(settings, "boulder", "true")
    assert "tests are running" in capsys.readouterr().err


def test_a_service_that_the_base_does_not_know_is_reached_too(settings: Settings, server: ApiServer) -> None:
    labels = {"app.kubernetes.io/name": "bredis-3", "app.kubernetes.io/part-of": "boulder"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "bredis-3"}]}}
    server.add(
        {
            "kind": "Deployment",
            "metadata": {"name": "bredis-3", "labels": labels},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        }
    )
    eventually(lambda: server.store.list("Pod", "boulder"), "its pod")
    assert "--container=bredis-3" in words(settings, "bredis_3", "redis-cli")
    add(server, "bminio-init-x", "bconsul")
    server.change("Pod", "bminio-init-x", {"status": {"phase": "Succeeded"}})
    with pytest.raises(Problem, match="bconsul has run to its end."):
        module.execute(settings, "bconsul", ["true"])


def test_a_service_that_does_not_run_or_is_none_is_refused(settings: Settings, server: ApiServer) -> None:
    for service, command, match in (
        ("bconsul", ["true"], "bconsul does not run"),
        ("nothing", ["true"], "There is no service nothing"),
        ("bconsul", [], "There is no command to run"),
    ):
        with pytest.raises(Problem, match=match):
            module.execute(settings, service, command)
    add(server, "bconsul-x", "bconsul")
    server.change("Pod", "bconsul-x", {"metadata": {"deletionTimestamp": "2026-11-27T00:00:00Z"}})
    with pytest.raises(Problem, match="does not run"):
        module.execute(settings, "bconsul", ["true"])


def test_a_pod_that_is_about_to_run_is_waited_for_whoever_made_it(settings: Settings, server: ApiServer) -> None:
    """A run makes the tests' pod by itself: no workload wants it."""
    add(server, "boulder-tests", "boulder")
    server.change("Pod", "boulder-tests", {"status": {"phase": "Pending", "containerStatuses": []}})
    ready = {"name": "boulder", "state": {"running": {}}}
    threading.Timer(
        0.5, server.change, ["Pod", "boulder-tests", {"status": {"phase": "Running", "containerStatuses": [ready]}}]
    ).start()
    assert "boulder-tests" in words(settings, "boulder", "true")


def deployment(server: ApiServer, replicas: int = 1, **annotations: str) -> None:
    labels = {"app.kubernetes.io/name": "boulder"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "boulder"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": "boulder", "annotations": annotations}
    server.add({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})


def test_a_service_that_is_being_started_again_is_waited_for(settings: Settings, server: ApiServer, capsys) -> None:
    server.controller.delay = 1.5
    deployment(server)
    assert "--container=boulder" in words(settings, "boulder", "true")
    assert "waiting for boulder, which is being started" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["it crashes", "tests have its place"])
def test_a_service_that_does_not_come_in_time_is_not_said_to_be_down(settings, server, monkeypatch, how: str) -> None:
    monkeypatch.setattr(module, "STARTING", 0.5)
    if how == "it crashes":
        server.controller.crashes["boulder"] = 1  # its pod's phase is Running nevertheless
        deployment(server)
    else:
        deployment(server, replicas=0, **{"boulder-k8s/replicas": "1"})
    with pytest.raises(Problem, match="boulder is still being started after") as caught:
        module.execute(settings, "boulder", ["true"])
    assert "invoke up" not in caught.value.fix


def test_a_pod_that_has_ended_with_0_while_the_next_one_is_made_is_not_the_end(
    settings: Settings, server: ApiServer, capsys
) -> None:
    """Boulder's start.py may end so when it is stopped."""
    add(server, "boulder-before", "boulder")
    server.change("Pod", "boulder-before", {"status": {"phase": "Succeeded", "containerStatuses": []}})
    server.controller.delay = 1.5
    deployment(server)
    found = words(settings, "boulder", "true")
    assert "boulder-before" not in found and "--container=boulder" in found
    assert "waiting for boulder, which is being started" in capsys.readouterr().err
