"""What a cluster must have for a matrix is looked at before anything is made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.api_server import ApiServer

from boulder_k8s.cluster.api import Api
from boulder_k8s.cluster.errors import Rejected
from boulder_k8s.host.errors import Problem
from boulder_k8s.matrix import preflight
from boulder_k8s.matrix.preflight import quantity, require

REQUESTS = {"cpu": "1", "memory": "3Gi"}


@pytest.fixture
def cluster(server: ApiServer, api: Api) -> Api:
    """A cluster with one node of two processors."""
    node(server, "node-1", "2", "8145544Ki")
    return api


def node(server: ApiServer, name: str, cpu: str, memory: str) -> None:
    server.add({"kind": "Node", "metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu, "memory": memory}}})
    server.change("Node", name, {"status": {"allocatable": {"cpu": cpu, "memory": memory}}})


def test_a_cluster_that_fits_is_told_in_lines(cluster: Api, server: ApiServer) -> None:
    assert require(cluster, REQUESTS) == [
        "the cluster of kind-unit is reached: v1.36.0",
        "you may do there what a matrix does",
        "node-1 is large enough for a row",
    ]
    assert {item.method for item in server.requests} <= {"GET", "POST"}
    assert {item.path for item in server.asked("POST")} == {"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"}


def refused(api: Api, requests: dict = REQUESTS) -> Problem:
    with pytest.raises(Problem, match="This cluster cannot run the matrix") as caught:
        require(api, requests)
    return caught.value


@pytest.mark.parametrize("version", ["v1.30.9", "v0.99.0", "what?"])
def test_an_old_cluster_is_refused(cluster: Api, server: ApiServer, version: str) -> None:
    server.version = version
    assert f"its version is {version}, and Jobs need 1.31" in refused(cluster).message


def test_what_the_user_may_not_do_is_named(cluster: Api, server: ApiServer) -> None:
    server.refused = {"create jobs", "create namespaces"}
    found = refused(cluster)
    assert "you may not create namespaces, create jobs" in found.message and "role" in found.fix
    assert found.detail.splitlines()[0].startswith("ok  the cluster")


def test_a_row_that_no_node_can_hold_is_refused(cluster: Api, server: ApiServer) -> None:
    node(server, "node-2", "64", "2Gi")
    found = refused(cluster, {"cpu": "2500m", "memory": "3Gi"})
    assert "a row asks for cpu 2500m, memory 3Gi, and no node has more than cpu 64, memory 8145544Ki" in found.message


def test_a_cluster_that_is_not_reached_is_said_at_once(cluster: Api, server: ApiServer) -> None:
    server.stop()
    assert "is not reached" in refused(cluster).message


def test_a_namespace_that_is_there_must_let_rows_in(cluster: Api, server: ApiServer) -> None:
    server.refused = {"create namespaces", "delete namespaces", "get namespaces"}
    assert len(require(cluster, REQUESTS, own=False)) == 3
    quota = {"kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": {"requests.memory": "2Gi"}}}
    server.add(quota)
    with pytest.raises(Problem, match="the quota small allows requests.memory 2Gi, and a row asks for 3Gi"):
        require(cluster, REQUESTS, own=False)
    server.change("Namespace", "boulder", {"metadata": {"labels": {preflight.ENFORCE: "baseline"}}})
    with pytest.raises(Problem, match="enforces the Pod Security level baseline") as caught:
        require(cluster, REQUESTS, own=False)
    assert "no  the quota small" in caught.value.detail


@pytest.mark.parametrize(
    ("text", "number"), [("2", 2), ("500m", 0.5), ("3Gi", 3 << 30), ("1e3", 1000), ("1.5k", 1500), ("8Ki", 8192)]
)
def test_quantities_are_numbers(text: str, number: float) -> None:
    assert quantity(text) == number


@pytest.mark.parametrize("text", ["", "x", "1Q", "-1", "1 Gi", "mi"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="is no quantity of processors or memory"):
        quantity(text)


def test_a_kubeconfig_of_the_users_own_may_have_a_token_and_nothing_is_written_beside_it(
    server: ApiServer, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    path = server.write_kubeconfig(home / "config", "theirs", {"token": "secret"})
    api = Api(path, "theirs", tmp_path / "cache.json", theirs=True)
    assert api.get("Namespace", "default")["metadata"]["name"] == "default"
    assert os.listdir(home) == ["config"]
    with pytest.raises(Rejected, match="cannot be used"):
        Api(path, "other", tmp_path / "other.json", theirs=True).get("Namespace", "default")
