"""What Boulder's main may look like some months from now: changes of the miniature, each accepted and as its Compose file says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support.rendering import followed, pods

from boulder_k8s.host.settings import ROOT

pytestmark = pytest.mark.usefixtures("docker_compose")


def a_new_database_beside_the_old_one(document: dict, checkout: Path) -> None:
    (checkout / "sa/db-new").mkdir()
    (checkout / "sa/db-new/01-create.sql").write_text("CREATE DATABASE new;\n")
    document["services"]["bpostgres"] = {
        "image": "postgres:18",
        "volumes": ["./sa/db-new:/docker-entrypoint-initdb.d", "pgdata:/var/lib/postgresql"],
        "networks": {"bouldernet": {"aliases": ["boulder-postgres"]}},
        "healthcheck": {"test": ["CMD-SHELL", "pg_isready"], "interval": "2s"},
    }
    document["volumes"]["pgdata"] = {}
    document["services"]["boulder"]["depends_on"]["bpostgres"] = {"condition": "service_healthy"}


def a_renamed_service_with_its_old_name_as_alias(document: dict, checkout: Path) -> None:
    services = document["services"]
    services["bmaria"] = services.pop("bmariadb")
    services["bmaria"]["networks"]["bouldernet"]["aliases"].append("bmariadb")
    services["bproxysql"]["depends_on"] = ["bmaria"]
    services["boulder"]["depends_on"]["bmaria"] = services["boulder"]["depends_on"].pop("bmariadb")


def a_removed_service(document: dict, checkout: Path) -> None:
    del document["services"]["bjaeger"], document["services"]["boulder"]["depends_on"]["bjaeger"]


def a_moved_configuration_file(document: dict, checkout: Path) -> None:
    (checkout / "test/consul/config.hcl").rename(checkout / "test/consul/agent.hcl")
    service = document["services"]["bconsul"]
    service["command"] = service["command"].replace("config.hcl", "agent.hcl")


def a_configuration_file_in_a_new_directory(document: dict, checkout: Path) -> None:
    (checkout / "test/redis").mkdir()
    (checkout / "test/redis-ratelimits.config").rename(checkout / "test/redis/ratelimits.config")
    for name in ("bredis_1", "bredis_2"):
        document["services"][name]["command"] = "redis-server /test/redis/ratelimits.config"


def a_file_that_a_configuration_file_includes(document: dict, checkout: Path) -> None:
    (checkout / "test/redis-common.config").write_text("maxclients 100\n")
    with (checkout / "test/redis-ratelimits.config").open("a") as file:
        file.write("include /test/redis-common.config\n")


def certificates_at_another_place(document: dict, checkout: Path) -> None:
    path = checkout / "test/redis-ratelimits.config"
    path.write_text(path.read_text().replace("ipki/redis/", "ipki/bredis/"))


def an_include_beside_a_log(document: dict, checkout: Path) -> None:
    (checkout / "test/proxysql/users.cnf").write_text("")
    with (checkout / "test/proxysql/proxysql.cnf").open("a") as file:
        file.write('@include "/test/proxysql/users.cnf"\nerrorlog = "/test/proxysql/other.log"\n')


def a_path_of_something_else(document: dict, checkout: Path) -> None:
    with (checkout / "test/redis-ratelimits.config").open("a") as file:
        file.write("# https://example.test/test/nothing.config\n")


def a_second_command_argument(document: dict, checkout: Path) -> None:
    document["services"]["bredis_1"]["command"] += " --save 60 5"


def a_new_fixed_address(document: dict, checkout: Path) -> None:
    document["services"]["bjaeger"]["networks"] = {"bouldernet": {"ipv4_address": "10.77.77.17"}}


def a_service_built_in_the_checkout(document: dict, checkout: Path) -> None:
    (checkout / "test/bnew").mkdir()
    (checkout / "test/bnew/Dockerfile").write_text("FROM redis:7.0.15\n")
    document["services"]["bnew"] = {"build": {"context": "test/bnew"}, "networks": ["bouldernet"]}
    document["services"]["boulder"]["depends_on"]["bnew"] = {"condition": "service_started"}


def a_new_environment_file(document: dict, checkout: Path) -> None:
    (checkout / "test/extra.env").write_text("FROM_A_FILE=yes # a comment\nQUOTED='a b'\n")
    for name in ("boulder", "bconsul"):
        document["services"][name]["env_file"] = [{"path": "test/extra.env", "required": True}]


def a_third_network(document: dict, checkout: Path) -> None:
    document["networks"]["thirdnet"] = {"ipam": {"config": [{"subnet": "10.99.0.0/24"}]}}
    document["services"]["boulder"]["networks"]["thirdnet"] = {"ipv4_address": "10.99.0.77"}
    document["services"]["bredis_1"]["networks"]["thirdnet"] = {"ipv4_address": "10.99.0.4"}


def one_shot(document: dict, checkout: Path) -> None:
    document["services"]["bnew-init"] = {
        "image": "redis:7.0.15",
        "entrypoint": ["redis-cli", "-h", "10.77.77.4", "ping"],
        "depends_on": ["bredis_1"],
        "networks": ["bouldernet"],
    }
    document["services"]["boulder"]["depends_on"]["bnew-init"] = {"condition": "service_completed_successfully"}


def mounts(pod: dict, path: str) -> bool:
    return path in [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]


FUTURES: list[tuple[Callable[[dict, Path], None], Callable[[dict], object]]] = [
    (a_new_database_beside_the_old_one, lambda pods: "bmariadb" in pods and "bpostgres" in pods),
    (a_renamed_service_with_its_old_name_as_alias, lambda pods: "bmariadb" not in pods and "bmaria" in pods),
    (a_removed_service, lambda pods: "bjaeger" not in pods),
    (a_moved_configuration_file, lambda pods: "agent.hcl" in str(pods["bconsul"])),
    (a_configuration_file_in_a_new_directory, lambda pods: "/test/redis/ratelimits.config" in str(pods["bredis-1"])),
    (a_file_that_a_configuration_file_includes, lambda pods: mounts(pods["bredis-1"], "/test")),
    (certificates_at_another_place, lambda pods: mounts(pods["bredis-2"], "/test")),
    (
        an_include_beside_a_log,
        lambda pods: mounts(pods["bproxysql"], "/test") and not mounts(pods["bredis-1"], "/test"),
    ),
    (a_path_of_something_else, lambda pods: not mounts(pods["bredis-1"], "/test")),
    (a_second_command_argument, lambda pods: "--save" in str(pods["bredis-1"])),
    (a_new_fixed_address, lambda pods: "bjaeger" in pods),
    (a_service_built_in_the_checkout, lambda pods: pods["bnew"]["containers"][0]["image"].endswith("-bnew")),
    (a_new_environment_file, lambda pods: "FROM_A_FILE" in str(pods["boulder"]) and "QUOTED" in str(pods["bconsul"])),
    (a_third_network, lambda pods: "bredis-1" in pods),
    (one_shot, lambda pods: "bnew-init" not in pods),
]


@pytest.mark.parametrize(("change", "right"), FUTURES, ids=[change.__name__ for change, _ in FUTURES])
def test_a_change_of_the_checkout_is_followed(
    tmp_path: Path, change: Callable[[dict, Path], None], right: Callable[[dict], object]
) -> None:
    """`followed` compares what is rendered with the Compose file: it lets no difference pass that is not intended."""
    checkout = tmp_path / "boulder"
    shutil.copytree(ROOT / "tests/fixtures/boulder", checkout)
    path = checkout / "docker-compose.yml"
    document = yaml.safe_load(path.read_text())
    change(document, checkout)
    path.write_text(yaml.safe_dump(document))
    assert right(pods(followed(checkout, tmp_path / "overlay").objects))
