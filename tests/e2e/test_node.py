"""What kubeadm and containerd made of k8s/cluster/kind.yaml on a real node."""

from __future__ import annotations

import json

from support.e2e import Project


def test_an_idle_cluster_asks_and_writes_little(stack: Project) -> None:
    assert stack.run("--exit=0").returncode == 0
    system = "--namespace=kube-system"
    pods = json.loads(stack.kubectl(system, "get", "pods", "--selector=tier=control-plane", "-o", "json"))["items"]
    probes = [container.get("readinessProbe") for pod in pods for container in pod["spec"]["containers"]]
    assert [probe["periodSeconds"] for probe in probes if probe] == [30, 30, 30]
    leases = stack.kubectl(system, "get", "leases", "-o", "name")
    assert "apiserver" in leases
    assert "controller-manager" not in leases and "scheduler" not in leases
    assert "stats_collect_period = '1h'" in stack.node("containerd", "config", "dump")


def test_logs_are_kept_whole(stack: Project) -> None:
    """Docker cuts no log; the kubelet would at 10 MiB."""
    assert stack.run("--exit=0").returncode == 0
    node = json.loads(stack.kubectl("get", "nodes", "-o", "json"))["items"][0]["metadata"]["name"]
    found = json.loads(stack.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/configz"))["kubeletconfig"]
    assert found["containerLogMaxSize"] == "100Gi"
