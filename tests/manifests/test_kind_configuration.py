"""k8s/cluster: what kind and kubeadm are told."""

from __future__ import annotations

import yaml

from boulder_k8s.host.settings import ROOT

CLUSTER = ROOT / "k8s/cluster"
# https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/control-plane-flags/#patches
TARGETS = {
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubeletconfiguration",
    "corednsdeployment",
}


def test_a_patch_of_kubeadms_has_the_name_of_what_it_changes() -> None:
    files = sorted((CLUSTER / "static-pods").iterdir())
    assert [path.stem for path in files] == ["etcd", "kube-apiserver", "kube-scheduler"]
    assert {path.stem for path in files} <= TARGETS
    for path in files:
        (container,) = yaml.safe_load(path.read_text())["spec"]["containers"]
        assert container["name"] == path.stem


def test_a_patch_without_a_version_is_for_every_version_of_kubeadms_configuration() -> None:
    """kind turns the map of extraArgs into what the version has."""
    document = yaml.safe_load((CLUSTER / "kind.yaml").read_text())
    patches = {patch["kind"]: patch for patch in map(yaml.safe_load, document["kubeadmConfigPatches"])}
    for kind in ("ClusterConfiguration", "InitConfiguration"):
        assert "apiVersion" not in patches[kind]
    for component in ("controllerManager", "scheduler"):
        assert isinstance(patches["ClusterConfiguration"][component]["extraArgs"], dict)
