"""The checkout's networks in the run overlay: the miniature with others than k8s/base is written for. Each is compared with Compose's file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support.rendering import followed, rendered

from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import ROOT
from boulder_k8s.manifests.checkout import Checkout

pytestmark = pytest.mark.usefixtures("docker_compose")
Made = dict[tuple[str, str], dict]
Rendering = Callable[[Callable[[dict], object]], Made]
CLUSTER_SCOPED = ("Namespace", "PersistentVolume", "ServiceCIDR")
OLD = {
    "boulder": {"redisnet": "10.33.33.33", "consulnet": "10.55.55.55", "integrationtestnet": "10.88.88.88"},
    "bredis_1": {"redisnet": "10.33.33.2"},
    "bredis_2": {"redisnet": "10.33.33.3"},
    "bconsul": {"consulnet": "10.55.55.10"},
}


@pytest.fixture
def render(tmp_path: Path) -> Rendering:
    """Renders the miniature with a change of its Compose file; a difference that is not intended fails the test."""
    checkout = Checkout(tmp_path / "boulder")
    shutil.copytree(ROOT / "tests/fixtures/boulder", checkout.path)
    path = checkout.path / "docker-compose.yml"

    def made(change: Callable[[dict], object]) -> Made:
        given = yaml.safe_load(path.read_text())
        change(given)
        path.write_text(json.dumps(given))  # YAML reads it
        found = followed(checkout.path, tmp_path / "overlay").objects
        for item in found:
            assert ("namespace" in item["metadata"]) == (item["kind"] not in CLUSTER_SCOPED), item["metadata"]["name"]
            assert item["metadata"]["labels"]["app.kubernetes.io/part-of"] == "boulder"
        return {(item["kind"], item["metadata"]["name"]): item for item in found}

    return made


def addresses(made: Made) -> dict[str, str]:
    """The Services' addresses by their names; without those that the base has at the same."""
    usual = {
        item["metadata"]["name"]: item["spec"]["clusterIP"] for item in rendered("config") if item["kind"] == "Service"
    }
    found = {name: item["spec"].get("clusterIP", "-") for (kind, name), item in made.items() if kind == "Service"}
    gone = dict.fromkeys(usual.keys() - found.keys(), "gone")
    return {name: address for name, address in found.items() if usual.get(name) != address} | gone


def ranges(made: Made) -> list[list[str]]:
    return sorted(item["spec"]["cidrs"] for (kind, _), item in made.items() if kind == "ServiceCIDR")


def initial(made: Made, kind: str, name: str) -> dict[str, list[str]]:
    """What a workload's init containers are told, by their names."""
    pod = made[kind, name]["spec"]["template"]["spec"]
    return {item["name"]: item.get("args") or item["command"] for item in pod.get("initContainers", [])}


def prepared(made: Made) -> list[str]:
    return initial(made, "Deployment", "boulder")["prepare"]


def local(address: str) -> list[str]:
    return ["ip", "address", "replace", f"{address}/32", "dev", "lo"]


def subnet(subnet: str, **more: str) -> dict:
    return {"ipam": {"config": [{"subnet": subnet, **more}]}}


def test_the_usual_networks_need_nothing(render: Rendering) -> None:
    made = render(lambda given: None)
    assert (addresses(made), ranges(made)) == ({}, [])
    usual = {(item["kind"], item["metadata"]["name"]): item for item in rendered("config")}
    for kind in ("Service", "NetworkPolicy"):
        assert {key: made[key]["spec"] for key in made if key[0] == kind} == {
            key: usual[key]["spec"] for key in usual if key[0] == kind
        }
    for (kind, name), item in usual.items():
        if kind in ("Deployment", "StatefulSet"):
            before = item["spec"]["template"]["spec"].get("initContainers", [])
            assert initial(made, kind, name) == {one["name"]: one.get("args") or one["command"] for one in before}


def test_the_networks_of_2025_02(render: Rendering) -> None:
    """Redis and Consul in networks of their own, Boulder in each, and one that only Boulder has, with a long name."""

    def change(given: dict) -> None:
        services = given["services"]
        for name in ("publicnet", "publicnet2"):
            del given["networks"][name], services["boulder"]["networks"][name]
        for name in ("bredis_1", "bredis_2"):
            services[name]["networks"] = {}
        for name, networks in OLD.items():
            services[name]["networks"] |= {network: {"ipv4_address": address} for network, address in networks.items()}
        services["bjaeger"]["networks"] = {"bouldernet": {"ipv4_address": "10.77.77.17"}}
        services["boulder"] |= {"dns": "10.55.55.10", "extra_hosts": ["ca.example.org:10.77.77.77"]}
        given["networks"] |= {
            "bouldernet": subnet("10.77.77.0/24"),
            "redisnet": subnet("10.33.33.0/24"),
            "consulnet": subnet("10.55.55.0/24"),
            "integrationtestnet": subnet("10.88.88.0/24"),
        }

    made = render(change)
    assert addresses(made) == {
        "boulder-2": "10.33.33.33",
        "boulder-3": "10.55.55.55",
        "bredis-1": "10.33.33.2",
        "bredis-2": "10.33.33.3",
        "bconsul-2": "10.55.55.10",
        "bjaeger": "10.77.77.17",
    }
    assert ranges(made) == [["10.33.33.0/24"], ["10.55.55.0/24"]]
    first, *others = (made["Service", f"boulder{number}"]["spec"] for number in ("", "-2", "-3"))
    assert all({**spec, "clusterIP": first["clusterIP"]} == {**spec, "clusterIP": "10.77.77.77"} for spec in others)
    assert all((spec["ports"], spec["selector"]) == (first["ports"], first["selector"]) for spec in others)
    assert prepared(made) == [
        *("local=10.77.77.77", "local=10.33.33.33", "local=10.55.55.55"),
        "bridge=integrat-dff4b8:10.88.88.88/24",
        "host=10.88.88.1",
    ]
    consul = initial(made, "Deployment", "bconsul")
    assert consul == {"address": local("10.77.77.10"), "address-2": local("10.55.55.10")}
    assert initial(made, "StatefulSet", "bredis-1") == {"address": local("10.33.33.2")}
    aliases = made["Deployment", "boulder"]["spec"]["template"]["spec"]["hostAliases"]
    assert aliases == [{"ip": "10.77.77.77", "hostnames": ["ca.example.org"]}]  # without the base's


def test_a_third_network_that_a_new_service_and_boulder_share(render: Rendering) -> None:
    def change(given: dict) -> None:
        given["networks"]["third"] = subnet("172.30.5.0/24")
        given["services"]["bnew"] = {
            "image": "redis:7.0.15",
            "expose": ["4219"],
            "networks": {"third": {"ipv4_address": "172.30.5.9", "aliases": ["boulder-new"]}},
        }
        given["services"]["boulder"]["networks"]["third"] = {"ipv4_address": "172.30.5.77"}
        given["services"]["boulder"]["depends_on"]["bnew"] = {"condition": "service_started"}

    made = render(change)
    assert addresses(made) == {"bnew": "172.30.5.9", "boulder-new": "-", "boulder-2": "172.30.5.77"}
    assert ranges(made) == [["172.30.5.0/24"]]
    assert [port["port"] for port in made["Service", "bnew"]["spec"]["ports"]] == [4219]
    assert prepared(made)[:2] == ["local=10.77.77.77", "local=172.30.5.77"]
    assert prepared(made)[2].startswith("bridge=publicnet:")


def test_a_new_fixed_address_of_a_known_service(render: Rendering) -> None:
    def change(given: dict) -> None:
        given["services"]["bproxysql"]["networks"]["bouldernet"]["ipv4_address"] = "10.77.77.33"
        given["services"]["bredis_1"]["networks"]["bouldernet"]["ipv4_address"] = "10.77.77.130"  # bmariadb's here
        given["services"]["bconsul"]["networks"]["bouldernet"]["ipv4_address"] = "10.77.77.11"
        given["services"]["boulder"]["dns"] = "10.77.77.11"

    made = render(change)
    assert addresses(made) == {
        "bproxysql": "10.77.77.33",
        "bredis-1": "10.77.77.130",
        "bmariadb": "None",
        "bconsul": "10.77.77.11",
    }
    assert made["Service", "bmariadb"]["spec"]["publishNotReadyAddresses"] is True
    assert ranges(made) == []
    assert initial(made, "Deployment", "bconsul") == {"address": local("10.77.77.11")}
    assert initial(made, "Deployment", "bproxysql") == {"address": local("10.77.77.33")}


def test_a_fixed_address_that_is_gone(render: Rendering) -> None:
    """The name leads to the pod itself, and nothing answers at the address any more."""

    def change(given: dict) -> None:
        for name in ("bredis_2", "bconsul"):
            given["services"][name]["networks"] = ["bouldernet"]
        del given["services"]["boulder"]["dns"]

    made = render(change)
    assert addresses(made) == {"bredis-2": "None", "bconsul": "None"}
    assert initial(made, "Deployment", "bconsul") == {}


def test_another_subnet(render: Rendering) -> None:
    def change(given: dict) -> None:
        text = json.dumps(given).replace("10.77.77.", "10.99.1.")
        given.clear()
        given.update(json.loads(text))

    made = render(change)
    assert ranges(made) == [["10.99.1.0/24"]]
    found = addresses(made)
    assert {name: found[name] for name in ("boulder", "bconsul", "bredis-1")} == {
        "boulder": "10.99.1.77",
        "bconsul": "10.99.1.10",
        "bredis-1": "10.99.1.4",
    }
    assert {found[name] for name in ("bmariadb", "boulder-mariadb", "bjaeger")} == {"None"}
    assert prepared(made)[0] == "local=10.99.1.77"


def test_a_network_that_is_gone_and_one_that_only_boulder_has(render: Rendering) -> None:
    def change(given: dict) -> None:
        del given["networks"]["publicnet2"], given["services"]["boulder"]["networks"]["publicnet2"]
        given["networks"] |= {"lonely": subnet("10.88.0.0/16", gateway="10.88.0.9"), "whatever": {}}
        given["services"]["boulder"]["networks"] |= {"lonely": {}, "whatever": {}}

    made = render(change)
    assert (addresses(made), ranges(made)) == ({}, [])
    assert prepared(made) == [
        "local=10.77.77.77",
        *("bridge=lonely:10.88.0.1/16", "bridge=publicnet:64.112.117.122/25"),
        *("host=10.88.0.9", "host=64.112.117.1"),
    ]


def test_aliases_that_come_and_go(render: Rendering) -> None:
    def change(given: dict) -> None:
        given["services"]["bmariadb"]["networks"]["bouldernet"]["aliases"] = ["boulder-db"]
        given["services"]["bconsul"]["networks"]["bouldernet"]["aliases"] = ["boulder-consul"]

    made = render(change)
    assert addresses(made) == {"boulder-mariadb": "gone", "boulder-db": "-", "boulder-consul": "-"}
    assert made["Service", "boulder-db"]["spec"]["externalName"] == "bmariadb.boulder.svc.cluster.local"


def test_a_renamed_service_that_keeps_its_old_names_as_aliases(render: Rendering) -> None:
    """Services of these names are in k8s/base, for a workload that the checkout does not have any more."""

    def change(given: dict) -> None:
        services = given["services"]
        services["bdatabase"] = services.pop("bmariadb")
        services["bdatabase"]["networks"]["bouldernet"]["aliases"] = ["bmariadb", "boulder-mariadb"]
        services["bproxysql"]["depends_on"] = ["bdatabase"]
        services["boulder"]["depends_on"]["bdatabase"] = services["boulder"]["depends_on"].pop("bmariadb")

    made = render(change)
    for name in ("bdatabase", "bmariadb", "boulder-mariadb"):
        spec = made["Service", name]["spec"]
        assert (spec["clusterIP"], spec["selector"]) == ("None", {"app.kubernetes.io/name": "bdatabase"})
        assert made["Service", name]["metadata"]["labels"]["app.kubernetes.io/name"] == "bdatabase"
        assert "ports" not in spec
    assert ("StatefulSet", "bmariadb") not in made


def test_a_known_service_gets_a_network_and_another_loses_its(render: Rendering) -> None:
    """As pkimetal had until 2026, which was reached over HTTP."""

    def change(given: dict) -> None:
        pkimetal = given["services"]["bpkimetal"]
        del pkimetal["network_mode"]
        pkimetal |= {"networks": {"bouldernet": {"ipv4_address": "10.77.77.9"}}, "expose": ["8080"]}
        del given["services"]["bjaeger"]["networks"]
        given["services"]["bjaeger"]["network_mode"] = "none"

    made = render(change)
    assert addresses(made) == {"bpkimetal": "10.77.77.9", "bjaeger": "gone"}
    assert [key for key in made if key[0] == "NetworkPolicy"] == [("NetworkPolicy", "bjaeger")]
    assert initial(made, "Deployment", "bpkimetal")["address"] == local("10.77.77.9")


def test_a_second_address_takes_no_other_services_name(render: Rendering) -> None:
    def change(given: dict) -> None:
        given["networks"]["third"] = subnet("172.30.5.0/24")
        services = given["services"]
        services["bredis"] = {
            "image": "redis:7.0.15",
            "expose": ["4218"],
            "networks": {
                "bouldernet": {"ipv4_address": "10.77.77.6"},
                "third": {"ipv4_address": "172.30.5.6"},
            },
        }
        services["boulder"]["depends_on"]["bredis"] = {"condition": "service_started"}

    made = render(change)
    assert addresses(made) == {"bredis": "10.77.77.6", "bredis-address-2": "172.30.5.6"}


def test_a_network_that_cannot_be_followed_is_refused_before_anything_is_rendered(render: Rendering) -> None:
    def change(given: dict) -> None:
        given["networks"]["mine"] = {"external": True}
        given["services"]["boulder"]["networks"]["mine"] = {}

    with pytest.raises(Problem, match="docker-compose.yml: the network mine is `external`"):
        render(change)
