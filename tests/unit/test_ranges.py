"""Ranges of Services' addresses: there before a Service asks for one, and gone when no checkout wants them."""

from __future__ import annotations

import pytest
from support.api_server import ApiServer

from boulder_k8s.cluster import api as door
from boulder_k8s.cluster import ranges
from boulder_k8s.cluster.api import Api
from boulder_k8s.cluster.errors import Rejected

OURS = {"app.kubernetes.io/part-of": "boulder"}


def cidr(name: str) -> dict:
    spec = {"cidrs": ["10.33.33.0/24"]}
    metadata = {"name": name, "labels": OURS}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": metadata, "spec": spec}


def service(name: str) -> dict:
    spec = {"clusterIP": "10.33.33.2", "ports": [{"port": 4218}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": OURS}, "spec": spec}


CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"}, "data": {}}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "PAUSE", 0.01)
    monkeypatch.setattr(ranges, "PATIENCE", 1.0)


def test_a_service_is_asked_again_until_the_server_gives_out_addresses_of_the_range(
    api: Api, server: ApiServer
) -> None:
    server.fail("PATCH", "/services/bredis-1", 422, times=3)
    ranges.apply(api, [CONFIG, service("bredis-1"), cidr("boulder-range")])
    assert server.find("ServiceCIDR", "boulder-range", "")["spec"] == {"cidrs": ["10.33.33.0/24"]}
    assert server.find("Service", "bredis-1") and server.find("ConfigMap", "config")
    paths = [request.path for request in server.asked("PATCH")]
    first = next(number for number, path in enumerate(paths) if "/servicecidrs/" in path)
    assert first < next(number for number, path in enumerate(paths) if "/services/" in path)
    assert len([path for path in paths if "/services/" in path]) == 4


def test_a_range_that_is_being_deleted_is_made_again_when_it_is_gone(
    api: Api, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server takes what is applied to it, and deletes it nevertheless."""
    server.add(cidr("boulder-range"), "")
    server.fail("PATCH", "/services/bredis-1", 422)
    monkeypatch.setattr(ranges.time, "sleep", lambda _: server.remove("ServiceCIDR", "boulder-range", ""))
    ranges.apply(api, [service("bredis-1"), cidr("boulder-range")])
    assert server.find("ServiceCIDR", "boulder-range", "") and server.find("Service", "bredis-1")


def test_a_service_that_is_refused_for_good_is_no_endless_loop(api: Api, server: ApiServer) -> None:
    server.fail("PATCH", "/services/bredis-1", 422, times=None)
    with pytest.raises(Rejected):
        ranges.apply(api, [service("bredis-1"), cidr("boulder-range")])


def test_without_ranges_nothing_is_asked_twice(api: Api, server: ApiServer) -> None:
    server.fail("PATCH", "/services/bredis-1", 422)
    with pytest.raises(Rejected):
        ranges.apply(api, [service("bredis-1")])
    assert len(server.asked("PATCH", "/services/")) == 1


def test_our_ranges_that_nobody_wants_are_removed_and_the_clusters_own_stays(api: Api, server: ApiServer) -> None:
    kept, gone, own = cidr("boulder-kept"), cidr("boulder-gone"), cidr("kubernetes")
    own["metadata"]["labels"] = {}
    for item in (kept, gone, own):
        server.add(item, "")
    ranges.remove(api, [kept, service("bredis-1")])
    assert [bool(server.find("ServiceCIDR", name, "")) for name in ("boulder-kept", "boulder-gone", "kubernetes")] == [
        True,
        False,
        True,
    ]
