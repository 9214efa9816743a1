"""What was interrupted or changed behind our back: the next command repairs it, or says in one line what to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.e2e import CLUSTER, ROOT, Project, eventually, finish

NODE = f"{CLUSTER}-control-plane"


@pytest.fixture
def small_disk(project: Project) -> Iterator[Path]:
    """Run directories on a file system of 4 MiB, and a cluster made with it."""
    if os.geteuid():
        pytest.skip("needs root to mount a small file system: sudo ./check")
    assert project.invoke("down").returncode == 0
    runs = ROOT / ".runs"
    runs.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", runs], check=True)
    yield runs
    project.invoke("down")
    subprocess.run(["umount", runs], check=True)


def test_a_full_disk_is_a_failure_that_is_named(stack: Project, small_disk: Path) -> None:
    result = stack.run("--bytes=20000000", "--exit=0")
    assert (result.returncode, b"the disk is full" in result.stderr) == (1, True)
    assert not (stack.latest() / "exitcode").exists()
    (stack.latest() / "stdout").write_bytes(b"")
    assert stack.run("--bytes=1000", "--exit=5").returncode == 5


def killed_at(project: Project, text: bytes, number: int) -> None:
    """Starts `tk8s.sh` and sends it a signal once it has said `text` on stderr."""
    child = project.start("--exit=0")
    os.set_blocking(child.stderr.fileno(), False)
    said = b""

    def reached() -> bool:
        nonlocal said
        said += child.stderr.read() or b""
        assert child.poll() is None, said.decode()
        return text in said

    eventually(reached, text.decode(), 120)
    time.sleep(1)
    child.send_signal(number)
    code = finish(child).returncode
    assert code == (-number if number == signal.SIGKILL else 128 + number)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"kind create cluster", signal.SIGKILL),
        (b"kind create cluster", signal.SIGINT),
        (b"loading", signal.SIGKILL),
        (b"loading", signal.SIGTERM),
        (b"applying the manifests", signal.SIGKILL),
        (b"waiting for Boulder's dependencies", signal.SIGKILL),
    ],
)
def test_an_interrupted_start_is_repaired_by_the_next_command(stack: Project, text: bytes, number: int) -> None:
    if text == b"kind create cluster" or not node_exists():
        assert stack.invoke("down").returncode == 0
    elif text == b"loading":
        known = ROOT / ".state/clusters" / CLUSTER / "images.json"
        known.write_text(json.dumps(json.loads(known.read_text()) | {"answer": {}}))
    else:
        for kind in ("deployment/bjaeger", "statefulset/bvitess"):
            stack.kubectl("delete", kind, "--ignore-not-found")
        (ROOT / ".state/clusters" / CLUSTER / "applied.json").unlink(missing_ok=True)
    killed_at(stack, text, number)
    assert stack.run("--exit=5").returncode == 5


def node_exists() -> bool:
    return subprocess.run(["docker", "container", "inspect", NODE], capture_output=True).returncode == 0


def test_down_removes_a_half_made_cluster(stack: Project) -> None:
    assert stack.invoke("down").returncode == 0
    killed_at(stack, b"kind create cluster", signal.SIGKILL)
    eventually(node_exists, "the half-made node")
    assert stack.invoke("down").returncode == 0
    assert not node_exists()


def test_an_image_missing_on_the_node_is_named_and_loaded_again(stack: Project) -> None:
    assert stack.run("--exit=0").returncode == 0
    images = stack.node("ctr", "--namespace=k8s.io", "images", "ls", "-q").split()
    tools = next(name for name in images if "boulder-tools" in name)
    stack.node("ctr", "--namespace=k8s.io", "images", "rm", "--sync", tools)
    result = stack.run("--exit=0")
    assert result.returncode == 2
    assert b"boulder-tests (container boulder) cannot start: ErrImageNeverPull" in result.stderr
    assert stack.run("--exit=6").returncode == 6


def test_a_crash_looping_container_is_named_with_its_log(stack: Project) -> None:
    config = stack.checkout / "test/consul/config.hcl"
    config.write_text(config.read_text() + "\nno_such_setting = true\n")
    result = stack.run("--exit=0")
    assert result.returncode == 2
    assert b"(container bconsul) cannot start: ended 2 times" in result.stderr
    assert b"no_such_setting" in result.stderr
    subprocess.run(["git", "-C", stack.checkout, "checkout", "-q", "."], check=True)
    assert stack.run("--exit=0").returncode == 0


def test_a_failing_generate_gives_its_code_and_its_words(stack: Project) -> None:
    (stack.checkout / "test/certs/fail-generate").touch()
    result = stack.run("--exit=0")
    assert (result.returncode, b"told to fail" in result.stderr) == (3, True)
    stack.as_root("mv", stack.checkout / "test/certs/ipki", stack.checkout / "test/certs/webpki")
    result = stack.run("--exit=0")
    assert (result.returncode, b"told to fail" in result.stderr) == (3, True)
    (stack.checkout / "test/certs/fail-generate").unlink()
    stack.as_root("rm", "-rf", stack.checkout / "test/certs/webpki")
    result = stack.run("--read", input=b"for the tests, not for generate.sh's pod\n")
    assert (result.returncode, result.stdout.endswith(b"for the tests, not for generate.sh's pod\n")) == (0, True)


def test_a_configuration_file_that_no_config_map_takes_arrives(stack: Project) -> None:
    (stack.checkout / "test/config/large.json").write_bytes(b" " * (1 << 20))
    result = stack.invoke("run", "--", "stat", "--format=%s", "test/config/large.json")
    assert (result.returncode, result.stdout) == (0, b"1048576\n"), result.stderr


def test_a_moved_checkout_is_refused_and_one_in_its_old_place_is_used(stack: Project) -> None:
    moved = stack.checkout.with_name("moved")
    stack.checkout.rename(moved)
    result = stack.run("--exit=0", BOULDER_DIR=str(moved))
    assert (result.returncode, b"was made for the checkout" in result.stderr, b"invoke down" in result.stderr) == (
        2,
        True,
        True,
    )
    stack.as_root("cp", "-a", moved, stack.checkout)
    replaced = stack.run("--exit=0")
    assert (replaced.returncode, b"was replaced; the node still has the old one" in replaced.stderr) == (0, True)
    stack.as_root("rm", "-rf", stack.checkout)
    moved.rename(stack.checkout)
    assert stack.run("--exit=0").returncode == 0


def test_a_changed_configuration_rolls_its_own_pods_only(stack: Project) -> None:
    assert stack.run("--exit=0").returncode == 0
    before = uids(stack)
    config = stack.checkout / "test/consul/config.hcl"
    config.write_text(config.read_text() + "\n# a comment\n")
    assert stack.run("--exit=0").returncode == 0
    after = uids(stack)
    assert {name for name in before if before[name] != after[name]} == {"bconsul"}


def uids(project: Project) -> dict[str, str]:
    text = project.kubectl(
        "get",
        "pods",
        "-o",
        'jsonpath={range .items[*]}{.metadata.labels.app\\.kubernetes\\.io/name} {.metadata.uid}{"\\n"}{end}',
    )
    # The pod of the run itself may still be on its way out; the one that waits is the next run's.
    lines = (line.split() for line in text.splitlines())
    return {name: uid for name, uid in lines if name not in ("boulder", "boulder-standby")}
