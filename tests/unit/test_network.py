"""The node's packet filter: rules for what no Service takes up."""

from __future__ import annotations

import pytest
from support.programs import Programs

from boulder_k8s.cluster import network
from boulder_k8s.host.settings import Settings


@pytest.fixture
def node(programs: Programs) -> Programs:
    """A node that has what `iptables -A` and `ip link add` put there."""
    programs.answer("docker", "ip -4 route show default", "echo default via 172.18.0.1 dev eth0")
    programs.answer("docker", "ip link show nobody", "[ -e $cd/bridge ]")
    programs.answer("docker", "ip link add nobody type bridge", "touch $cd/bridge")
    programs.answer("docker", "ip link set nobody up", ":")
    programs.answer("docker", "sysctl -w net.ipv4.icmp_ratelimit=0", ":")
    programs.answer("docker", "ip route replace 10.77.77.0/24 dev nobody", ":")
    programs.answer("docker", "iptables-restore --noflush", "cat > $cd/rules")
    for name, jump in (("jump", "filter %s FORWARD -j BOULDER-CLOSED"), ("host", "nat %s PREROUTING -j BOULDER-HOST")):
        programs.answer("docker", f"iptables -t {jump % '-C'}", f"[ -e $cd/{name} ]")
        programs.answer("docker", f"iptables -t {jump % '-A'}", f"touch $cd/{name}")
    return programs


def test_a_closed_port_is_reset_a_free_address_is_nobodys_and_the_hosts_addresses_are_the_host(
    node: Programs, settings: Settings
) -> None:
    network.refuse_closed_ports(settings, ["10.77.77.4"])
    rules = (node.directory / "rules").read_text().splitlines()
    assert rules[:2] == ["*filter", ":BOULDER-CLOSED - [0:0]"] and rules[-1] == "COMMIT"
    assert rules[2:-1] == [
        "-A BOULDER-CLOSED -d 10.77.77.4/32 -p tcp -j REJECT --reject-with tcp-reset",
        "-A BOULDER-CLOSED -d 10.77.77.4/32 -j REJECT --reject-with icmp-port-unreachable",
        "-A BOULDER-CLOSED -d 10.77.77.0/24 -j RETURN",
        "-A BOULDER-CLOSED -d 10.77.0.0/16 -j REJECT --reject-with icmp-host-unreachable",
        "-A BOULDER-CLOSED -d 64.112.117.0/24 -j REJECT --reject-with icmp-host-unreachable",
        "COMMIT",
        "*nat",
        ":BOULDER-HOST - [0:0]",
        "-A BOULDER-HOST -d 10.77.77.128/32 -j DNAT --to-destination 172.18.0.1",
        "-A BOULDER-HOST -d 64.112.117.1/32 -j DNAT --to-destination 172.18.0.1",
        "-A BOULDER-HOST -d 64.112.117.129/32 -j DNAT --to-destination 172.18.0.1",
    ]
    network.refuse_closed_ports(settings, ["10.77.77.4"])
    for once in ("iptables -t filter -A FORWARD", "iptables -t nat -A PREROUTING", "ip link add nobody"):
        assert node.called("docker", once) == 1


def test_the_addresses_are_those_of_the_services() -> None:
    objects = [
        {"kind": "Service", "spec": {"clusterIP": "10.77.77.77"}},
        {"kind": "Service", "spec": {"clusterIP": "10.77.77.4"}},
        {"kind": "Service", "spec": {"clusterIP": "None"}},
        {"kind": "Service", "spec": {}},
        {"kind": "Deployment", "spec": {}},
    ]
    assert network.service_addresses(objects) == ["10.77.77.4", "10.77.77.77"]
