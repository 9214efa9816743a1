"""The networks of a Compose file, and which of them the cluster cannot follow."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from boulder_k8s.host.errors import Problem
from boulder_k8s.manifests import interfaces, subnets


def document(networks: dict, **services: dict) -> dict:
    """A resolved file in which Boulder and bnew are on every network. services: what they have there besides, by network."""
    members = {name: dict.fromkeys(networks) for name in ("boulder", "bnew")}
    return {
        "services": {name: {"networks": {**members[name], **services.get(name, {})}} for name in members},
        "networks": networks,
    }


def given(subnet: str, **more: str) -> dict:
    return {"ipam": {"config": [{"subnet": subnet, **more}]}}


@pytest.mark.parametrize(
    ("declared", "dynamic", "host"),
    [
        (given("10.33.33.0/24"), "10.33.33.0/24", "10.33.33.1"),
        (given("10.33.33.0/24", ip_range="10.33.33.128/25"), "10.33.33.128/25", "10.33.33.128"),
        (given("10.33.33.0/24", ip_range="10.33.33.0/25"), "10.33.33.0/25", "10.33.33.1"),
        (given("10.33.33.0/24", gateway="10.33.33.254"), "10.33.33.0/24", "10.33.33.254"),
        ({"ipam": {"config": [{"subnet": "fc00::/64"}, {"subnet": "10.33.33.0/24"}]}}, "10.33.33.0/24", "10.33.33.1"),
        ({"ipam": {}}, "", ""),
    ],
)
def test_the_host_has_the_first_address_or_the_gateways(declared: dict, dynamic: str, host: str) -> None:
    (found,) = subnets.of(document({"x": declared}))
    assert (found.dynamic, found.host, found.is_shared) == (dynamic, host, True)
    assert found.subnet == ("10.33.33.0/24" if dynamic else "")


def test_a_network_is_boulders_alone_whether_or_not_its_setup_is_there_too() -> None:
    services = {"boulder": {"networks": {"a": None, "b": None}}, "bsetup": {"networks": {"a": None, "default": None}}}
    found = subnets.of({"services": services, "networks": {"a": given("10.88.88.0/24"), "b": given("10.89.0.0/24")}})
    assert [(item.name, item.is_boulders, item.is_shared) for item in found] == [
        ("a", True, False),
        ("b", True, False),
        ("default", False, False),
    ]
    assert subnets.own_address({"services": services}, found[0]) == "10.88.88.2"  # Docker's next after the host's


def test_the_first_fixed_address_is_that_in_the_network_of_most_services() -> None:
    fixed = {"few": {"ipv4_address": "10.1.0.9"}, "many": {"ipv4_address": "10.2.0.9"}}
    found = document({"few": given("10.1.0.0/24"), "many": given("10.2.0.0/24")}, bnew=fixed)
    found["services"]["boulder"]["networks"].pop("few")
    assert [address for _, address in subnets.fixed_addresses(found, "bnew")] == ["10.2.0.9", "10.1.0.9"]


@pytest.mark.parametrize(
    ("networks", "words"),
    [
        ({"x": {"external": True, "name": "mine"}}, ["x is `external`", "declare its subnet"]),
        ({"x": {"driver": "macvlan", **given("10.33.33.0/24")}}, ["x has the driver macvlan", "driver bridge"]),
        ({"x": given("fc00::/64")}, ["x has IPv6 only", "IPv4 subnet"]),
        ({"x": {"enable_ipv4": False}}, ["x has IPv6 only"]),
        ({"x": given("10.244.7.0/24")}, ["x has the subnet 10.244.7.0/24", "pods are in 10.244.0.0/16"]),
        ({"x": given("10.0.0.0/8")}, ["10.0.0.0/8", "pods are in 10.244.0.0/16"]),
        ({"x": given("10.77.0.0/24")}, ["10.77.0.0/24", "own Services are in 10.77.0.0/24"]),
        (
            {"x": given("10.33.33.0/24"), "y": given("10.33.33.128/25")},
            ["y has the subnet 10.33.33.128/25, which overlaps 10.33.33.0/24 of x"],
        ),
    ],
)
def test_what_the_cluster_cannot_follow_is_named_in_two_lines(tmp_path: Path, networks: dict, words: list[str]) -> None:
    (tmp_path / "docker-compose.override.yml").write_text(yaml.safe_dump({"networks": networks}))
    with pytest.raises(Problem, match="docker-compose.override.yml: the network") as caught:
        subnets.check(document(networks), tmp_path, False)
    assert all(word in f"{caught.value} {caught.value.fix}" for word in words)


def test_a_fixed_address_must_be_in_its_subnet(tmp_path: Path) -> None:
    for declared, what in (
        (given("10.33.33.0/24"), "is not in its subnet 10.33.33.0/24"),
        ({"ipam": {}}, "is in no subnet"),
    ):
        with pytest.raises(Problem, match=what) as caught:
            subnets.check(
                document({"x": declared}, bnew={"x": {"ipv4_address": "10.34.0.1"}}), tmp_path, config_next=False
            )
        assert "gives bnew the address 10.34.0.1" in str(caught.value)


def test_several_of_them_are_all_named(tmp_path: Path) -> None:
    networks = {"x": {"external": True}, "y": {"driver": "ipvlan"}}
    with pytest.raises(Problem) as caught:
        subnets.check(document(networks), tmp_path, False)
    assert "y has the driver ipvlan" in caught.value.detail


def test_the_usual_networks_and_those_of_2025_are_fine(tmp_path: Path) -> None:
    for networks in (
        {"bouldernet": given(subnets.USUAL[0], ip_range="10.77.77.128/25"), "publicnet": given("64.112.117.0/25")},
        {"bouldernet": given(subnets.USUAL[0]), "redisnet": given("10.33.33.0/24"), "default": {"ipam": {}}},
    ):
        subnets.check(document(networks), tmp_path, False)


@pytest.mark.parametrize(
    "network", ["publicnet", "publicnet2", "integrationtestnet", "integrationtestnet2", "lo", "a b"]
)
def test_a_bridge_has_a_name_that_linux_takes(network: str) -> None:
    found = interfaces.interface(network)
    assert 0 < len(found) <= 15 and " " not in found and found != "lo"
    assert (found == network) == network.startswith("publicnet")


def test_networks_whose_names_begin_alike_have_bridges_of_their_own() -> None:
    assert interfaces.interface("integrationtestnet") != interfaces.interface("integrationtestnet2")
