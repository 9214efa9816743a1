"""The cluster's network: DNS for Consul's names, and an immediate refusal at addresses that no pod has any more."""

from __future__ import annotations

from ..host import process
from ..host.files import load_yaml
from ..host.settings import Settings
from .api import Api

STUB_ZONE = "consul:53"


def add_stub_zone(system: Api, corefile: str) -> None:
    """Adds the zone `consul` to CoreDNS, as Compose's `dns: 10.77.77.10` makes Docker's resolver use Consul. Raises
    ApiError.

    system: the API server's namespace kube-system. corefile: the zone's block.
    """
    found = system.get("ConfigMap", "coredns")
    if STUB_ZONE in found["data"]["Corefile"]:
        return
    both = found["data"]["Corefile"].rstrip("\n") + "\n" + corefile
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
