"""What no pod of ours may have, over both rendered overlays."""

from __future__ import annotations

import pytest
import yaml
from support.rendering import OVERLAYS, rendered

from boulder_k8s.host.settings import ROOT

# Who makes addresses, in an init container, and nothing else.
MAKES_ADDRESSES = {"boulder", "bconsul"}


def pods(overlay: str) -> list[tuple[str, dict]]:
    return [
        (item["metadata"]["name"], item["spec"]["template"]["spec"])
        for item in rendered(overlay)
        if item["kind"] in ("Deployment", "StatefulSet")
    ]


def containers(overlay: str) -> list[tuple[str, bool, dict]]:
    """(workload, whether it is an init container, container)"""
    return [
        (name, init, container)
        for name, pod in pods(overlay)
        for init in (True, False)
        for container in pod.get("initContainers" if init else "containers", [])
    ]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_pod_shares_the_nodes_namespaces_or_holds_a_token(overlay: str) -> None:
    assert len(pods(overlay)) == 10
    for name, pod in pods(overlay):
        assert not [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)], name
        assert pod["automountServiceAccountToken"] is False, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_container_is_privileged_and_only_address_makers_have_net_admin(overlay: str) -> None:
    made = set()
    for name, init, container in containers(overlay):
        context = container.get("securityContext", {})
        assert not context.get("privileged"), (name, container["name"])
        added = set(context.get("capabilities", {}).get("add", []))
        if init:
            assert context["capabilities"]["drop"] == ["ALL"], (name, container["name"])
            assert context["runAsUser"] == 0, (name, container["name"])  # whatever the image says
            if "NET_ADMIN" in added:
                made.add((name, container["name"]))
            assert added <= {"NET_ADMIN", "CHOWN", "DAC_READ_SEARCH", "DAC_OVERRIDE", "FOWNER"}
        else:
            assert not added, (name, container["name"])  # what the engine gives by default, as under Compose
    assert {name for name, _ in made} == MAKES_ADDRESSES


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_container_has_dockers_kind_of_seccomp_profile(overlay: str) -> None:
    for name, pod in pods(overlay):
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_of_the_node_pods_see_the_checkout_and_one_socket_directory(overlay: str) -> None:
    for name, pod in pods(overlay):
        for volume in pod.get("volumes", []):
            path = volume.get("hostPath", {}).get("path", "/boulder")
            assert path == "/run/boulder/pkimetal" or path.split("/")[1] == "boulder", (name, path)


def test_kind_publishes_nothing_by_itself() -> None:
    """Ports are added for each cluster, on 127.0.0.1 (tests/unit/test_cluster.py); the API server is kind's, on 127.0.0.1."""
    document = yaml.safe_load((ROOT / "k8s/cluster/kind.yaml").read_text())
    assert "extraPortMappings" not in document["nodes"][0]
    assert document.get("networking", {}).get("apiServerAddress", "127.0.0.1") == "127.0.0.1"
