"""What the environment decides, and what cannot be meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from boulder_k8s.commands import cli
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.files import own_directory
from boulder_k8s.host.settings import ROOT, Port, Settings, parse_ports, pinned_node_image


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4001,4003", (Port(4001, 4001), Port(4003, 4003))),
        ("14001:4001, 14003:4003", (Port(14001, 4001), Port(14003, 4003))),
        ("65535:1", (Port(65535, 1),)),
        ("14001:4001,15001:4001", (Port(14001, 4001), Port(15001, 4001))),
        ("4001,14003:4003,18055:8055", (Port(4001, 4001), Port(14003, 4003), Port(18055, 8055))),
    ],
)
def test_ports_are_written_as_in_a_compose_file(text: str, expected: tuple[Port, ...]) -> None:
    assert parse_ports(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "4001,",
        "4001:",
        ":4001",
        "a",
        "4001:b",
        "0",
        "65536",
        "4001:65536",
        "-1",
        "1:2:3",
        "4001/udp",
        "4001;2",
    ],
)
def test_what_is_no_list_of_ports_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="is not a list of ports") as caught:
        parse_ports(text)
    assert "14001:4001" in caught.value.fix


def test_a_host_port_named_twice_is_refused_before_a_cluster_is_made() -> None:
    with pytest.raises(Problem, match="4001"):
        parse_ports("4001:4001,4001:4003")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.0.0.0:4001:4001", Port(4001, 4001, "0.0.0.0")),
        ("192.0.2.7:14001:4001", Port(14001, 4001, "192.0.2.7")),
        ("[::1]:4001:4001", Port(4001, 4001, "::1")),
        (" [0:0::1]:4001:4001 ", Port(4001, 4001, "::1")),
    ],
)
def test_a_port_may_have_an_address_as_in_composes_short_syntax(text: str, expected: Port) -> None:
    assert parse_ports(text) == (expected,)
    assert parse_ports(str(expected)) == (expected,)


@pytest.mark.parametrize(
    "text", ["0.0.0.0:4001", "1.2.3:4001:4001", "[::1]:4001", "::1:4001:4001", "[x]:1:1", "host:1:1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="is not a list of ports"):
        parse_ports(text)


def test_one_port_at_two_addresses_is_two_ports(tmp_path: Path) -> None:
    ports = parse_ports("127.0.0.1:4001:4001,192.0.2.7:4001:4001")
    assert len(ports) == 2
    assert Settings(tmp_path, "c", "n", ports).directory_url == "http://localhost:4001/directory"
    assert Settings(tmp_path, "c", "n", ports[1:]).directory_url == "http://192.0.2.7:4001/directory"
    assert Settings(tmp_path, "c", "n", parse_ports("[2001:db8::7]:1:4001")).directory_url == (
        "http://[2001:db8::7]:1/directory"
    )


def test_nothing_set_means_composes_ports_and_the_pinned_node() -> None:
    settings = Settings.from_environment({})
    assert (settings.cluster, settings.node, settings.context) == ("boulder", "boulder-control-plane", "kind-boulder")
    assert settings.ports == (Port(4001, 4001), Port(4003, 4003))
    assert settings.node_image == pinned_node_image(ROOT)
    assert "@sha256:" in settings.node_image
    assert not settings.offline
    empty = {"KIND_CLUSTER": "", "BOULDER_PORTS": "", "KIND_NODE_IMAGE": "", "BOULDER_K8S_OFFLINE": ""}
    assert Settings.from_environment(empty) == settings


def test_the_directory_is_where_its_port_is_published() -> None:
    environ = {"BOULDER_PORTS": "14003:4003,14001:4001"}
    assert Settings.from_environment(environ).directory_url == "http://localhost:14001/directory"


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "a b", "a/b", "../up", ".", "ü", "a\n", "a" * 50])
def test_a_cluster_name_that_kind_or_the_file_system_does_not_take_is_refused(name: str) -> None:
    with pytest.raises(Problem, match="KIND_CLUSTER"):
        Settings.from_environment({"KIND_CLUSTER": name})


def test_our_directories_are_ignored_by_git_and_an_ignore_file_of_the_users_stays(tmp_path: Path) -> None:
    path = own_directory(tmp_path / "a/b")
    assert (path / ".gitignore").read_text() == "*\n"
    (path / ".gitignore").write_text("mine\n")
    own_directory(path)
    assert (path / ".gitignore").read_text() == "mine\n"


def test_auto_names_a_cluster_after_the_checkout(tmp_path: Path) -> None:
    def named(checkout: Path) -> str:
        return cli.settings({"KIND_CLUSTER": "auto", "BOULDER_DIR": str(checkout)}).cluster

    one, other = tmp_path / "My Boulder!", tmp_path / "elsewhere/My Boulder!"
    assert re.fullmatch(r"boulder-my-boulder-[0-9a-f]{6}", named(one))
    assert named(one) == named(tmp_path / "elsewhere/../My Boulder!") != named(other)
    assert len(named(tmp_path / ("x" * 200))) < 40
    link = tmp_path / "link"
    one.mkdir()
    link.symlink_to(one)
    assert named(link) == named(one)
