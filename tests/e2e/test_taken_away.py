"""Whatever is taken away between two commands, one thing at a time: the next command makes it good and the databases stay, or it says
in two lines what to do, and that works.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.e2e import CLUSTER, ROOT, Project

from boulder_k8s.host import state

STATE = ROOT / ".state"
OWN = STATE / "clusters" / CLUSTER
NODE = f"{CLUSTER}-control-plane"
MARK = "/var/local/boulder/bmariadb/kept-by-the-tests"
# Below .state; several at once are answers of which each is asked again by itself.
FILES = [
    ["clusters/{cluster}"],
    ["clusters/{cluster}/cluster.json"],
    ["clusters/{cluster}/images.json"],
    ["clusters/{cluster}/kubeconfig"],
    ["mounts"],
    ["."],
    [
        *(file.place for name, file in state.FILES.items() if name not in ("cluster", "images")),
        "clusters/{cluster}/kind.yaml",
        "clusters/{cluster}/overlay",
        "locks",
    ],
]
OBJECTS = [
    "configmap --all",
    "secret --all",
    "service bredis-1",
    "service boulder",
    "networkpolicy --all",
    "deployment bconsul",
    "deployment --all",
    "statefulset bredis-1",
    "statefulset --all",
    "pod --all",
    "pvc --all --wait=false",
    "namespace boulder",
]


def docker(*words: str) -> None:
    subprocess.run(["docker", *words], check=True, capture_output=True, timeout=120)


@pytest.fixture
def ready(stack: Project) -> Project:
    """A cluster that has run something, and a mark among a database's files."""
    if stack.run("--exit=0").returncode:  # what an earlier case has left
        assert stack.invoke("down").returncode == 0
        assert stack.run("--exit=0").returncode == 0
    stack.node("touch", MARK)
    return stack


def node_is(what: str) -> None:
    if what != "running":
        docker({"paused": "pause", "stopped": "stop"}[what], NODE)


def works(project: Project) -> None:
    """The next command succeeds, or what it advises does; the databases are there."""
    result = project.run("--exit=5")
    if result.returncode == 2:
        *_, message, advice = result.stderr.decode().splitlines()
        assert message.startswith("boulder-k8s: ")
        for words in re.findall(r"`((?:invoke|docker) [^`]*)`", advice)[:1]:
            program, *arguments = words.split()
            subprocess.run(
                [ROOT / ".venv/bin/invoke" if program == "invoke" else program, *arguments], env=project.env(), cwd=ROOT
            )
        result = project.run("--exit=5")
    assert result.returncode == 5
    assert MARK in project.node("find", MARK)


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@pytest.mark.parametrize("node", ["running", "paused", "stopped"])
def test_the_node_itself(ready: Project, node: str) -> None:
    node_is(node)
    works(ready)


@pytest.mark.parametrize("places", FILES, ids=lambda places: places[0])
def test_what_is_remembered(ready: Project, places: list[str]) -> None:
    for place in places:
        remove(STATE / place.format(cluster=CLUSTER))
    works(ready)


@pytest.mark.parametrize("place", ["clusters/{cluster}", "mounts", "."])
def test_what_is_remembered_of_a_node_that_is_stopped(ready: Project, place: str) -> None:
    node_is("stopped")
    remove(STATE / place.format(cluster=CLUSTER))
    works(ready)


@pytest.mark.parametrize("what", OBJECTS)
def test_an_object_of_the_cluster(ready: Project, what: str) -> None:
    ready.kubectl("delete", *what.split())
    works(ready)


def cloned_again(checkout: Path) -> None:
    """As a CI agent that lives on does it: another directory, and what was made in the old one is gone."""
    files = subprocess.run(["git", "-C", checkout, "ls-files"], check=True, capture_output=True, text=True).stdout
    again = checkout.with_name("again")
    for name in files.splitlines():
        (again / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(checkout / name, again / name, follow_symlinks=False)
    shutil.copytree(checkout / ".git", again / ".git")
    checkout.rename(checkout.with_name("old"))
    again.rename(checkout)


@pytest.mark.parametrize("node", ["running", "paused", "stopped"])
def test_the_checkout_cloned_again(ready: Project, node: str) -> None:
    node_is(node)
    cloned_again(ready.checkout)
    works(ready)
    ready.as_root("rm", "-rf", ready.checkout.with_name("old"))


@pytest.mark.parametrize("place", ["test/certs/ipki", "test/certs/webpki", "test/certs/.softhsm-tokens", ".gocache"])
def test_what_was_made_in_the_checkout(ready: Project, place: str) -> None:
    ready.as_root("rm", "-rf", ready.checkout / place)
    works(ready)


def changed(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


def test_a_stateful_set_gets_well_with_its_configuration(ready: Project) -> None:
    config = ready.checkout / "test/redis-ratelimits.config"
    changed(config, lambda text: f"{text}\nno-such-setting yes\n")
    broken = ready.run("--exit=0")
    assert (broken.returncode, b"(container bredis-" in broken.stderr) == (2, True)
    subprocess.run(["git", "-C", ready.checkout, "checkout", "-q", "."], check=True)
    works(ready)


def test_a_database_of_other_files_is_named_and_emptied_alone(ready: Project) -> None:
    ready.node("touch", "/var/local/boulder/bminio/kept")
    changed(
        ready.checkout / "sa/db/01-boulder_sa.sql", lambda text: f"{text}\nCREATE TABLE boulder_sa.another (id INT);\n"
    )
    both = ["--fresh", "bmariadb", "--fresh", "bvitess"]
    said = ready.run("--exit=0").stderr.decode()
    assert f"than the checkout has; `invoke up {' '.join(both)}` makes them anew" in said
    result = ready.invoke("up", *both[:2])
    assert result.returncode == 0, result.stderr
    assert b"the databases of bvitess were made from other files" in result.stderr
    there = ready.node("find", "/var/local/boulder/bminio/kept", MARK, check=False)
    assert there.split() == ["/var/local/boulder/bminio/kept"]
    assert ready.invoke("up", *both[2:]).returncode == 0
    assert b"were made from other files" not in ready.run("--exit=0").stderr
    subprocess.run(["git", "-C", ready.checkout, "checkout", "-q", "."], check=True)
    assert ready.invoke("up", *both).returncode == 0


def test_certificates_made_anew_start_boulder_again(ready: Project) -> None:
    assert ready.invoke("up").returncode == 0
    uid = "jsonpath={.items[*].metadata.uid}"
    name = "app.kubernetes.io/name=boulder,pod-template-hash"
    before = ready.kubectl("get", "pods", "-l", name, "-o", uid)
    ready.as_root("rm", "-rf", ready.checkout / "test/certs/ipki")
    assert ready.invoke("up").returncode == 0
    after = ready.kubectl("get", "pods", "-l", name, "-o", uid)
    assert before and after and before != after
    assert ready.invoke("up").returncode == 0
    assert ready.kubectl("get", "pods", "-l", name, "-o", uid) == after
