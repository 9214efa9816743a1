"""A node and the .runs that it mounts: Docker resolves the mount when the node starts, and never later."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.programs import Programs

from boulder_k8s.cluster import sight
from boulder_k8s.cluster.kind import Cluster
from boulder_k8s.host import state
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import Settings
from boulder_k8s.host.tools import Tools
from boulder_k8s.manifests.checkout import Checkout
from boulder_k8s.run.directory import Run


class Node:
    """A node whose mount stays with the directory that .runs was when it started."""

    def __init__(self, programs: Programs, settings: Settings, checkout: Path) -> None:
        self.programs, self.settings, self.checkout = programs, settings, checkout
        self.starts = 0
        programs.answer("docker", "container inspect", "cat $cd/node")
        programs.answer("docker", "stop --time=30 unit-control-plane", "sed -i s/true/false/ $cd/node")
        self.start()

    def start(self) -> None:
        """Mounts .runs as it is now."""
        self.starts += 1
        self.settings.runs.mkdir(exist_ok=True)
        inode = self.settings.runs.stat().st_ino
        # Shows what is there only as long as it is the directory of then.
        look = f'[ "$(stat -Lc %i {self.settings.runs})" = {inode} ] && ls -A {self.settings.runs} | grep -- "${{@: -1}}"; true'
        self.programs.answer("docker", "exec unit-control-plane find", look)
        self.write()

    def write(self) -> None:
        mounts = [
            {"Type": "bind", "Source": str(self.checkout), "Destination": "/boulder"},
            {"Type": "bind", "Source": str(self.settings.runs), "Destination": "/runs"},
        ]
        self.found = {
            "Id": "node-1",
            "State": {"Running": True, "StartedAt": f"start {self.starts}"},
            "Mounts": mounts,
            "HostConfig": {
                "PortBindings": {
                    f"{port.container}/tcp": [{"HostPort": str(port.host)}] for port in self.settings.ports
                }
            },
        }
        (self.programs.directory / "node").write_text(json.dumps([self.found]))


@pytest.fixture
def node(programs: Programs, settings: Settings, checkout: Path) -> Node:
    return Node(programs, settings, checkout)


@pytest.fixture
def cluster(node: Node, settings: Settings, checkout: Path) -> Cluster:
    state.write(settings.file("cluster"), {"node": "node-1", "checkout": [checkout.stat().st_ino]})
    return Cluster(settings, Tools(Path("/kind"), Path("/kubectl")))


def replaced(runs: Path) -> None:
    runs.rename(runs.with_name("old"))  # its inode stays in use, as the mount keeps it
    runs.mkdir()


def copied(runs: Path) -> None:
    """A backup that was brought back, with every file."""
    runs.rename(runs.with_name("old"))
    shutil.copytree(runs.with_name("old"), runs, symlinks=True)


def linked(runs: Path) -> None:
    runs.rename(runs.with_name("old"))
    runs.with_name("elsewhere").mkdir()
    runs.symlink_to("elsewhere")


def test_a_node_is_asked_once_as_long_as_nothing_changes(node: Node, settings: Settings, programs: Programs) -> None:
    for _ in range(3):
        assert not sight.blind_to(settings, node.found)
    assert programs.called("docker", "exec") == 1
    assert not list(settings.runs.glob(".probe-*"))


@pytest.mark.parametrize("fault", [replaced, copied, linked])
def test_a_node_that_does_not_see_runs_any_more_is_stopped_to_start_anew(
    cluster: Cluster, node: Node, settings: Settings, checkout: Path, programs: Programs, fault
) -> None:
    assert cluster.seeing(Checkout(checkout), cluster.node())["State"]["Running"]
    fault(settings.runs)
    Run.create(settings, ["t"], {})
    assert not cluster.seeing(Checkout(checkout), cluster.node())["State"]["Running"]
    node.start()
    assert cluster.seeing(Checkout(checkout), cluster.node())["State"]["Running"]


def test_a_node_of_another_checkout_is_not_stopped(
    cluster: Cluster, settings: Settings, tmp_path: Path, programs
) -> None:
    replaced(settings.runs)
    (tmp_path / "other").mkdir()
    with pytest.raises(Problem, match="was made for the checkout"):
        cluster.seeing(Checkout(tmp_path / "other"), cluster.node())
    assert not programs.called("docker", "stop")


def test_a_node_that_does_not_answer_is_left_to_those_who_name_why(node: Node, settings: Settings, programs) -> None:
    programs.answer("docker", "exec unit-control-plane find", "exit 1")
    assert not sight.blind_to(settings, node.found)
    assert not sight.blind_to(settings, node.found | {"State": {"Running": True, "Paused": True}})
    assert not sight.blind_to(settings, node.found | {"State": {"Running": False}})


def dangling(runs: Path) -> None:
    runs.symlink_to("nowhere")


def a_file(runs: Path) -> None:
    runs.touch()


def endless(runs: Path) -> None:
    runs.symlink_to(runs)


@pytest.mark.parametrize("fault", [dangling, a_file, endless])
def test_a_runs_that_is_no_directory_is_two_lines(settings: Settings, fault) -> None:
    fault(settings.runs)
    with pytest.raises(Problem, match="does not take the run's directory") as caught:
        Run.create(settings, ["t"], {})
    settings.runs.unlink()  # the advice
    assert "if you remove it, it is made anew" in caught.value.fix
    assert Run.create(settings, ["t"], {}).path.exists()


def test_a_runs_that_is_read_only_is_two_lines(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.runs.mkdir()
    (settings.runs / ".gitignore").touch()
    mkdir = Path.mkdir

    def refused(path: Path, *arguments: object, **options: bool) -> None:
        if path.parent == settings.runs:
            raise OSError(30, "Read-only file system", str(path))
        mkdir(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(Problem, match="Read-only file system"):
        Run.create(settings, ["t"], {})


def test_a_runs_that_is_a_link_works(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "big disk").mkdir()
    settings.runs.symlink_to(tmp_path / "big disk")
    path = Run.create(settings, ["t"], {}).path
    assert (tmp_path / "big disk" / path.name / "run.json").exists()
    assert (settings.runs / "latest").resolve() == path.resolve()
