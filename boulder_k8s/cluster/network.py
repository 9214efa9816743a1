"""The cluster's network as Compose has it: DNS asks whom Boulder would ask, and what nobody listens on is refused at once."""

from __future__ import annotations

from ipaddress import collapse_addresses, ip_network

from ..host import process
from ..host.settings import Settings
from ..manifests.subnets import Network, cluster_ranges
from .api import Api

STUB_ZONE = "consul:53"
MACHINES_RESOLVER = "forward . /etc/resolv.conf"  # in kubeadm's Corefile, and in k8s/cluster/consul.corefile
SERVICES = "    kubernetes cluster.local"  # the line of that Corefile in which its plugin for Services begins
CHAIN = "BOULDER-CLOSED"  # of the node's packet filter
NOBODY = "nobody"  # a bridge of the node without ports
TO_HOST = "BOULDER-HOST"  # a chain of the node's address translation


def follow_dns(settings: Settings, system: Api, servers: list[str]) -> bool:
    """Makes CoreDNS ask these servers, as Boulder's `dns:` makes Docker's resolver, or the machine's if there are none. Returns whether that
    changed anything. Raises ApiError.

    Usually that is Consul alone. It has no recursors: what it does not know fails at once, whether there is an internet or not, and whether
    the machine's own resolver answers or not. The Corefile that is there is amended: the zone `consul` is added, which keeps no answers, and
    the default zone gets the same servers, and what search.corefile says of names that come with a domain of the search list.

    system: the API server's namespace kube-system.
    """
    found = system.get("ConfigMap", "coredns")["data"]["Corefile"]
    wanted, asked = found, MACHINES_RESOLVER
    if STUB_ZONE in found:
        asked = next(line.strip(" {") for line in found.partition(STUB_ZONE)[2].splitlines() if "forward ." in line)
    else:
        consul, search = ((settings.root / f"k8s/cluster/{name}.corefile").read_text() for name in ("consul", "search"))
        wanted = found.replace(SERVICES, search + SERVICES).rstrip("\n") + "\n" + consul
    wanted = wanted.replace(asked, f"forward . {' '.join(servers)}" if servers else MACHINES_RESOLVER)
    if wanted == found:
        return False
    system.patch("ConfigMap", "coredns", {"data": {"Corefile": wanted}})
    # As `kubectl rollout restart`, and one pod instead of two: a second one would serve a second node. The kubelet
    # checks every second whether it is ready, not every ten: all lookups of names wait for it.
    probed = {"containers": [{"name": "coredns", "readinessProbe": {"periodSeconds": 1}}]}
    template = {"metadata": {"annotations": {"boulder-k8s/corefile": " ".join(servers) or "machine"}}, "spec": probed}
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
    return True


def refuse_dead_pods(settings: Settings) -> str:
    """Makes the node answer "unreachable" at once for addresses that no pod has. Returns the pods' subnet. Raises
    process.Failed.

    Otherwise packets for a pod that has just ended would leave through the default route and be lost: Consul's check of
    a Boulder that has ended would hang for 10 s, and the next Boulder would stay critical meanwhile. The route is gone
    after the node is started again.
    """
    pods = str(cluster_ranges(settings.root)[1])
    process.run(["docker", "exec", settings.node, "ip", "route", "replace", "unreachable", pods], timeout=60)
    return pods


def service_addresses(objects: list[dict]) -> list[str]:
    """Returns the fixed addresses of the Services among rendered objects."""
    found = {item["spec"].get("clusterIP", "") for item in objects if item["kind"] == "Service"}
    return sorted(found - {"", "None"})


def refuse_closed_ports(settings: Settings, addresses: list[str], networks: list[Network]) -> list[str]:
    """Makes the node treat what no Service takes up as Compose's bridges do. Returns the addresses. Raises
    process.Failed.

    A closed port: a reset. An address that nothing has, of a network that services share: "host unreachable" after 3 s,
    when the bridge without ports has got no answer. The host's own addresses: the host. Anything else of the networks
    and of the Services' range: "host unreachable". Otherwise such a packet would leave the machine by its default
    route: kube-proxy translates only the ports that a Service lists. The rules are gone after the node is started again.

    addresses: those that Services have. networks: the checkout's.
    """
    on_node = ["docker", "exec", "-i", settings.node]
    default = process.run([*on_node, "ip", "-4", "route", "show", "default"], timeout=60).split()
    subnetted = [network for network in networks if network.subnet]
    shared = [network.subnet for network in subnetted if network.is_shared]
    services, _ = cluster_ranges(settings.root)
    rules = ["*filter", f":{CHAIN} - [0:0]"]
    for address in addresses:
        rules.append(f"-A {CHAIN} -d {address}/32 -p tcp -j REJECT --reject-with tcp-reset")
        rules.append(f"-A {CHAIN} -d {address}/32 -j REJECT --reject-with icmp-port-unreachable")
    rules += [f"-A {CHAIN} -d {subnet} -j RETURN" for subnet in shared]
    for subnet in collapse_addresses([services, *(ip_network(network.subnet) for network in subnetted)]):
        rules.append(f"-A {CHAIN} -d {subnet} -j REJECT --reject-with icmp-host-unreachable")
    rules += ["COMMIT", "*nat", f":{TO_HOST} - [0:0]"]
    if default[:2] == ["default", "via"]:  # the host's address in kind's network
        there = [network.host for network in subnetted]
        rules += [f"-A {TO_HOST} -d {address}/32 -j DNAT --to-destination {default[2]}" for address in there]
    if not succeeds([*on_node, "ip", "link", "show", NOBODY]):
        process.run([*on_node, "ip", "link", "add", NOBODY, "type", "bridge"], timeout=60)
    process.run([*on_node, "ip", "link", "set", NOBODY, "up"], timeout=60)
    # Linux sends six "unreachable" to one address and then one a second; on Compose's bridge the container says it itself.
    process.run([*on_node, "sysctl", "-w", "net.ipv4.icmp_ratelimit=0"], timeout=60)
    process.run([*on_node, "ip", "-4", "route", "flush", "dev", NOBODY], timeout=60)  # another checkout's networks
    for subnet in shared:
        process.run([*on_node, "ip", "route", "replace", subnet, "dev", NOBODY], timeout=60)
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
