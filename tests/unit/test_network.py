"""The node's packet filter: rules for what no Service takes up."""

from __future__ import annotations

import pytest
from support.programs import Programs

from boulder_k8s.cluster import network
from boulder_k8s.host.settings import Settings


@pytest.fixture
def node(programs: Programs) -> Programs:
    """A node whose FORWARD chain has what `iptables -A` put there."""
    programs.answer("docker", "iptables-restore --noflush", "cat > $cd/rules")
    programs.answer("docker", "iptables -C FORWARD -j BOULDER-CLOSED", "[ -e $cd/jump ]")
    programs.answer("docker", "iptables -A FORWARD -j BOULDER-CLOSED", "touch $cd/jump")
    return programs


def test_a_closed_port_is_reset_and_an_address_that_nothing_has_is_unreachable(
    node: Programs, settings: Settings
) -> None:
    network.refuse_closed_ports(settings, ["10.77.77.4"])
    rules = (node.directory / "rules").read_text().splitlines()
    assert rules[:2] == ["*filter", ":BOULDER-CLOSED - [0:0]"] and rules[-1] == "COMMIT"
    assert rules[2:-1] == [
        "-A BOULDER-CLOSED -d 10.77.77.4/32 -p tcp -j REJECT --reject-with tcp-reset",
        "-A BOULDER-CLOSED -d 10.77.77.4/32 -j REJECT --reject-with icmp-port-unreachable",
        "-A BOULDER-CLOSED -d 10.77.0.0/16 -j REJECT --reject-with icmp-host-unreachable",
        "-A BOULDER-CLOSED -d 64.112.117.0/24 -j REJECT --reject-with icmp-host-unreachable",
    ]
    network.refuse_closed_ports(settings, ["10.77.77.4"])
    assert node.called("docker", "iptables -A FORWARD") == 1


def test_the_addresses_are_those_of_the_services() -> None:
    objects = [
        {"kind": "Service", "spec": {"clusterIP": "10.77.77.77"}},
        {"kind": "Service", "spec": {"clusterIP": "10.77.77.4"}},
        {"kind": "Service", "spec": {"clusterIP": "None"}},
        {"kind": "Service", "spec": {}},
        {"kind": "Deployment", "spec": {}},
    ]
    assert network.service_addresses(objects) == ["10.77.77.4", "10.77.77.77"]
