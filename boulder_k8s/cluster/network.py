"""The cluster's network: its DNS knows Consul's names, and an address that no pod has any more refuses."""

from __future__ import annotations

from ..host import process
from ..host.files import load_yaml
from ..host.settings import Settings
from .api import Api

STUB_ZONE = "consul:53"


def add_stub_zone(system: Api, corefile: str) -> None:
    """Adds the zone `consul` to the Corefile that is there, as Compose's `dns: 10.77.77.10` gives Docker's resolver.

    system: the API server's namespace kube-system. corefile: the zone's block.
    """
    found = system.get("ConfigMap", "coredns")
    if STUB_ZONE in found["data"]["Corefile"]:
        return
    both = found["data"]["Corefile"].rstrip("\n") + "\n" + corefile
    system.patch("ConfigMap", "coredns", {"data": {"Corefile": both}})
    # As `kubectl rollout restart`, and one pod instead of two: a second one would serve a second node. Asked each second whether
    # it is ready, not each tenth: every name waits for it.
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
    """Has the node container answer for addresses that no pod has: at once, with "unreachable". Returns the pods' subnet.

    Else packets for a pod that has just ended leave through the default route and are lost: Consul's check of a Boulder that ended
    would hang for its 10 s, and the next Boulder stay critical meanwhile. Gone when the node container is started again.
    """
    pods = load_yaml(settings.root / "k8s/cluster/kind.yaml")["networking"]["podSubnet"]
    process.run(["docker", "exec", settings.node, "ip", "route", "replace", "unreachable", pods], timeout=60)
    return pods
