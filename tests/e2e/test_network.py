"""What nobody listens on, and names that Consul does not know: refused at once, as under Compose, and never asked outside."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request

import pytest
from support.e2e import Project

DIAL = """
import json, socket, sys, time
found = {}
for endpoint in sys.argv[1:]:
    host, port = endpoint.rsplit(":", 1)
    begun = time.monotonic()
    try:
        socket.create_connection((host, int(port)), 8).close()
        answer = "connected"
    except OSError as error:
        answer = type(error).__name__ if not isinstance(error, socket.gaierror) else error.args[0]
        answer = error.errno if type(error) is OSError else answer
    found[endpoint] = [answer, time.monotonic() - begun]
print(json.dumps(found))
"""
OUT = ["POSTROUTING", "-o", "eth0"]  # the node's way out


def dial(project: Project, *endpoints: str) -> dict[str, tuple[object, float]]:
    """What connecting to each says, and after how many seconds."""
    result = project.invoke("run", "--", "python3", "-c", DIAL, *endpoints)
    assert result.returncode == 0, result.stderr.decode()
    return json.loads(result.stdout.decode().strip().splitlines()[-1])


def left(project: Project) -> int:
    """How many packets for Compose's networks have left the node since the rule was made."""
    lines = project.node("iptables", "-t", "mangle", "-vnxL", "POSTROUTING").splitlines()
    return sum(
        int(line.split()[0]) for line in lines if "eth0" in line and ("10.77.0.0" in line or "64.112.117.0" in line)
    )


def test_closed_ports_free_addresses_and_the_host_are_as_under_compose_and_nothing_leaves_the_machine(
    stack: Project,
) -> None:
    assert stack.run("--exit=0").returncode == 0
    for network in ("10.77.0.0/16", "64.112.117.0/24"):
        stack.node("iptables", "-t", "mangle", "-A", *OUT, "-d", network)
    closed = ("10.77.77.4:1337", "bmariadb:9", "10.77.77.10:1337", "bproxysql:1")
    nobody, elsewhere = ("10.77.77.99:80", "10.77.77.1:1337", "10.77.77.254:1337"), ("10.77.200.1:443",)
    hosts = ("10.77.77.128:1337", "64.112.117.1:1337", "64.112.117.129:1337")
    found = dial(stack, *closed, *nobody, *elsewhere, *hosts)
    refused = (*closed, *hosts)
    assert {endpoint: found[endpoint][0] for endpoint in refused} == dict.fromkeys(refused, "ConnectionRefusedError")
    assert {found[endpoint][0] for endpoint in (*nobody, *elsewhere)} == {113}  # EHOSTUNREACH
    assert max(found[endpoint][1] for endpoint in (*refused, *elsewhere)) < 2
    assert all(2 < found[endpoint][1] < 6 for endpoint in nobody)  # a bridge asks three times, a second apart
    assert left(stack) == 0


def test_composes_gateways_are_the_host(stack: Project) -> None:
    """FAKE_DNS=64.112.117.1 is the host under Compose, where an ACME client answers."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        found = dial(stack, *(f"{gateway}:{port}" for gateway in ("10.77.77.128", "64.112.117.1", "64.112.117.129")))
    assert {answer for answer, _ in found.values()} == {"connected"}, found


@pytest.mark.root
def test_one_route_reaches_composes_addresses_from_the_host(stack: Project) -> None:
    """As `invoke status` says it."""
    if os.geteuid() or sys.platform != "linux":
        pytest.skip("only root can add a route; run as root: .venv/bin/pytest tests/e2e -m root")
    assert stack.invoke("up").returncode == 0
    line = next(line for line in stack.invoke("status").stdout.decode().splitlines() if "sudo ip route" in line)
    command = line[line.index("ip route") :].split()
    try:
        subprocess.run(command, check=True)
        with urllib.request.urlopen("http://10.77.77.77:4001/directory", timeout=10) as answer:
            assert answer.status == 200
        socket.create_connection(("10.77.77.10", 8500), 10).close()
    finally:
        subprocess.run([*command[:2], "delete", *command[3:]], check=True)


def test_what_services_take_up_still_arrives(stack: Project) -> None:
    found = dial(stack, "10.77.77.4:4218", "bmariadb:3306", "10.77.77.10:8500", "bminio:9000")
    assert {answer for answer, _ in found.values()} == {"connected"}


@pytest.mark.parametrize("name", ["www.example.com", "no-such-name.invalid"])
def test_a_resolver_of_the_machine_that_never_answers_does_not_matter(stack: Project, name: str) -> None:
    """A train, a VPN, a captive portal: under Compose Consul is the only upstream, and it has no recursors."""
    before = stack.node("cat", "/etc/resolv.conf")
    system = "--namespace=kube-system"
    try:
        stack.node("sh", "-c", "echo nameserver 192.0.2.1 > /etc/resolv.conf")
        stack.kubectl(system, "delete", "pod", "--selector=k8s-app=kube-dns")
        stack.kubectl(system, "wait", "deployment/coredns", "--for=condition=Available", "--timeout=60s")
        answer, seconds = dial(stack, f"{name}:443")[f"{name}:443"]
    finally:
        stack.node("sh", "-c", f"cat > /etc/resolv.conf <<'END'\n{before}\nEND")
        stack.kubectl(system, "delete", "pod", "--selector=k8s-app=kube-dns")
        stack.kubectl(system, "wait", "deployment/coredns", "--for=condition=Available", "--timeout=60s")
    assert answer == -3  # EAI_AGAIN, as under Compose: nobody knows whether there is such a name
    assert seconds < 1.5
