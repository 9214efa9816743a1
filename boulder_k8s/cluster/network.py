"""The cluster's network as Compose has it: DNS asks Consul alone, and what nobody listens on is refused at once."""

from __future__ import annotations

from ..host import process
from ..host.files import load_yaml
from ..host.settings import Settings
from .api import Api

STUB_ZONE = "consul:53"
MACHINES_RESOLVER, CONSUL = "forward . /etc/resolv.conf", "forward . 10.77.77.10"  # in kubeadm's Corefile, and instead
SERVICES = "    kubernetes cluster.local"  # the line of that Corefile in which its plugin for Services begins
CHAIN = "BOULDER-CLOSED"  # of the node's packet filter
# Compose's networks; what a Service takes up is translated before it comes here.
NETWORKS = ("10.77.0.0/16", "64.112.117.0/24")
BOULDERNET, NOBODY = "10.77.77.0/24", "nobody"  # Compose's network of services, and a bridge of the node without ports
TO_HOST = "BOULDER-HOST"  # a chain of the node's address translation
# The host's address in each of Compose's networks: the first of its ip_range, or of the network.
HOST = ("10.77.77.128", "64.112.117.1", "64.112.117.129")


def follow_consul(system: Api, corefile: str, search: str) -> None:
    """Makes CoreDNS ask Consul alone, as Compose's `dns: 10.77.77.10` makes Docker's resolver. Raises ApiError.

    Consul has no recursors: what it does not know fails at once, whether there is an internet or not, and whether the
    machine's own resolver answers or not. The Corefile that is there is amended: the zone `consul` is added, which keeps
    no answers, and the default zone forwards to Consul.

    system: the API server's namespace kube-system. corefile: the zone's block. search: what the default zone answers to
    names that come with a domain of the search list.
    """
    found = system.get("ConfigMap", "coredns")
    if STUB_ZONE in found["data"]["Corefile"]:
        return
    default = found["data"]["Corefile"].replace(MACHINES_RESOLVER, CONSUL).replace(SERVICES, search + SERVICES)
    both = default.rstrip("\n") + "\n" + corefile
    system.patch("ConfigMap", "coredns", {"data": {"Corefile": both}})
    # As `kubectl rollout restart`, and one pod instead of two: a second one would serve a second node. The kubelet
    # checks every second whether it is ready, not every ten: all lookups of names wait for it.
    probed = {"containers": [{"name": "coredns", "readinessProbe": {"periodSeconds": 1}}]}
    template = {"metadata": {"annotations": {"boulder-k8s/corefile": "consul"}}, "spec": probed}
    system.apply(
        [
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "coredns", "namespace": system.namespace},
                "spec": {"replicas": 1, "template": template},
            }
        ]
    )


def refuse_dead_pods(settings: Settings) -> str:
    """Makes the node answer "unreachable" at once for addresses that no pod has. Returns the pods' subnet. Raises
    process.Failed.

    Otherwise packets for a pod that has just ended would leave through the default route and be lost: Consul's check of
    a Boulder that has ended would hang for 10 s, and the next Boulder would stay critical meanwhile. The route is gone
    after the node is started again.
    """
    pods = load_yaml(settings.root / "k8s/cluster/kind.yaml")["networking"]["podSubnet"]
    process.run(["docker", "exec", settings.node, "ip", "route", "replace", "unreachable", pods], timeout=60)
    return pods


def service_addresses(objects: list[dict]) -> list[str]:
    """Returns the fixed addresses of the Services among rendered objects."""
    found = {item["spec"].get("clusterIP", "") for item in objects if item["kind"] == "Service"}
    return sorted(found - {"", "None"})


def refuse_closed_ports(settings: Settings, addresses: list[str]) -> list[str]:
    """Makes the node treat what no Service takes up as Compose's bridge does. Returns the addresses. Raises
    process.Failed.

    A closed port: a reset. An address of BOULDERNET that nothing has: "host unreachable" after 3 s, when the bridge
    without ports has got no answer. The host's own addresses there: the host. Anything else of NETWORKS: "host
    unreachable". Otherwise such a packet would leave the machine by its default route: kube-proxy translates only the
    ports that a Service lists. The rules are gone after the node is started again.

    addresses: those that Services have.
    """
    on_node = ["docker", "exec", "-i", settings.node]
    default = process.run([*on_node, "ip", "-4", "route", "show", "default"], timeout=60).split()
    rules = ["*filter", f":{CHAIN} - [0:0]"]
    for address in addresses:
        rules.append(f"-A {CHAIN} -d {address}/32 -p tcp -j REJECT --reject-with tcp-reset")
        rules.append(f"-A {CHAIN} -d {address}/32 -j REJECT --reject-with icmp-port-unreachable")
    rules.append(f"-A {CHAIN} -d {BOULDERNET} -j RETURN")
    rules += [f"-A {CHAIN} -d {network} -j REJECT --reject-with icmp-host-unreachable" for network in NETWORKS]
    rules += ["COMMIT", "*nat", f":{TO_HOST} - [0:0]"]
    if default[:2] == ["default", "via"]:  # the host's address in kind's network
        rules += [f"-A {TO_HOST} -d {address}/32 -j DNAT --to-destination {default[2]}" for address in HOST]
    if not succeeds([*on_node, "ip", "link", "show", NOBODY]):
        process.run([*on_node, "ip", "link", "add", NOBODY, "type", "bridge"], timeout=60)
    process.run([*on_node, "ip", "link", "set", NOBODY, "up"], timeout=60)
    # Linux sends six "unreachable" to one address and then one a second; on Compose's bridge the container says it itself.
    process.run([*on_node, "sysctl", "-w", "net.ipv4.icmp_ratelimit=0"], timeout=60)
    process.run([*on_node, "ip", "route", "replace", BOULDERNET, "dev", NOBODY], timeout=60)
    process.run([*on_node, "iptables-restore", "--noflush"], input="\n".join([*rules, "COMMIT", ""]), timeout=60)
    for table, jump in (("filter", ["FORWARD", "-j", CHAIN]), ("nat", ["PREROUTING", "-j", TO_HOST])):
        if not succeeds([*on_node, "iptables", "-t", table, "-C", *jump]):
            process.run([*on_node, "iptables", "-t", table, "-A", *jump], timeout=60)
    return addresses


def succeeds(command: list[str]) -> bool:
    """Returns whether a program ends with 0: whether something is there."""
    try:
        process.run(command, timeout=60)
    except process.Failed:
        return False
    return True
