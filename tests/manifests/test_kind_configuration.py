"""k8s/cluster: what kind and kubeadm are told."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from boulder_k8s.host import tools
from boulder_k8s.host.settings import ROOT, Settings

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


def read(name: str) -> dict:
    return yaml.safe_load((CLUSTER / name).read_text())


def test_kind_needs_nothing_beside_its_configuration() -> None:
    """`kind create cluster --config k8s/cluster/kind.yaml`: no directory of the host, no kubeadm patch that names one."""
    document = read("kind.yaml")
    (node,) = document["nodes"]
    assert set(node) == {"role", "image"}
    assert not {"kubeadmConfigPatches", "containerdConfigPatches", "featureGates"} & set(document)
    assert document["networking"] == {"serviceSubnet": "10.77.0.0/16", "podSubnet": "10.244.0.0/16"}


def test_the_node_image_is_pinned_in_kinds_configuration_alone() -> None:
    (node,) = read("kind.yaml")["nodes"]
    assert re.fullmatch(r"kindest/node:v1\.37\.\d+@sha256:[0-9a-f]{64}", node["image"])
    assert Settings.from_environment({}).node_image == node["image"]
    assert Settings.from_environment({"KIND_NODE_IMAGE": "node:mine"}).node_image == "node:mine"
    digest = node["image"].partition("@")[2]
    sources = [path for path in (ROOT / "boulder_k8s").rglob("*.py") if digest in path.read_text()]
    assert sources == []


def test_the_node_image_is_the_default_of_the_pinned_kind() -> None:
    """A release of kind is tested with the images that it is released with: https://github.com/kubernetes-sigs/kind/releases"""
    source = kind_source() / "pkg/apis/config/defaults/image.go"
    default = re.search(r'^const Image = "(.+)"$', source.read_text(), re.MULTILINE)
    assert default and read("kind.yaml")["nodes"][0]["image"] == default[1]


def kind_source() -> Path:
    """Where Go has the module of the pinned kind; skips the test if it cannot be had."""
    if not (go := shutil.which("go")):
        pytest.skip("Go is not here, and kind's default node image is in its Go module")
    command = [go, "mod", "download", "-json", f"sigs.k8s.io/kind@v{tools.KIND}"]
    found = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=120)
    module = json.loads(found.stdout or "{}")
    if "Dir" not in module:
        pytest.skip(f"Go cannot get the module of kind {tools.KIND}: {module.get('Error', found.stderr.strip())}")
    return Path(module["Dir"])


def test_what_tunes_the_node_is_patches_alone() -> None:
    """boulder_k8s/cluster/configuration.py appends them to kind.yaml's; they say nothing else, such as a feature gate."""
    tuning = read("node-tuning.yaml")
    assert {key: tuning.pop(key) for key in ("kind", "apiVersion")} == {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
    }
    assert set(tuning) == {"kubeadmConfigPatches", "containerdConfigPatches"}
    patches = [yaml.safe_load(text) for text in tuning["kubeadmConfigPatches"]]
    assert [patch["kind"] for patch in patches] == ["KubeletConfiguration", "ClusterConfiguration", "InitConfiguration"]
    assert "featureGates" not in patches[0]


def test_a_patch_of_kubeadms_has_the_name_of_what_it_changes() -> None:
    files = sorted((CLUSTER / "static-pods").iterdir())
    assert [path.stem for path in files] == ["etcd", "kube-apiserver", "kube-scheduler"]
    assert {path.stem for path in files} <= TARGETS
    for path in files:
        (container,) = yaml.safe_load(path.read_text())["spec"]["containers"]
        assert container["name"] == path.stem


def test_a_patch_without_a_version_is_for_every_version_of_kubeadms_configuration() -> None:
    """kind turns the map of extraArgs into what the version has."""
    patches = {patch["kind"]: patch for patch in map(yaml.safe_load, read("node-tuning.yaml")["kubeadmConfigPatches"])}
    for kind in ("ClusterConfiguration", "InitConfiguration"):
        assert "apiVersion" not in patches[kind]
    for component in ("controllerManager", "scheduler"):
        assert isinstance(patches["ClusterConfiguration"][component]["extraArgs"], dict)
