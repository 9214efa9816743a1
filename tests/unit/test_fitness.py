"""Where Docker's engine is, from what a machine or a container shows of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.programs import Programs

from boulder_k8s.host import docker, docker_problems, fitness
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import Settings

ID = "4b" * 32
# As Docker 28 mounts it in a container.
MOUNTS = f"1057 1043 254:0 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw,relatime - ext4 /dev/vda rw\n"


@pytest.fixture
def container(tmp_path: Path) -> Path:
    """The root of a container."""
    (tmp_path / "root/proc/self").mkdir(parents=True)
    (tmp_path / "root/proc/self/mountinfo").write_text(MOUNTS)
    return tmp_path / "root"


def in_network(programs: Programs, network: str) -> None:
    known = [{"HostConfig": {"NetworkMode": network}}]
    (programs.directory / "known").write_text(json.dumps(known))
    programs.answer("docker", f"container inspect {ID}", "cat $cd/known")


def sees(programs: Programs, seen: bool) -> None:
    said = "No such image: boulder-k8s.invalid/none:none" if seen else "bind source path does not exist: $5"
    programs.answer("docker", "create", f'echo "Error response from daemon: {said}" >&2; exit 1')


@pytest.mark.parametrize("network", ["bridge", "mine_default"])
def test_a_container_with_a_network_of_its_own_does_not_reach_the_cluster(
    programs: Programs, settings: Settings, container: Path, checkout: Path, network: str
) -> None:
    sees(programs, True)
    in_network(programs, network)
    with pytest.raises(Problem, match="a network of its own") as caught:
        fitness.check_place(settings, checkout, container)
    assert "--network=host" in caught.value.fix
    in_network(programs, "host")
    fitness.check_place(settings, checkout, container)


def test_a_container_whose_files_the_engine_does_not_see(
    programs: Programs, settings: Settings, container: Path, checkout: Path
) -> None:
    sees(programs, False)
    in_network(programs, "bridge")
    with pytest.raises(Problem, match="This is a container, and Docker runs outside of it") as caught:
        fitness.check_place(settings, checkout, container)
    assert "the very paths that they have on the host" in caught.value.fix


def test_a_machine_whose_files_the_engine_does_not_see(programs: Programs, settings: Settings, checkout: Path) -> None:
    sees(programs, False)
    with pytest.raises(Problem, match=": it runs on another or a virtual machine.") as caught:
        fitness.check_place(settings, checkout, checkout)
    assert "docker context ls" in caught.value.fix


def test_a_container_that_has_an_engine_inside_is_a_machine(
    programs: Programs, settings: Settings, container: Path, checkout: Path
) -> None:
    sees(programs, True)
    programs.answer("docker", f"container inspect {ID}", f'echo "Error: No such container: {ID}" >&2; exit 1')
    fitness.check_place(settings, checkout, container)
    assert programs.called("docker", "create") == 2


def test_docker_desktops_word_for_a_directory_that_is_not_shared(programs: Programs) -> None:
    programs.answer("docker", "create", 'echo "mounts denied: The path $5 is not shared from the host" >&2; exit 125')
    assert not docker.sees(Path("/a,b"))
    assert programs.calls("docker")[-1][3] == 'type=bind,"source=/a,b",target=/seen'


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("unix:///var/run/docker.sock", True),
        ("tcp://localhost:2375", True),
        ("tcp://127.0.0.5:2375", True),
        ("tcp://[::1]:2375", True),
        ("ssh://me@localhost", True),
        ("tcp://203.0.113.7:2376", False),
        ("tcp://[2001:db8::7]:2376", False),
        ("ssh://me@build.example:22", False),
    ],
)
def test_an_address_tells_whether_the_engine_may_be_here(host: str, here: bool) -> None:
    assert fitness.is_here(host) is here


def test_a_user_who_has_joined_the_group_since_login_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker's advice is followed by many without a new login, and then given again."""
    me = docker_problems.pwd.getpwuid(docker_problems.os.getuid()).pw_name
    members: list[str] = []

    def group(_: int) -> object:
        return type("group", (), {"gr_name": "docker", "gr_gid": 995, "gr_mem": members})

    monkeypatch.setattr(docker_problems.grp, "getgrgid", group)
    monkeypatch.setenv("DOCKER_HOST", "unix:///dev/null")
    said = "permission denied while trying to connect to the Docker daemon socket at unix:///dev/null"
    assert docker_problems.unreachable(said).fix.startswith(f"Join its group with `sudo usermod -aG docker {me}`")
    members.append(me)
    assert "log in again, or type `newgrp docker`" in docker_problems.unreachable(said).fix


def test_podman_whose_service_does_not_answer_is_podman(programs: Programs) -> None:
    """podman-docker 4.3.1 in a container that may not mount overlays."""
    said = "Error: 'overlay' is not supported over overlayfs, a mount_program is required"
    programs.answer("docker", "info", f'echo "{said}" >&2; exit 125')
    programs.answer("docker", "--version", "echo podman version 4.3.1")
    with pytest.raises(Problem, match="docker is podman here"):
        docker.info()
    programs.answer("docker", "--version", "echo Docker version 28.2.2, build 1")
    with pytest.raises(Problem, match="The Docker engine does not answer"):
        docker.info()
