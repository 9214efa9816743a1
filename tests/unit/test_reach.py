"""What is reachable where: ports, port-forward, SQL and kubectl."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.api_server import ApiServer
from support.pods import eventually
from support.programs import Programs

from boulder_k8s.commands import exec as exec_module
from boulder_k8s.commands import forward, reach, sql
from boulder_k8s.commands.exec import runs
from boulder_k8s.commands.inside import Inside, variables
from boulder_k8s.host.errors import Interrupted, Problem
from boulder_k8s.host.names import NAME
from boulder_k8s.host.settings import Port, Settings
from boulder_k8s.host.tools import Tools


class Became(BaseException):
    """The process would be another program now."""


@pytest.fixture
def settings(settings: Settings, server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A cluster that runs, with Consul and MariaDB."""
    settings.state.mkdir(parents=True)
    server.write_kubeconfig(settings.kubeconfig)
    monkeypatch.setattr(forward.tools, "find", lambda _: Tools(Path("/kind"), Path("/kubectl")))
    monkeypatch.setattr(forward.Cluster, "require_running", lambda _: None)
    monkeypatch.setattr(forward.Cluster, "is_running", lambda _: True)
    node = {"HostConfig": {"PortBindings": {"4001/tcp": [{"HostPort": "14001", "HostIp": "127.0.0.1"}]}}}
    monkeypatch.setattr(forward.Cluster, "node", lambda _: node)
    monkeypatch.setenv("BOULDER_DIR", "/nowhere")
    for name in ("bconsul", "bmariadb"):
        labels = {NAME: name, "app.kubernetes.io/part-of": "boulder"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": name, "image": name}]}}
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        server.add({"kind": "StatefulSet", "metadata": {"name": name, "labels": labels}, "spec": spec})

    def become(_: str, words: list[str], environment: dict[str, str]) -> None:
        raise Became(words)

    monkeypatch.setattr(os, "execve", become)
    return settings


def became(act) -> list[str]:
    with pytest.raises(Became) as caught:
        act()
    return caught.value.args[0]


def test_a_published_port_is_named_and_another_one_is_refused(settings: Settings, capsys) -> None:
    reach.port(settings, ["boulder", "4001/tcp"])
    assert capsys.readouterr().out == "127.0.0.1:14001\n"
    for words in (["boulder", "8055"], ["boulder", "4001/udp"], ["bconsul", "8500"]):
        with pytest.raises(Problem, match=f"{words[0]} publishes no port {words[1]} on this machine") as caught:
            reach.port(settings, words)
        assert f"`invoke port-forward {' '.join(words).removesuffix('/udp')}`" in caught.value.fix
    for words in ([], ["boulder"], ["boulder", "http"]):
        with pytest.raises(Problem, match="port needs a service and its port"):
            reach.port(settings, words)
    with pytest.raises(Problem, match="There is no service bouldr"):
        reach.port(settings, ["bouldr", "4001"])


def test_a_port_that_is_taken_gives_way_to_the_next_free_one_which_is_named(settings: Settings, capsys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert forward.free({8500: port})[8500] > port
    assert f"port {port} of this machine is taken; " in capsys.readouterr().err


def test_which_ports_are_forwarded(settings: Settings, server: ApiServer) -> None:
    api = forward.Cluster(settings, Tools(Path("/kind"), Path("/kubectl"))).api
    assert forward.ports(api, "bconsul", []) == {8500: 8500}
    assert forward.ports(api, "boulder", ["2345", "18055:8055"]) == {2345: 2345, 8055: 18055}
    ports = [{"port": 53, "protocol": "UDP"}, {"port": 1110}]
    server.add({"kind": "Service", "metadata": {"name": "bnew"}, "spec": {"ports": ports}})
    assert forward.ports(api, "bnew", []) == {1110: 1110}
    with pytest.raises(Problem, match="bother has no port that is known."):
        forward.ports(api, "bother", [])
    for word in ("http", "0", "1:", "70000"):
        with pytest.raises(Problem, match=f"{word} is not a port"):
            forward.ports(api, "bconsul", [word])


def test_a_forwarding_goes_on_with_the_next_pod_and_status_shows_it(
    settings: Settings, server: ApiServer, programs: Programs, monkeypatch, capsys
) -> None:
    """kubectl ends as soon as its pod does."""
    kubectl = programs.directory / "kubectl"
    programs.answer("kubectl", "port-forward", "exit 1")
    monkeypatch.setattr(forward.tools, "find", lambda _: Tools(Path("/kind"), kubectl))
    monkeypatch.setattr(forward, "AGAIN", 0.01)
    rounds: list[list[tuple[str, int, int]]] = []

    def wait(api, service: str) -> str:
        rounds.append(reach.forwards(settings))
        if len(rounds) == 2:
            raise Interrupted(2)
        return "bconsul-next"

    monkeypatch.setattr(forward, "next_pod", wait)
    assert forward.port_forward(settings, ["bconsul"]) == 130
    said = capsys.readouterr().err
    assert "bconsul port 8500: http://localhost:8500/ui/" in said
    lines = [words for words in programs.calls("kubectl") if "port-forward" in words]
    assert ["pod/bconsul-0" in lines[0], "pod/bconsul-next" in lines[1]] == [True, True]
    assert all(f"--kubeconfig={settings.kubeconfig}" in words for words in lines)
    assert rounds == [[("bconsul", 8500, 8500)]] * 2
    assert reach.forwards(settings) == []


def test_a_service_that_does_not_run_is_refused(settings: Settings, server: ApiServer) -> None:
    for words, match in (
        (["bjaeger"], "bjaeger does not run"),
        (["bjager"], "There is no service bjager"),
        ([], "port-forward needs a service"),
    ):
        with pytest.raises(Problem, match=match):
            forward.port_forward(settings, words)


def test_the_pod_of_the_tests_comes_first_and_one_that_comes_later_is_waited_for(settings, server) -> None:
    api = forward.Cluster(settings, Tools(Path("/kind"), Path("/kubectl"))).api
    for name in ("boulder-abc", "boulder-tests"):
        pod = {"metadata": {"name": name, "labels": {NAME: "boulder"}}, "spec": {"containers": [{"name": "boulder"}]}}
        server.add({"kind": "Pod", **pod})
        eventually(lambda name=name: runs(server.find("Pod", name), "boulder"), f"{name} runs")
    assert forward.next_pod(api, "boulder") == "boulder-tests"
    pod = {"metadata": {"name": "j", "labels": {NAME: "bjaeger"}}, "spec": {"containers": [{"name": "bjaeger"}]}}
    threading.Timer(0.5, server.add, [{"kind": "Pod", **pod}]).start()
    assert forward.next_pod(api, "bjaeger") == "j"


def test_a_debuggers_port_is_forwarded_if_boulder_has_given_its_place_and_the_tests_pod_is_not_yet_there(
    settings: Settings, server: ApiServer, monkeypatch
) -> None:
    template = {"metadata": {"labels": {NAME: "boulder"}}, "spec": {"containers": [{"name": "boulder"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": {NAME: "boulder"}}, "template": template}
    metadata = {"name": "boulder", "annotations": {"boulder-k8s/replicas": "1"}}
    server.add({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
    forwarded: list[str] = []
    monkeypatch.setattr(forward, "go_on", lambda cluster, service, pod, chosen: forwarded.append(pod))
    pod = {"metadata": {"name": "boulder-tests", "labels": {NAME: "boulder"}}, "spec": template["spec"]}
    threading.Timer(0.5, server.add, [{"kind": "Pod", **pod}]).start()
    assert forward.port_forward(settings, ["boulder", "2345"]) == 0
    assert forwarded == ["boulder-tests"]


def test_links_tell_what_answers_now_and_what_a_command_opens(settings: Settings) -> None:
    ports = [Port(14001, 4001), Port(4431, 4431, "0.0.0.0")]
    found = reach.links(settings, ports, ["boulder", "bconsul", "bmariadb", "bredis-1"])
    assert [(item.service, item.url, item.command) for item in found] == [
        ("boulder", "https://localhost:4431/directory", ""),
        ("boulder", "http://localhost:14001/directory", ""),
        ("bconsul", "http://localhost:8500/ui/", "invoke port-forward bconsul"),
        ("bmariadb", "mysql://root@localhost:3306/boulder_sa", "invoke port-forward bmariadb"),
    ]
    (settings.state / "forwards").mkdir()
    (settings.state / f"forwards/{os.getpid()}.json").write_text(
        json.dumps({"service": "bconsul", "ports": {"8500": 8501}})
    )
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    (settings.state / f"forwards/{ended.pid}.json").write_text(json.dumps({"service": "bjaeger", "ports": {"1": 2}}))
    found = {item.service: (item.url, item.command) for item in reach.links(settings, [], ["bconsul", "bmariadb"])}
    assert found["bconsul"] == ("http://localhost:8501/ui/", "")
    assert "bjaeger" not in found  # its process has ended


def test_sql_is_the_clients_own_and_kubectl_is_ours(settings: Settings) -> None:
    found = became(lambda: sql.sql(settings, ["incidents_sa", "-e", "show tables"]))
    assert found[found.index("bmariadb-0") :][1:3] == ["--container=bmariadb", "--stdin"]
    assert found[-4:] == ["-D", "incidents_sa", "-e", "show tables"]
    assert became(lambda: sql.sql(settings, ["-e", "x"]))[-4:] == ["-D", "boulder_sa", "-e", "x"]
    with pytest.raises(Problem, match="bvitess does not run"):
        sql.sql(settings, [], vitess=True)
    found = became(lambda: sql.kubectl(settings, ["get", "pods"]))
    assert (found[-2:], f"--kubeconfig={settings.kubeconfig}" in found) == (["get", "pods"], True)


def test_what_compose_gives_a_command_and_kubectl_does_not_know(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    words = Inside({"A": "1 2"}, str(tmp_path / "a b"), "root").words(["sh", "-c", 'echo "$A" "$PWD" "$1"', "x", "y z"])
    assert subprocess.run(words, capture_output=True, text=True).stdout == f"1 2 {tmp_path}/a b y z\n"
    assert Inside(user="mysql:mysql").words(["id"])[-2:] == ["mysql", "id"]
    assert Inside().words(["id"]) == ["id"]
    assert variables(["A=1=2", "B", "C"], {"B": "b"}) == {"A": "1=2", "B": "b"}
    with pytest.raises(Problem, match="--env =1 has no name."):
        variables(["=1"], {})
    assert "env" in became(lambda: exec_module.execute(settings, "bconsul", ["ls"], Inside({"A": "1"})))
