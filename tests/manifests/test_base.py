"""The hand-written manifests: valid, in the house's form, and with every name, address and port that Compose gives."""

from __future__ import annotations

import ipaddress
import re

import kubernetes_validate
import pytest
import yaml
from support.rendering import OVERLAYS, pods, rendered

from boulder_k8s.host.settings import ROOT

# test/startservers.py, test/consul/config.hcl and test/ct-test-srv of Boulder. The nonce services' ports are not among them:
# these bind 10.77.77.77 alone, which inside Boulder's pod is local.
BOULDER_PORTS = {
    *(4001, 4003, 4431, 4501, 4502, *range(4600, 4610)),
    *(8001, 8002, 8003, 8004, 8009, 8010, 8011, 8012, 8013, 8015, 8016, 8020, 8023, 8025, 8053, 8054, 8055),
    *(8101, 8102, 8103, 8104, 8109, 8111, 8112, 8113, 8114, 8118, 8119, 8343, 8443),
    *(
        9309,
        9391,
        9392,
        9393,
        9394,
        9395,
        9396,
        9397,
        9491,
        9492,
        9493,
        9494,
        9495,
        9498,
        9499,
        9594,
        9601,
        9602,
        9603,
        9667,
        9694,
        9701,
    ),
}
NAMES = {
    *("boulder", "bconsul", "bjaeger", "bredis-1", "bredis-2"),
    *(
        "bmariadb",
        "boulder-mariadb",
        "bproxysql",
        "boulder-proxysql",
        "bminio",
        "boulder-minio",
        "bvitess",
        "boulder-vitess",
    ),
}


def of_kind(overlay: str, *kinds: str) -> list[dict]:
    return [item for item in rendered(overlay) if item["kind"] in kinds]


def pod_specs(overlay: str) -> dict[str, dict]:
    return pods(rendered(overlay))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_valid(overlay: str) -> None:
    for item in rendered(overlay):
        kubernetes_validate.validate(item, "1.37", strict=True)


def test_the_validation_can_fail() -> None:
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"prots": []}},
            "1.37",
            strict=True,
        )


def test_one_object_a_file_and_no_deprecated_kustomize_field() -> None:
    for path in (ROOT / "k8s").rglob("*.yaml"):
        assert len(list(yaml.safe_load_all(path.read_text()))) == 1, path
        assert not set(yaml.safe_load(path.read_text())) & {
            "commonLabels",
            "vars",
            "patchesStrategicMerge",
            "patchesJson6902",
            "bases",
        }, path


def test_every_claim_has_a_volume_of_its_own_that_waits_for_it() -> None:
    claims = {
        f"{template['metadata']['name']}-{item['metadata']['name']}-0": template["spec"]
        for item in of_kind("config", "StatefulSet")
        for template in item["spec"]["volumeClaimTemplates"]
    }
    volumes = {item["spec"]["claimRef"]["name"]: item["spec"] for item in of_kind("config", "PersistentVolume")}
    assert set(claims) == set(volumes)
    assert len({volume["hostPath"]["path"] for volume in volumes.values()}) == len(volumes)
    for name, claim in claims.items():
        assert claim["storageClassName"] == volumes[name]["storageClassName"] == "", name
        assert claim["resources"]["requests"]["storage"] == volumes[name]["capacity"]["storage"], name
        assert volumes[name]["claimRef"]["namespace"] == "boulder"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_labels_and_selectors(overlay: str) -> None:
    for item in rendered(overlay):
        labels = item["metadata"].get("labels", {})
        assert labels.get("app.kubernetes.io/part-of") == "boulder", item["metadata"]
        if item["kind"] in ("Deployment", "StatefulSet"):
            assert item["spec"]["selector"] == {"matchLabels": {"app.kubernetes.io/name": item["metadata"]["name"]}}
            assert item["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/part-of"] == "boulder"
        if item["kind"] == "Service":
            assert list(item["spec"]["selector"]) == ["app.kubernetes.io/name"]


def test_services_have_composes_names_at_fixed_addresses() -> None:
    services = {item["metadata"]["name"]: item["spec"] for item in of_kind("config", "Service")}
    assert set(services) == NAMES
    addresses = {name: ipaddress.ip_address(spec["clusterIP"]) for name, spec in services.items()}
    assert len(set(addresses.values())) == len(addresses)
    fixed = {"bredis-1": "10.77.77.4", "bredis-2": "10.77.77.5", "bconsul": "10.77.77.10", "boulder": "10.77.77.77"}
    for name, address in addresses.items():
        if name in fixed:
            assert str(address) == fixed[name]
        else:
            assert address in ipaddress.ip_network("10.77.77.128/25")


def test_boulders_service_has_every_port_and_answers_while_it_starts() -> None:
    spec = next(item["spec"] for item in of_kind("config", "Service") if item["metadata"]["name"] == "boulder")
    assert {port["port"] for port in spec["ports"]} == BOULDER_PORTS
    assert {(port["port"], port.get("protocol")) for port in spec["ports"]} >= {
        (8053, "UDP"),
        (8053, "TCP"),
        (8054, "UDP"),
        (8054, "TCP"),
    }
    assert spec["publishNotReadyAddresses"] is True


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_get_nothing_that_compose_does_not_give(overlay: str) -> None:
    for name, spec in pod_specs(overlay).items():
        assert spec["enableServiceLinks"] is False, name
        assert spec["automountServiceAccountToken"] is False, name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert container["imagePullPolicy"] == "Never", name
            security = container.get("securityContext", {})
            assert not security.get("privileged"), name
            added = set(security.get("capabilities", {}).get("add", []))
            allowed = {
                ("boulder", "prepare"): {"NET_ADMIN", "CHOWN", "DAC_READ_SEARCH"},
                ("boulder", "writeback"): {"CHOWN", "DAC_OVERRIDE", "FOWNER"},
                ("bconsul", "address"): {"NET_ADMIN"},
                ("bpkimetal", "socket-directory"): {"CHOWN"},
            }
            assert added == allowed.get((name, container["name"]), set()), (name, container["name"])


def test_pkimetal_has_no_network() -> None:
    policy = of_kind("config", "NetworkPolicy")[0]["spec"]
    assert policy["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "bpkimetal"}}
    assert sorted(policy["policyTypes"]) == ["Egress", "Ingress"] and "ingress" not in policy and "egress" not in policy
    assert re.match(
        r"/run/",
        next(volume for volume in pod_specs("config")["bpkimetal"]["volumes"] if volume["name"] == "socket")[
            "hostPath"
        ]["path"],
    )
