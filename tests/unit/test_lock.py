"""One command at a time per cluster: real processes, since the kernel's lock is what is relied on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from boulder_k8s.cluster import volume
from boulder_k8s.host import state
from boulder_k8s.host.errors import Interrupted, Problem
from boulder_k8s.host.lock import checkout_held, held, look
from boulder_k8s.host.settings import ROOT, Settings

HOLDER = """
import subprocess, sys
from pathlib import Path
from boulder_k8s.host.lock import held
from boulder_k8s.host.settings import Settings
with held(Settings(Path(sys.argv[1]), "unit", "node", ()), "./tk8s.sh --unit"):
    child = subprocess.Popen(["sleep", "1000"])
    print(child.pid, flush=True)
    sys.stdin.read()
    child.kill()
"""


USER = HOLDER.replace("import held", "import checkout_held").replace(
    'with held(Settings(Path(sys.argv[1]), "unit", "node", ())',
    'with checkout_held(Settings(Path(sys.argv[1]), "other", "node", ()), Path(sys.argv[2])',
)
Start = Callable[..., subprocess.Popen]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts another process that runs HOLDER or USER, which have a child of their own."""
    holders = []

    def start(program: str, *words: Path) -> subprocess.Popen:
        holder = subprocess.Popen(
            [sys.executable, "-c", program, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        holders.append((holder, int(holder.stdout.readline())))
        return holder

    yield start
    for holder, child in holders:
        holder.kill()
        holder.wait()
        holder.stdin.close()
        holder.stdout.close()
        subprocess.run(["kill", "-9", str(child)], stderr=subprocess.DEVNULL)


@pytest.fixture
def hold(start: Start, settings: Settings) -> Start:
    """Starts another process that holds the lock."""
    return partial(start, HOLDER, settings.root)


@pytest.fixture
def busy(start: Start, checkout: Path) -> Start:
    """Starts another process that works with the checkout, on the cluster `other`, for the project whose directory it is given."""
    return lambda root: start(USER, root, checkout)


def test_a_second_holder_is_told_who_and_changes_nothing(settings: Settings, hold) -> None:
    holder = hold()
    for _ in range(2):  # the first refusal leaves the holder's name in place
        with pytest.raises(Problem) as caught, held(settings, "second"):
            pass
        assert "Cluster unit is in use: `./tk8s.sh --unit` runs since" in caught.value.message
        assert f"process {holder.pid}" in caught.value.message
        assert "KIND_CLUSTER" in caught.value.fix


def test_the_lock_is_free_after_its_holder(settings: Settings, hold) -> None:
    holder = hold()
    holder.communicate("", timeout=20)
    with held(settings, "second"):
        pass


def test_a_killed_holder_leaves_no_lock_even_if_its_children_live_on(settings: Settings, hold) -> None:
    holder = hold()
    holder.kill()
    holder.wait()
    with held(settings, "second"):
        pass


def test_other_clusters_do_not_wait(settings: Settings, hold) -> None:
    hold()
    with held(Settings(settings.root, "other", "node", ()), "second"):
        pass


def test_removing_the_clusters_state_does_not_free_the_lock(settings: Settings, hold) -> None:
    """`invoke down` removes the state directory while it holds the lock."""
    settings.state.mkdir(parents=True)
    hold()
    shutil.rmtree(settings.state)
    with pytest.raises(Problem), held(settings, "second"):
        pass


def test_an_error_in_the_block_frees_the_lock(settings: Settings) -> None:
    with pytest.raises(ZeroDivisionError), held(settings, "first"):
        raise ZeroDivisionError
    with held(settings, "second"):
        pass


@pytest.mark.parametrize("error", [Problem("It is wrong.", "Mend it."), Interrupted(15), SystemExit(2)])
def test_a_command_that_has_ended_is_not_said_to_be_killed(settings: Settings, error: BaseException) -> None:
    with pytest.raises(type(error)), held(settings, "./tk8s.sh"):
        raise error
    assert look(settings) == ("", False)


def test_a_command_that_was_killed_is(settings: Settings, hold) -> None:
    holder = hold()
    assert look(settings)[1]
    holder.kill()
    holder.wait()
    said, is_held = look(settings)
    assert said.startswith("`./tk8s.sh --unit` runs since") and not is_held


def test_two_clusters_do_not_run_into_one_checkout(settings: Settings, checkout: Path, busy, tmp_path: Path) -> None:
    """Nothing is written into the checkout for it."""
    before = sorted(checkout.rglob("*"))
    holder = busy(settings.root)
    for _ in range(2):
        with pytest.raises(Problem) as caught, checkout_held(settings, checkout, "./tk8s.sh"):
            pass
        assert f"{checkout} is in use: `./tk8s.sh --unit` runs on cluster other since" in caught.value.message
        assert f"process {holder.pid}" in caught.value.message
        assert "Wait for it to end, or use another checkout" in caught.value.fix
    with checkout_held(settings, tmp_path, "another checkout"):
        pass
    holder.kill()
    holder.wait()
    with checkout_held(settings, checkout, "./tk8s.sh"):  # even if its children live on
        assert sorted(checkout.rglob("*")) == before


def test_another_clone_of_this_project_does_not_run_into_it_either(
    settings: Settings, checkout: Path, busy, tmp_path: Path
) -> None:
    busy(tmp_path / "clone")
    with pytest.raises(Problem, match="in use: a boulder-k8s in another directory runs with it"):
        with checkout_held(settings, checkout, "./tk8s.sh"):
            pass


NAMES = (
    "boulder",
    "other",
    "json",
    "lock",
    "moved",
    "partial",
    "overlay",
    "locks",
    "volumes",
    "kubeconfig",
    "control-plane",
)


def test_no_cluster_has_a_path_that_another_has_too(settings: Settings) -> None:
    """Names that end or begin like one of our suffixes and directories: boulder.lock, boulder.json, boulder-control-plane."""
    ends = (".lock", ".json", ".moved", ".partial", ".1", "-control-plane", "-next", ".", "..")
    taken: dict[str, str] = {}
    for cluster in [*NAMES, *(f"{name}{end}" for name in NAMES for end in ends)]:
        one = Settings.from_environment({"KIND_CLUSTER": cluster, "KIND_NODE_IMAGE": "node"}, settings.root)
        shared = {one.file("compose"), one.file("compose-next"), one.file("loaded"), one.file("versions")}
        places = {one.state, one.standby, one.lock, one.kubeconfig, *(one.file(name) for name in state.FILES)} - shared
        for place in [*map(str, places), one.node, one.context, volume.name(one)]:
            assert taken.setdefault(place, cluster) == cluster
        for place in places:  # none lies in what another command removes or writes
            assert {taken.get(str(above), cluster) for above in place.parents} == {cluster}
            assert place.is_relative_to(settings.root)
            assert os.path.normpath(place) == str(place)
