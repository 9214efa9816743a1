"""Every check of `invoke doctor` finds the trouble that it is there for, names it and says what to do."""

from __future__ import annotations

import ast
import json
import shutil
import socket
import threading
import time
from pathlib import Path

import pytest
from support.programs import Programs

from boulder_k8s.diagnose import engine, project
from boulder_k8s.diagnose import machine as checks
from boulder_k8s.diagnose.doctor import CHECKS, Check, doctor, examine
from boulder_k8s.diagnose.machine import FAIL, OK, WARNING, Machine
from boulder_k8s.host import lock, state, tools
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import ROOT, Settings, parse_ports
from boulder_k8s.host.tools import Tools

INFO = {
    "ServerVersion": "28.0.0",
    "CgroupVersion": "2",
    "Driver": "overlay2",
    "MemTotal": 16 * 2**30,
    "DockerRootDir": "/",
    "SecurityOptions": ["name=seccomp,profile=builtin"],
}
LIMITS = {"MemoryLimit": True, "PidsLimit": True, "CPUShares": True}
ROUTES = "Iface Destination Gateway Flags RefCnt Use Metric Mask\n"


@pytest.fixture
def machine(programs: Programs, settings: Settings, checkout: Path, tmp_path: Path, monkeypatch) -> Machine:
    """One on which nothing is wrong."""
    told(programs, {})
    programs.answer("docker", "compose version", "echo 2.40.0")
    programs.answer("docker", "container inspect", 'echo "Error: No such container: $3" >&2; exit 1')
    programs.answer("docker", "create", "echo No such image >&2; exit 1")
    programs.answer("docker", "ps", "true")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("usage", (), {"free": 100 * 2**30}))
    monkeypatch.setattr(tools, "find", lambda settings: Tools(Path("/kind"), Path("/kubectl")))
    programs.answer("docker", "volume ls", "true")
    monkeypatch.setattr(project, "followed", lambda *_: (set(), []))  # tests/manifests/test_doctor.py
    monkeypatch.setattr(checks.socket, "getaddrinfo", lambda name, *_, **__: answer("127.0.0.1"))
    inotify = tmp_path / "system/proc/sys/fs/inotify"
    inotify.mkdir(parents=True)
    (inotify / "max_user_instances").write_text("8192\n")
    (inotify / "max_user_watches").write_text("524288\n")
    (tmp_path / "system/proc/net").mkdir()
    (tmp_path / "system/proc/net/route").write_text(ROUTES + "eth0 00000000 0100000A 0003 0 0 100 00000000\n")
    return Machine(settings, {"BOULDER_DIR": str(checkout)}, tmp_path / "system")


def answer(address: str) -> list:
    """Of getaddrinfo."""
    return [(2, 1, 6, "", (address, 443))]


def told(programs: Programs, changes: dict) -> None:
    """Lets `docker info` answer."""
    (programs.directory / "info").write_text(json.dumps(INFO | changes))
    programs.answer("docker", "info", "cat $cd/info")


def found(machine: Machine, name: str) -> Check:
    return next(check for check in examine(machine) if check.name == name)


def test_a_machine_with_nothing_wrong_is_ok_throughout(machine: Machine) -> None:
    assert [(check.name, check.found) for check in examine(machine) if check.level != OK] == []
    assert len(list(examine(machine))) == len(CHECKS)


@pytest.mark.parametrize(
    ("changes", "name", "level", "words"),
    [
        ({"ServerVersion": "19.3.1"}, "docker-engine", FAIL, "20.10"),
        ({"Driver": "vfs"}, "docker-engine", WARNING, "overlay2"),
        ({"MemTotal": 2 * 2**30}, "docker-memory", WARNING, "6 GiB"),
        ({"DockerRootDir": "/var/snap/docker"}, "docker-install", FAIL, "docs.docker.com"),
        ({"MemTotal": 1 * 2**30}, "docker-memory", FAIL, "6 GiB"),
        ({"SecurityOptions": ["name=rootless"]}, "docker-install", FAIL, "Delegate=yes"),
        ({"SecurityOptions": ["name=rootless"], **LIMITS}, "docker-install", WARNING, "rootless"),
    ],
)
def test_dockers_trouble(
    machine: Machine, programs: Programs, changes: dict, name: str, level: str, words: str
) -> None:
    told(programs, changes)
    check = found(machine, name)
    assert (check.level, words in check.fix) == (level, True)


def test_an_engine_that_is_down_fails_and_keeps_no_other_check_from_being_made(
    machine: Machine, programs: Programs
) -> None:
    programs.answer("docker", "info", 'echo "Cannot connect to the Docker daemon" >&2; exit 1')
    made = list(examine(machine))
    assert made[0].level == FAIL
    assert "Start it" in made[0].fix
    assert len(made) == len(CHECKS)


def test_a_check_that_breaks_says_so(machine: Machine, programs: Programs) -> None:
    programs.answer("docker", "ps", "echo no >&2; exit 1")
    check = found(machine, "other-clusters")
    assert (check.level, "could not be looked at" in check.found) == (WARNING, True)


def test_compose_disk_inotify_routes_and_proxies(machine: Machine, programs: Programs, monkeypatch) -> None:
    programs.answer("docker", "compose version", "exit 1")
    assert found(machine, "docker-compose").level == FAIL
    for version, level in {"2.20.1": FAIL, "v2.20.2": OK, "2.40.3-3": OK, "dev": OK}.items():
        programs.answer("docker", "compose version", f"echo {version}")
        assert found(machine, "docker-compose").level == level, version
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("usage", (), {"free": 8 * 2**30}))
    programs.answer("docker", "image ls", "true")
    assert found(machine, "docker-disk").level == FAIL  # the images take 15
    programs.answer("docker", "image ls", "echo 0123456789ab")
    assert found(machine, "docker-disk").level == OK  # the engine has them
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("usage", (), {"free": 4 * 2**30}))
    assert found(machine, "docker-disk").level == FAIL
    monkeypatch.setattr(engine.volume, "images", lambda _: {"image": "id"})
    assert found(machine, "docker-disk").level == WARNING  # the node has them too
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("usage", (), {"free": 1 * 2**30}))
    assert found(machine, "docker-disk").level == FAIL
    (machine.root / "proc/sys/fs/inotify/max_user_instances").write_text("128\n")
    assert found(machine, "inotify").fix == "sudo sysctl fs.inotify.max_user_instances=512"
    (machine.root / "proc/net/route").write_text(ROUTES + "tun0 00004D0A 00000000 0001 0 0 0 0000FFFF\n")
    check = found(machine, "subnets")
    assert (check.level, "10.77.0.0/16 is routed to tun0" in check.found) == (WARNING, True)
    (machine.root / "proc/net/route").write_text(ROUTES + "br-1 004D4D0A 00000000 0001 0 0 0 00FFFFFF\n")
    assert found(machine, "subnets").level == OK  # Compose's own network
    machine.environ = {**machine.environ, "HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "localhost"}
    assert found(machine, "proxy").fix == "export NO_PROXY=localhost,127.0.0.1,10.77.0.0/16"


def test_a_port_that_is_taken(machine: Machine, programs: Programs) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        machine.settings = Settings(machine.settings.root, "unit", "node:test", parse_ports(f"{port}:4001"))
        check = found(machine, "host-ports")
    assert (check.level, str(port) in check.found, "BOULDER_PORTS" in check.fix) == (FAIL, True, True)


def test_the_checkouts_trouble(machine: Machine, checkout: Path, tmp_path: Path) -> None:
    (checkout / ".git").write_text("gitdir: /elsewhere/.git/worktrees/x\n")
    assert found(machine, "boulder-checkout").level == WARNING
    machine.environ = {"BOULDER_DIR": str(tmp_path)}
    check = found(machine, "boulder-checkout")
    assert (check.level, "docker-compose.yml" in check.found) == (FAIL, True)


def node(machine: Machine, checkout: str) -> str:
    mounts = [
        {"Type": "bind", "Source": str(machine.settings.runs), "Destination": "/runs"},
        {"Type": "bind", "Source": checkout, "Destination": "/boulder"},
    ]
    return json.dumps([{"Id": "node-1", "State": {"Running": True}, "Mounts": mounts}])


def test_the_clusters_trouble(machine: Machine, programs: Programs, checkout: Path) -> None:
    (programs.directory / "node").write_text(node(machine, str(checkout)))
    programs.answer("docker", "container inspect", "cat $cd/node")
    assert "half made" in found(machine, "cluster").found
    state.write(machine.settings.file("cluster"), {"node": "node-1"})
    assert found(machine, "cluster").level == OK
    (programs.directory / "node").write_text(node(machine, "/gone"))
    assert (found(machine, "cluster").level, found(machine, "cluster").fix) == (FAIL, "invoke down")
    programs.answer("docker", "ps", "echo another-control-plane")
    assert "KIND_CLUSTER=another" in found(machine, "other-clusters").fix


def test_it_ends_with_1_when_something_fails(machine: Machine, programs: Programs, capsys) -> None:
    told(programs, {"ServerVersion": "19.3.1"})
    assert doctor(machine.settings, as_json=True, environ=machine.environ) == 1
    assert json.loads(capsys.readouterr().out)[0]["level"] == FAIL
    assert doctor(machine.settings, environ=machine.environ) == 1
    assert "Update Docker Engine" in capsys.readouterr().out


def test_names(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def local_only(name: str, *_: object, **__: object) -> list:
        if name != "localhost":
            raise socket.gaierror("Temporary failure in name resolution")
        return answer("127.0.0.1")

    monkeypatch.setattr(checks.socket, "getaddrinfo", local_only)
    check = found(machine, "internet")
    assert (check.level, "github.com is not found" in check.found) == (WARNING, True)
    proxied = Machine(machine.settings, {**machine.environ, "HTTPS_PROXY": "http://proxy:1"}, machine.root)
    assert found(proxied, "internet").level == OK
    (machine.root / "etc").mkdir()
    (machine.root / "etc/resolv.conf").write_text("# ours\nnameserver fe80::1%eth0\nnameserver 10.77.3.1\n")
    check = found(machine, "internet")
    assert (check.level, "10.77.3.1" in check.found) == (WARNING, True)
    monkeypatch.setattr(checks.socket, "getaddrinfo", lambda *_, **__: answer("10.0.0.1"))
    assert found(machine, "internet").level == FAIL


def test_a_name_server_that_never_answers_does_not_hold_the_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(checks.socket, "getaddrinfo", lambda *_, **__: [over.wait(60)][:0])
    begun = time.monotonic()
    assert checks.lookup("github.com") == set()
    assert time.monotonic() - begun < 10
    over.set()


def test_the_checkouts_owner_and_git(machine: Machine, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / ".git").mkdir()  # and nothing in it
    assert "git does not say" in found(machine, "boulder-checkout").found
    monkeypatch.setattr(project.os, "geteuid", lambda: checkout.stat().st_uid + 1)
    check = found(machine, "boulder-checkout")
    assert (check.level, "belongs to user" in check.found) == (WARNING, True)


def test_who_is_at_work_and_who_was_killed(machine: Machine) -> None:
    with lock.held(machine.settings, "invoke up"):
        check = found(machine, "lock")
        assert (check.level, "`invoke up` runs since" in check.found) == (WARNING, True)
    assert found(machine, "lock").found == "idle"
    path = machine.settings.lock
    path.write_text(json.dumps({"what": "./tk8s.sh", "pid": 1, "since": 0}))
    check = found(machine, "lock")
    assert (check.level, "did not finish; the next one cleans up" in check.found, path.read_text() != "") == (
        OK,
        True,
        True,
    )


def test_images_of_clusters_that_are_gone(machine: Machine, programs: Programs) -> None:
    programs.answer("docker", "volume ls", "echo old")
    assert "KIND_CLUSTER=old invoke down --images" in found(machine, "volumes").found
    programs.answer("docker", "container inspect old-control-plane", """echo '[{"Id": "old"}]'""")
    assert found(machine, "volumes").found == "no images of clusters that are gone"


def test_volumes_of_another_clone_are_not_offered(machine: Machine, programs: Programs) -> None:
    """A fake of Docker's own filter: another clone has a volume, an earlier version of this one has made a second."""
    programs.answer("docker", "volume ls", "printf '%s\\n' theirs mine")
    programs.answer("docker", f"label=boulder-k8s.project={machine.settings.root}", "true")
    assert found(machine, "volumes").found == "no images of clusters that are gone"
    noted = machine.settings.file("volume").with_name("mine.json")
    noted.parent.mkdir(parents=True)
    noted.write_text("{}")
    assert "cluster mine (KIND_CLUSTER=mine invoke down --images drops them)" in found(machine, "volumes").found


def test_a_message_points_only_at_lines_that_the_doctor_has() -> None:
    calls = [
        node
        for path in (ROOT / "boulder_k8s").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem"
    ]
    pointed = {keyword.value.value for call in calls for keyword in call.keywords if keyword.arg == "check"}
    assert {"docker-engine", "host-ports", "lock"} <= pointed
    assert pointed <= {check.__name__.replace("_", "-") for check in CHECKS}


@pytest.mark.parametrize(
    ("check", "expected"), [("", "Do it."), ("lock", "Do it. More: `invoke doctor`, its line lock.")]
)
def test_the_advice_names_the_doctors_line(check: str, expected: str) -> None:
    assert Problem("Wrong.", "Do it.", check=check).advice() == expected
