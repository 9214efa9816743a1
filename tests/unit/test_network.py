"""The node's packet filter: rules for what no Service takes up; and whom CoreDNS asks."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from support.api_server import ApiServer
from support.programs import Programs

from boulder_k8s.cluster import network
from boulder_k8s.cluster.api import Api
from boulder_k8s.host.settings import ROOT, Settings
from boulder_k8s.manifests.subnets import Network


@pytest.fixture(autouse=True)
def cluster(settings: Settings) -> None:
    """The project has what the cluster is made of."""
    shutil.copytree(ROOT / "k8s/cluster", settings.root / "k8s/cluster")


@pytest.fixture
def node(programs: Programs) -> Programs:
    """A node that has what `iptables -A` and `ip link add` put there."""
    programs.answer("docker", "ip -4 route show default", "echo default via 172.18.0.1 dev eth0")
    programs.answer("docker", "ip link show nobody", "[ -e $cd/bridge ]")
    programs.answer("docker", "ip link add nobody type bridge", "touch $cd/bridge")
    programs.answer("docker", "ip link set nobody up", ":")
    programs.answer("docker", "sysctl -w net.ipv4.icmp_ratelimit=0", ":")
    programs.answer("docker", "ip -4 route flush dev nobody", ":")
    programs.answer("docker", "ip route replace 10.77.77.0/24 dev nobody", ":")
    programs.answer("docker", "ip route replace 10.33.33.0/24 dev nobody", ":")
    programs.answer("docker", "iptables-restore --noflush", "cat > $cd/rules")
    for name, jump in (("jump", "filter %s FORWARD -j BOULDER-CLOSED"), ("host", "nat %s PREROUTING -j BOULDER-HOST")):
        programs.answer("docker", f"iptables -t {jump % '-C'}", f"[ -e $cd/{name} ]")
        programs.answer("docker", f"iptables -t {jump % '-A'}", f"touch $cd/{name}")
    return programs


USUAL = [
    Network("bouldernet", "10.77.77.0/24", "10.77.77.128/25", "10.77.77.128", ("boulder", "bconsul")),
    Network("publicnet", "64.112.117.0/25", "64.112.117.0/25", "64.112.117.1", ("boulder",)),
    Network("publicnet2", "64.112.117.128/25", "64.112.117.128/25", "64.112.117.129", ("boulder",)),
]


def test_a_closed_port_is_reset_a_free_address_is_nobodys_and_the_hosts_addresses_are_the_host(
    node: Programs, settings: Settings
) -> None:
    network.refuse_closed_ports(settings, ["10.77.77.4"], USUAL)
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
    network.refuse_closed_ports(settings, ["10.77.77.4"], USUAL)
    for once in ("iptables -t filter -A FORWARD", "iptables -t nat -A PREROUTING", "ip link add nobody"):
        assert node.called("docker", once) == 1


def test_another_network_of_services_is_treated_like_the_first_and_one_without_a_subnet_is_left_alone(
    node: Programs, settings: Settings
) -> None:
    more = [
        Network("default", "", "", "", ("bnew",)),
        Network("redisnet", "10.33.33.0/24", "10.33.33.0/24", "10.33.33.1", ("boulder", "bredis_1")),
    ]
    network.refuse_closed_ports(settings, [], [USUAL[0], *more])
    rules = (node.directory / "rules").read_text().splitlines()
    assert rules[2:6] == [
        "-A BOULDER-CLOSED -d 10.77.77.0/24 -j RETURN",
        "-A BOULDER-CLOSED -d 10.33.33.0/24 -j RETURN",
        "-A BOULDER-CLOSED -d 10.33.33.0/24 -j REJECT --reject-with icmp-host-unreachable",
        "-A BOULDER-CLOSED -d 10.77.0.0/16 -j REJECT --reject-with icmp-host-unreachable",
    ]
    assert "-A BOULDER-HOST -d 10.33.33.1/32 -j DNAT --to-destination 172.18.0.1" in rules
    assert not [rule for rule in rules if "64.112" in rule]
    calls = [" ".join(call) for call in node.calls("docker")]
    flushed = next(number for number, call in enumerate(calls) if "route flush dev nobody" in call)
    assert any("route replace 10.33.33.0/24 dev nobody" in call for call in calls[flushed:])


@pytest.fixture
def corefile(server: ApiServer) -> Callable[[], str]:
    """CoreDNS' configuration as the cluster has it, kubeadm's at first."""
    return lambda: server.find("ConfigMap", "coredns", "kube-system")["data"]["Corefile"]


def annotation(server: ApiServer) -> str:
    coredns = server.find("Deployment", "coredns", "kube-system")
    return coredns["spec"]["template"]["metadata"]["annotations"]["boulder-k8s/corefile"]


def test_coredns_asks_whom_boulder_asks_and_follows_when_that_changes(
    settings: Settings, api: Api, server: ApiServer, corefile: Callable[[], str]
) -> None:
    system = api.within("kube-system")
    consul, search = ((ROOT / f"k8s/cluster/{name}.corefile").read_text() for name in ("consul", "search"))
    services = "    kubernetes cluster.local {\n    }\n"

    def expected(asked: str) -> str:
        default = ".:53 {\n" + search + services + "    forward . /etc/resolv.conf {\n    }\n}\n"
        return (default + consul).replace("/etc/resolv.conf", asked)

    for servers, asked in (
        (["10.77.77.10"], "10.77.77.10"),
        (["10.77.77.1"], "10.77.77.1"),
        (["10.55.55.10", "9.9.9.9"], "10.55.55.10 9.9.9.9"),
        ([], "/etc/resolv.conf"),
        (["10.77.77.10"], "10.77.77.10"),
    ):
        assert network.follow_dns(settings, system, servers)
        assert corefile() == expected(asked)
        assert annotation(server) == (" ".join(servers) or "machine")  # another one: it starts anew
        patches = len(server.asked("PATCH"))
        assert not network.follow_dns(settings, system, servers)
        assert len(server.asked("PATCH")) == patches
    coredns = server.find("Deployment", "coredns", "kube-system")["spec"]
    container = coredns["template"]["spec"]["containers"][0]
    assert (coredns["replicas"], container["readinessProbe"]) == (1, {"periodSeconds": 1})
    assert container["image"] == "coredns"  # the rest is kubeadm's


def test_coredns_as_an_earlier_version_left_it_is_not_started_anew(
    settings: Settings, api: Api, server: ApiServer, corefile: Callable[[], str]
) -> None:
    """Its Corefile has Consul's address, and no policy."""
    old = ".:53 {\n    kubernetes cluster.local {\n    }\n    forward . 10.77.77.10 {\n    }\n}\n"
    old += "consul:53 {\n    errors\n    forward . 10.77.77.10\n}\n"
    server.change("ConfigMap", "coredns", {"data": {"Corefile": old}}, "kube-system")
    assert not network.follow_dns(settings, api.within("kube-system"), ["10.77.77.10"])
    assert network.follow_dns(settings, api.within("kube-system"), ["10.55.55.10"])
    assert corefile() == old.replace("10.77.77.10", "10.55.55.10")


def test_the_addresses_are_those_of_the_services() -> None:
    objects = [
        {"kind": "Service", "spec": {"clusterIP": "10.77.77.77"}},
        {"kind": "Service", "spec": {"clusterIP": "10.77.77.4"}},
        {"kind": "Service", "spec": {"clusterIP": "None"}},
        {"kind": "Service", "spec": {}},
        {"kind": "Deployment", "spec": {}},
    ]
    assert network.service_addresses(objects) == ["10.77.77.4", "10.77.77.77"]
