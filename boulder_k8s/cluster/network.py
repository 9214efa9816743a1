"""The cluster's network: its DNS knows Consul's names, and an address that no pod has any more refuses."""

from __future__ import annotations

import json

from ..host import process
from ..host.settings import Settings
from ..manifests.workloads import load
from .kubectl import Kubectl

STUB_ZONE = "consul:53"


def add_stub_zone(system: Kubectl, corefile: str) -> None:
    """Adds the zone `consul` to the Corefile that is there, as Compose's `dns: 10.77.77.10` gives Docker's resolver.

    system: kubectl in kube-system. corefile: the zone's block.
    """
    found = system.json("get", "configmap", "coredns")
    if STUB_ZONE in found["data"]["Corefile"]:
        return
    found["data"]["Corefile"] = found["data"]["Corefile"].rstrip("\n") + "\n" + corefile
    system.run("replace", "-f", "-", input=json.dumps(found))
    # As `kubectl rollout restart`, and one pod instead of two: a second one would serve a second node. Asked each second whether
    # it is ready, not each tenth: every name waits for it.
    probed = {"containers": [{"name": "coredns", "readinessProbe": {"periodSeconds": 1}}]}
    again = {"metadata": {"annotations": {"boulder-k8s/corefile": "consul"}}, "spec": probed}
    change = {"spec": {"replicas": 1, "template": again}}
    system.run("patch", "deployment", "coredns", f"--patch={json.dumps(change)}")


def refuse_dead_pods(settings: Settings) -> str:
    """Has the node container answer for addresses that no pod has: at once, with "unreachable". Returns the pods' subnet.

    Else packets for a pod that has just ended leave through the default route and are lost: Consul's check of a Boulder that ended
    would hang for its 10 s, and the next Boulder stay critical meanwhile. Gone when the node container is started again.
    """
    pods = load(settings.root / "k8s/cluster/kind.yaml")["networking"]["podSubnet"]
    process.run(["docker", "exec", settings.node, "ip", "route", "replace", "unreachable", pods], timeout=60)
    return pods
