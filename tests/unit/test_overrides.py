"""What an ACME client's author may change of Boulder, and what cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from boulder_k8s.host import docker
from boulder_k8s.host.errors import Problem
from boulder_k8s.manifests.overrides import HOST, PUBLIC, Overrides

DOCUMENT = {
    "services": {
        "boulder": {
            "environment": {"FAKE_DNS": "64.112.117.122", "UNSET": None},
            "extra_hosts": ["ca.example.org=64.112.117.122", "integration.trust=64.112.117.122"],
        },
        "bconsul": {"environment": None},
    }
}


def refused() -> str:
    raise AssertionError("nobody asked for the host's address")


def test_nothing_set_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "va.json").write_text('{"va": {}}')
    for environ in ({}, {"FAKE_DNS": "", "BOULDER_EXTRA_HOSTS": "", "BOULDER_CONFIG_OVERLAY": ""}):
        overrides = Overrides.read(environ).resolved(refused)
        assert overrides == Overrides()
        assert overrides.described() == {}
        assert overrides.apply_to(DOCUMENT) == DOCUMENT
        assert overrides.files(tmp_path) == {"va.json": tmp_path / "va.json"}
        assert not overrides.relay_target


def test_a_flag_counts_before_its_variable(tmp_path: Path) -> None:
    (tmp_path / "flag").mkdir()
    (tmp_path / "variable").mkdir()
    environ = {
        "FAKE_DNS": "10.77.1.1",
        "BOULDER_EXTRA_HOSTS": "a.example:10.77.1.1, b.example:::1",
        "BOULDER_CONFIG_OVERLAY": str(tmp_path / "variable"),
    }
    assert Overrides.read(environ) == Overrides(
        "10.77.1.1", (("a.example", "10.77.1.1"), ("b.example", "::1")), tmp_path / "variable"
    )
    assert Overrides.read(environ, "10.77.1.2", ["c.example:10.77.1.2"], str(tmp_path / "flag")) == Overrides(
        "10.77.1.2", (("c.example", "10.77.1.2"),), tmp_path / "flag"
    )


@pytest.mark.parametrize(
    "address", ["localhost", "10.77.1", "10.77.1.256", "::1", "10.77.1.1:80", "host", " 10.77.1.1"]
)
def test_what_challtestsrv_cannot_answer_with_is_refused(address: str) -> None:
    with pytest.raises(Problem, match="is not an IPv4 address") as caught:
        Overrides.read({"FAKE_DNS": address})
    assert HOST in caught.value.fix


@pytest.mark.parametrize(
    "entry", ["a.example", "a.example:", ":10.77.1.1", "a example:10.77.1.1", "a:b", "10.77.1.1:a"]
)
def test_what_is_no_host_entry_is_refused(entry: str) -> None:
    with pytest.raises(Problem, match="is not a host entry") as caught:
        Overrides.read({}, add_hosts=[entry])
    assert "NAME:ADDRESS" in caught.value.fix


def test_an_overlay_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "nothing"):
        with pytest.raises(Problem, match=f"{name} is not a directory"):
            Overrides.read({"BOULDER_CONFIG_OVERLAY": str(tmp_path / name)})


def test_the_compose_file_reads_as_if_the_user_had_edited_it() -> None:
    overrides = Overrides.read({}, HOST, ["ca.example.org:10.77.0.80", f"client.example:{HOST}"])
    document = overrides.resolved(lambda: "172.18.0.1").apply_to(DOCUMENT)
    assert document["services"]["boulder"] == {
        "environment": {"FAKE_DNS": PUBLIC, "UNSET": None},
        "extra_hosts": [
            "integration.trust=64.112.117.122",
            "ca.example.org=10.77.0.80",
            "client.example=172.18.0.1",
        ],
    }
    assert document["services"]["bconsul"] == DOCUMENT["services"]["bconsul"]
    assert DOCUMENT["services"]["boulder"]["environment"]["FAKE_DNS"] == "64.112.117.122"


def test_the_overlays_files_replace_their_namesakes_and_others_are_added(tmp_path: Path) -> None:
    checkout, mine = tmp_path / "config", tmp_path / "mine"
    for path in (checkout / "wfe2.json", checkout / "proxysql/sa_dburl", mine / "proxysql/sa_dburl", mine / "new.yml"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    overrides = Overrides.read({}, config=str(mine))
    assert overrides.files(checkout) == {
        "wfe2.json": checkout / "wfe2.json",
        "proxysql/sa_dburl": mine / "proxysql/sa_dburl",
        "new.yml": mine / "new.yml",
    }
    assert overrides.described() == {"config": ["new.yml", "proxysql/sa_dburl"]}


@pytest.mark.parametrize(
    ("address", "resolved"),
    [
        ("172.18.0.1", PUBLIC),
        ("10.77.0.80", PUBLIC),
        ("127.0.0.1", PUBLIC),
        ("64.112.117.122", "64.112.117.122"),
        ("8.8.8.8", "8.8.8.8"),
    ],
)
def test_names_resolve_to_an_address_that_boulder_does_not_refuse(address: str, resolved: str) -> None:
    overrides = Overrides.read({"FAKE_DNS": address})
    assert overrides.apply_to(DOCUMENT)["services"]["boulder"]["environment"]["FAKE_DNS"] == resolved
    assert overrides.relay_target == ("" if resolved == address else address)


def test_the_hosts_address_is_the_gateway_of_the_nodes_network(programs) -> None:
    networks = '{"bridge": {"Gateway": ""}, "kind": {"Gateway": "172.18.0.1", "IPv6Gateway": "fc00::1"}}'
    inspected = f'[{{"NetworkSettings": {{"Networks": {networks}}}}}]'
    programs.answer("docker", "container inspect node", f"echo '{inspected}'")
    programs.answer("docker", "info", """echo '{"ServerVersion": "28.0.0", "OperatingSystem": "Debian"}'""")
    assert docker.host_address("node") == "172.18.0.1"
    programs.answer("docker", "info", """echo '{"ServerVersion": "28.0.0", "OperatingSystem": "Docker Desktop"}'""")
    programs.answer("docker", "exec node getent", "echo '192.168.65.254  STREAM host.docker.internal'")
    assert docker.host_address("node") == "192.168.65.254"


def test_without_a_cluster_the_hosts_address_is_not_known(programs) -> None:
    programs.answer("docker", "container inspect node", "echo 'Error: No such container: node' >&2; exit 1")
    with pytest.raises(Problem, match="known once the cluster runs") as caught:
        docker.host_address("node")
    assert "invoke up" in caught.value.fix
