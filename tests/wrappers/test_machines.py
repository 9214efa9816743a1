"""Machines on which the cluster cannot work: two lines and exit code 2 before anything is made, and a line of the doctor."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from support.machine import Machine, refused

GIB = 2**30
ROOTLESS = {"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]}
# Of podman 4.3.1, with what we read of it; and of its service behind Docker's own program.
PODMAN = {"host": {"arch": "amd64"}, "store": {}, "registries": {}, "version": {"Version": "4.3.1"}}
SERVICE = {"ServerVersion": "5.2.2", "ProductLicense": "Apache-2.0", "DockerRootDir": "/var/lib/containers/storage"}


def refused_everywhere(machine: Machine, message: str, fix: str, line: str, **environment: str) -> None:
    """Asserts that the wrapper and `up` refuse the machine in these words, and that the doctor's line says the same."""
    for tool in ("docker", "kind"):
        (machine.state / f"{tool}.calls").unlink(missing_ok=True)
    for result in (machine.run("-h", **environment), machine.invoke("up", **environment)):
        refused(machine, result, message, fix)
        assert f"its line {line}." in result.stderr
    assert not machine.calls("kind")
    assert [call for call in machine.calls("docker") if call[0] == "compose"] == []  # nothing pulled, built, resolved
    doctor = machine.invoke("doctor", "--json", **environment)
    check = next(check for check in json.loads(doctor.stdout) if check["name"] == line)
    assert (check["level"], message in check["found"], fix in check["fix"]) == ("fail", True, True), check
    assert doctor.returncode == 1


@pytest.mark.parametrize("answer", [PODMAN, SERVICE])
def test_podman_in_place_of_docker(machine: Machine, answer: dict) -> None:
    machine.tell("podman", json.dumps(answer))
    refused_everywhere(machine, "docker is podman here", "Install Docker Engine in place of podman", "docker-engine")


def test_a_socket_that_is_closed_to_the_user(machine: Machine) -> None:
    machine.tell("docker-closed")
    refused_everywhere(
        machine, "Docker's socket /var/run/docker.sock is closed to you", "log in again", "docker-engine"
    )


@pytest.mark.parametrize("host", ["tcp://203.0.113.7:2376", "ssh://builder@far.example", "tcp://docker:2375"])
def test_an_engine_on_another_machine(machine: Machine, host: str) -> None:
    message = f"Docker is on another machine (DOCKER_HOST says {host})"
    refused_everywhere(machine, message, "unset DOCKER_HOST", "docker-place", DOCKER_HOST=host)
    assert machine.calls("docker") == [] or all(call[0] != "create" for call in machine.calls("docker"))


def test_a_context_of_another_machine(machine: Machine) -> None:
    docker = machine.state / ".docker"
    known = docker / "contexts/meta" / hashlib.sha256(b"far").hexdigest()  # as `docker context create far` names it
    known.mkdir(parents=True)
    address = "ssh://builder@far.example"
    (known / "meta.json").write_text(json.dumps({"Name": "far", "Endpoints": {"docker": {"Host": address}}}))
    message = f"Docker is on another machine (the docker context far says {address})"
    fix = "docker context use default"
    refused_everywhere(machine, message, fix, "docker-place", DOCKER_CONTEXT="far")
    (docker / "config.json").write_text(json.dumps({"currentContext": "far"}))
    refused_everywhere(machine, message, fix, "docker-place")


def test_an_engine_that_does_not_see_our_files(machine: Machine) -> None:
    """Also through a tunnel: whether localhost is this machine, only a file can tell."""
    machine.tell("blind", str(machine.project))
    message = f"mount {machine.project}" if Path("/.dockerenv").exists() else f"see {machine.project}"
    refused_everywhere(machine, message, "", "docker-place", DOCKER_HOST="tcp://127.0.0.1:2375")
    machine.tell("blind", str(machine.checkout))
    refused_everywhere(machine, str(machine.checkout), "", "docker-place")
    assert list((machine.project / ".state").glob("seen-by-docker-*")) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({**ROOTLESS, "CgroupVersion": "1"}, "rootless on a machine with cgroup v1"),
        ({**ROOTLESS, "CgroupDriver": "none", "MemoryLimit": True, "PidsLimit": True, "CPUShares": True}, "rootless"),
        (
            {**ROOTLESS, "CgroupDriver": "systemd", "MemoryLimit": True, "PidsLimit": True, "CPUShares": False},
            "rootless",
        ),
    ],
)
def test_a_rootless_engine_that_kind_refuses(machine: Machine, changes: dict, message: str) -> None:
    machine.tell("docker-info", json.dumps(changes))
    refused_everywhere(machine, message, "Use Docker as root's service", "docker-install")


def test_too_little_memory(machine: Machine) -> None:
    machine.tell("docker-info", json.dumps({"MemTotal": 1.5 * GIB, "NCPU": 1}))
    refused_everywhere(machine, "Docker has 1.5 GiB of memory", "Give Docker 6 GiB", "docker-memory")


def test_what_may_work_is_tried(machine: Machine) -> None:
    """One processor, little memory, a rootless engine that has what kind asks for."""
    limits = {"CgroupDriver": "systemd", "MemoryLimit": True, "PidsLimit": True, "CPUShares": True}
    machine.tell("docker-info", json.dumps({**ROOTLESS, **limits, "MemTotal": 4 * GIB, "NCPU": 1}))
    assert machine.run("-h").returncode == 0


def test_a_warm_run_asks_the_engine_nothing_more(machine: Machine) -> None:
    assert machine.run("-h").returncode == 0
    assert [call[0] for call in machine.calls("docker")].count("create") == 2  # this project, and the checkout
    (machine.state / "docker.calls").unlink()
    machine.tell("docker-info", json.dumps({"MemTotal": GIB}))
    assert machine.run("-h").returncode == 0
    assert {call[0] for call in machine.calls("docker")} & {"info", "create", "network", "version"} == set()
    refused_now = machine.run("-h", DOCKER_HOST="ssh://far.example")
    assert (refused_now.returncode, "another machine" in refused_now.stderr) == (2, True)


def test_without_docker_or_images_debian_is_told_about_the_lab(machine: Machine) -> None:
    """The lab is made from Debian's packages: other systems are not sent there."""
    debian = "ID=debian" in Path("/etc/os-release").read_text().splitlines()
    offer = "project/tests/lab/lab run ARGS`"
    machine.tell("no-image", "*")
    result = machine.run("-h")
    refused(machine, result, "cannot be pulled", "Correct the name, the tag or the digest")
    assert (offer in result.stderr) == debian
    (machine.state / "bin/docker").unlink()
    for name in ("bash", "dirname", "git", "python3", "readlink", "realpath"):  # all of /usr/bin but Docker
        (machine.state / "bin" / name).symlink_to(shutil.which(name))
    path = str(machine.state / "bin")
    result = machine.run("-h", PATH=path)
    refused(machine, result, "docker is not on PATH", "Install Docker Engine")
    assert (offer in result.stderr) == debian
    doctor = machine.invoke("doctor", PATH=path)
    assert ("docker is not on PATH" in doctor.stdout, offer.removeprefix("project/") in doctor.stdout) == (True, debian)
