"""The overlays by themselves: they need no checkout, and they differ in Boulder's configuration alone."""

from __future__ import annotations

import copy

import pytest
import yaml
from support.rendering import OVERLAYS, SOURCE, declared, kustomize, pods, references, rendered

from boulder_k8s.host.settings import ROOT

DIRECTORIES = {"config": "test/config", "config-next": "test/config-next"}
CACHES = {"config": "/boulder/.gocache/go-build", "config-next": "/boulder/.gocache/go-build-next"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_name_that_a_pod_refers_to_is_defined(overlay: str) -> None:
    objects = rendered(overlay)
    defined = {(item["kind"], item["metadata"]["name"]) for item in objects}
    defined |= {
        ("PersistentVolumeClaim", claim["metadata"]["name"])
        for item in objects
        if item["kind"] == "StatefulSet"
        for claim in item["spec"]["volumeClaimTemplates"]
    }
    used = {reference for item in objects for reference in references(item)}
    assert used - defined == set()
    assert {kind for kind, _ in used} == {"ConfigMap", "Secret", "PersistentVolumeClaim", "Service"}


def test_a_reference_is_found_wherever_a_pod_may_have_one() -> None:
    spec = {
        "serviceAccountName": "account",
        "imagePullSecrets": [{"name": "pull"}],
        "priorityClassName": "class",
        "runtimeClassName": "runtime",
        "containers": [
            {
                "envFrom": [{"configMapRef": {"name": "from-map"}}, {"secretRef": {"name": "from-secret"}}],
                "env": [
                    {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "key-map", "key": "a"}}},
                    {"name": "B", "valueFrom": {"secretKeyRef": {"name": "key-secret", "key": "b"}}},
                ],
                "volumeMounts": [{"name": "claimed", "mountPath": "/claimed"}],
            }
        ],
        "volumes": [
            {"name": "a", "configMap": {"name": "map"}},
            {"name": "b", "secret": {"secretName": "secret"}},
            {"name": "c", "persistentVolumeClaim": {"claimName": "claim"}},
            {
                "name": "d",
                "projected": {
                    "sources": [{"configMap": {"name": "projected-map"}}, {"secret": {"name": "projected-secret"}}]
                },
            },
        ],
    }
    workload = {"kind": "Deployment", "metadata": {"name": "x"}, "spec": {"template": {"spec": spec}}}
    assert set(references(workload)) == {
        ("ServiceAccount", "account"),
        ("Secret", "pull"),
        ("PriorityClass", "class"),
        ("RuntimeClass", "runtime"),
        ("ConfigMap", "from-map"),
        ("Secret", "from-secret"),
        ("ConfigMap", "key-map"),
        ("Secret", "key-secret"),
        ("PersistentVolumeClaim", "claimed"),
        ("ConfigMap", "map"),
        ("Secret", "secret"),
        ("PersistentVolumeClaim", "claim"),
        ("ConfigMap", "projected-map"),
        ("Secret", "projected-secret"),
    }


def test_the_base_belongs_to_neither_configuration() -> None:
    text = kustomize(ROOT / "k8s/base")
    assert "BOULDER_CONFIG_DIR" not in text and "GOCACHE" not in text
    mounts = pods(yaml.safe_load_all(text))["boulder"]["containers"][0]["volumeMounts"]
    assert "config-files" not in {mount["name"] for mount in mounts}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_overlays_have_the_same_small_set_of_files(overlay: str) -> None:
    files = sorted(path.name for path in (ROOT / "k8s/overlays" / overlay).iterdir())
    assert files == ["boulder-deployment.yaml", "kustomization.yaml"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_a_checkout_fills_is_empty_and_says_from_where(overlay: str) -> None:
    sources = {name: item["metadata"]["annotations"][SOURCE] for name, item in declared(rendered(overlay)).items()}
    assert sources == {
        "boulder-config": DIRECTORIES[overlay],
        "bmariadb-initdb": "sa/db",
        "bproxysql-config": "test/proxysql/proxysql.cnf",
        "bredis-config": "test/redis-ratelimits.config",
        "bconsul-config": "test/consul/config.hcl",
        "bpkimetal-config": "test/pkimetal-config.yaml",
        "bminio-config": "test/minio/entrypoint.sh",
        "bredis-tls": "test/certs/ipki",
        "bconsul-tls": "test/certs/ipki",
    }
    for name, item in declared(rendered(overlay)).items():
        assert not item.get("data") and not item.get("binaryData"), name


def test_the_overlays_differ_in_boulders_config_map_and_what_follows_from_it_alone() -> None:
    """Everything else is the same when these are taken out; what they are is compared one by one."""
    neutral = []
    for overlay in OVERLAYS:
        objects = copy.deepcopy(rendered(overlay))
        named = declared(rendered(overlay))["boulder-config"]["metadata"]["name"]
        (config_map,) = [item for item in objects if item["metadata"]["name"] == named]
        assert config_map["metadata"]["annotations"].pop(SOURCE) == DIRECTORIES[overlay]
        config_map["metadata"]["name"] = "boulder-config"
        pod = pods(objects)["boulder"]
        (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "config"]
        (source,) = volume["projected"]["sources"]
        assert source["configMap"].pop("name") == named
        (container,) = pod["containers"]
        environment = {entry["name"]: entry for entry in container["env"]}
        assert environment["BOULDER_CONFIG_DIR"].pop("value") == DIRECTORIES[overlay]
        assert environment["GOCACHE"].pop("value") == CACHES[overlay]
        (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "config-files"]
        assert mount.pop("mountPath") == f"/boulder/{DIRECTORIES[overlay]}"
        prepare, writeback = pod["initContainers"]
        (mount,) = [mount for mount in prepare["volumeMounts"] if mount["name"] == "checkout"]
        assert mount.pop("subPath") == DIRECTORIES[overlay]  # whose files' owners it takes
        assert writeback.pop("args") == [f"/checkout/{DIRECTORIES[overlay]}"]  # where it brings what is written
        neutral.append(objects)
    assert neutral[0] == neutral[1]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_boulder_mounts_its_configuration_once_beside_what_both_have(overlay: str) -> None:
    mounts = {mount["mountPath"] for mount in pods(rendered(overlay))["boulder"]["containers"][0]["volumeMounts"]}
    both = {"/boulder", "/root/.cache/go-build", "/var/lib/softhsm/tokens", "/var/run/pkimetal"}
    assert mounts == {f"/boulder/{DIRECTORIES[overlay]}", *both}
