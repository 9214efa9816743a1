"""What kubeadm and containerd made of k8s/cluster/kind.yaml on a real node."""

from __future__ import annotations

import json
import subprocess

from support.e2e import Project, eventually


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


def test_every_container_has_the_limits_and_the_score_that_docker_gives(stack: Project) -> None:
    """RLIMITs and oom_score_adj, in a run's pod and in every service's."""
    shown = ("cat", "/proc/self/limits", "/proc/self/oom_score_adj")
    of_a_run = stack.invoke("run", "--", *shown).stdout.decode()
    assert stack.invoke("up").returncode == 0
    assert of_a_run == under_docker(stack, "deployment/boulder", shown)
    names = stack.kubectl("get", "deployments,statefulsets", "-o", "name").split()
    assert len(names) >= 9
    for name in names:
        expected = under_docker(stack, name, shown)
        # An old runc gives what `exec` starts too high a soft limit of open files now and then (opencontainers/runc#4195).
        eventually(lambda name=name, like=expected: stack.kubectl("exec", name, "--", *shown) == like, name, 20)
    stack.kubectl("delete", "deployment", "boulder")


def under_docker(stack: Project, workload: str, command: tuple[str, ...]) -> str:
    """What a command prints in a container that Docker makes of a workload's image."""
    image = stack.kubectl("get", workload, "-o", "jsonpath={.spec.template.spec.containers[0].image}")
    run = ["docker", "run", "--rm", "--network=none", f"--entrypoint={command[0]}", image, *command[1:]]
    return subprocess.run(run, check=True, capture_output=True, text=True).stdout
