"""The doctor's line on drift, with the real Compose and kustomize: neither a cluster nor an image is asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from support.rendering import SETTINGS

from boulder_k8s.diagnose import project
from boulder_k8s.diagnose.doctor import Check, examine
from boulder_k8s.diagnose.machine import Machine
from boulder_k8s.host.settings import ROOT

pytestmark = pytest.mark.usefixtures("docker_compose")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    path = tmp_path / "boulder"
    shutil.copytree(ROOT / "tests/fixtures/boulder", path)
    monkeypatch.setattr("boulder_k8s.diagnose.doctor.CHECKS", (project.compose_file,))
    return Machine(SETTINGS, {"BOULDER_DIR": str(path)})


def line(machine: Machine, services: dict | None = None) -> Check:
    path = Path(machine.environ["BOULDER_DIR"])
    if services:
        # t.sh reads an override file, tn.sh does not: it is in the file that both read.
        document = yaml.safe_load((path / "docker-compose.yml").read_text())
        for name, service in services.items():
            document["services"][name] = {**document["services"].get(name, {}), **service}
        (path / "docker-compose.yml").write_text(yaml.safe_dump(document))
    (found,) = examine(machine)
    return found


def depending(machine: Machine, **service: object) -> dict:
    path = Path(machine.environ["BOULDER_DIR"]) / "docker-compose.yml"
    boulder = yaml.safe_load(path.read_text())["services"]["boulder"]
    needs = {**boulder["depends_on"], "bredis_3": {"condition": "service_started"}}
    return {"boulder": {"depends_on": needs}, "bredis_3": {"image": "redis:6", **service}}


def test_a_compose_file_that_is_known_or_converted_is_ok(machine: Machine) -> None:
    assert line(machine).found == "docker-compose.yml is followed; k8s/base has every service"
    found = line(machine, depending(machine))
    assert (found.level, found.found) == ("ok", "docker-compose.yml is followed; converted are bredis_3")


def test_what_a_run_refuses_fails_in_its_words(machine: Machine) -> None:
    found = line(machine, depending(machine, pid="host"))
    assert found.level == "fail"
    assert found.found.startswith("docker-compose.yml: the service bredis_3 has `pid`, which has no counterpart")
    machine.environ = {**machine.environ, "BOULDER_K8S_DRIFT": "note"}
    found = line(machine)
    assert (found.level, "bredis_3 goes on without its `pid`" in found.found) == ("warning", True)
    assert found.found.count("pid") == 1  # for config and config-next


def test_a_service_of_the_base_that_is_another_fails(machine: Machine) -> None:
    found = line(machine, {"bredis_1": {"volumes": ["/etc/hosts:/x"]}})
    assert (found.level, "bredis_1 (mount /x)" in found.found) == ("fail", True)


def test_files_that_compose_refuses_fail_in_composes_words(machine: Machine) -> None:
    found = line(machine, {"bredis_1": {"depends_on": ["nobody"]}})
    assert found.level == "fail"
    assert 'service "bredis_1" depends on undefined service "nobody"' in found.found


def test_without_a_checkout_there_is_nothing_to_compare(machine: Machine) -> None:
    machine.environ = {"BOULDER_DIR": "/nowhere"}
    assert line(machine).level == "ok"
