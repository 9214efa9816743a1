"""What a run writes to Boulder's configuration is in the checkout when it ends, as under Compose, which mounts the checkout."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support.e2e import Project, eventually, finish

CHANGES = """
set -e
cd test/%s
echo changed >wfe2.json
chmod 600 vitess/sa_dburl
rm sa.json
mkdir -m 715 new new/deeper
echo new >new/deeper/file.json
chmod 604 new/deeper/file.json
ln -s deeper/file.json new/link
"""


def status(stack: Project) -> list[str]:
    command = ["git", "-C", str(stack.checkout), "status", "--porcelain", "-uall"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


@pytest.mark.parametrize("overlay", ["config", "config-next"])
def test_changed_new_and_deleted_files_are_in_the_checkout_with_their_owners_and_modes(
    stack: Project, overlay: str
) -> None:
    directory = stack.checkout / "test" / overlay
    if not os.geteuid():
        os.chown(directory / "wfe2.json", 1234, 1000)
    before = (directory / "wfe2.json").stat()
    next_ = ["--next"] * (overlay == "config-next")
    result = stack.invoke("run", *next_, "--", "bash", "-c", CHANGES % overlay)
    assert result.returncode == 0, result.stderr.decode()
    assert (directory / "wfe2.json").read_text() == "changed\n"
    after = (directory / "wfe2.json").stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert mode(directory / "vitess/sa_dburl") == 0o600
    assert not (directory / "sa.json").exists()
    assert (directory / "new/deeper/file.json").read_text() == "new\n"
    assert [mode(directory / path) for path in ("new", "new/deeper", "new/deeper/file.json")] == [0o715, 0o715, 0o604]
    assert (directory / "new/deeper/file.json").stat().st_uid == 0  # who wrote it
    assert os.readlink(directory / "new/link") == "deeper/file.json"
    # Nothing else: no file that only carried something.
    changed = ["new/deeper/file.json", "new/link", "sa.json", "wfe2.json"]
    assert sorted(line[3:] for line in status(stack)) == [f"test/{overlay}/{name}" for name in changed]
    written = stack.record()["config"]["written"]
    assert written == sorted(["new", "new/deeper", *changed, "vitess/sa_dburl"])
    # The next run has it, although the pod that waits was made before.
    result = stack.invoke("run", *next_, "--", "cat", f"test/{overlay}/wfe2.json", f"test/{overlay}/new/link")
    assert result.stdout == b"changed\nnew\n", result.stderr.decode()


def test_what_changed_on_both_sides_is_named_and_stays(stack: Project) -> None:
    script = "echo pod >test/config/wfe2.json; echo pod >test/config/sa.json; touch test/ready; until [ -e test/go ]; do sleep 0.1; done; exit 3"
    child = stack.start_invoke("run", "--", "bash", "-c", script)
    eventually(lambda: (stack.checkout / "test/ready").exists(), "the run", 240)
    (stack.checkout / "test/config/wfe2.json").write_text("mine\n")
    (stack.checkout / "test/go").touch()
    result = finish(child)
    assert result.returncode == 3
    assert (stack.checkout / "test/config/wfe2.json").read_text() == "mine\n"
    assert (stack.checkout / "test/config/sa.json").read_text() == "pod\n"
    lines = [line for line in result.stderr.decode().splitlines() if "wfe2.json" in line and "sh -c" not in line]
    assert len(lines) == 1 and "test/config/wfe2.json" in lines[0] and "not overwritten" in lines[0]
    record = stack.record()["config"]
    assert (list(record["kept"]), record["written"]) == (["wfe2.json"], ["sa.json"])


def test_what_is_written_in_a_boulder_that_is_up_arrives_too(stack: Project) -> None:
    assert stack.invoke("up").returncode == 0
    try:
        result = stack.invoke("exec", "--", "bash", "-c", "echo up >test/config/wfe2.json; rm test/config/sa.json")
        assert result.returncode == 0, result.stderr.decode()
        wfe2, gone = stack.checkout / "test/config/wfe2.json", stack.checkout / "test/config/sa.json"
        eventually(lambda: wfe2.read_text() == "up\n" and not gone.exists(), "the files in the checkout", 10)
        # What was written last, just before it ends.
        stack.invoke("exec", "--", "bash", "-c", "echo last >test/config/wfe2.json")
        stack.kubectl("scale", "deployment", "boulder", "--replicas=0")
        eventually(lambda: wfe2.read_text() == "last\n", "what was written last", 20)
    finally:
        stack.kubectl("delete", "deployment", "boulder")


def test_a_killed_pod_says_what_is_lost(stack: Project) -> None:
    script = "echo pod >test/config/wfe2.json; touch test/ready; sleep 600"
    child = stack.start_invoke("run", "--", "bash", "-c", script)
    eventually(lambda: (stack.checkout / "test/ready").exists(), "the run", 240)
    stack.node("pkill", "-9", "-f", "pod/supervisor.py /run")
    result = finish(child)
    assert result.returncode == 137
    assert b"test/config" in result.stderr and b"lost" in result.stderr


def test_a_configuration_that_no_configmap_has_room_for_is_the_checkouts_too(stack: Project) -> None:
    """Its files come from the checkout, with their owners and modes; what is written to them arrives there."""
    large = stack.checkout / "test/config/deep/large 1.json"
    large.write_bytes(b"1" * (2 << 20))
    large.chmod(0o604)
    script = 'cd test/config/deep && stat -c "%a %u %s" large*.json && echo changed >"large 1.json"'
    result = stack.invoke("run", "--", "bash", "-c", script)
    assert result.returncode == 0, result.stderr.decode()
    assert result.stdout.decode().split() == ["604", str(large.stat().st_uid), str(2 << 20)]
    assert large.read_text() == "changed\n"
    large.write_bytes(b"2" * (2 << 20))
    result = stack.invoke("run", "--", "head", "-c", "3", "test/config/deep/large 1.json")
    assert result.stdout == b"222", result.stderr.decode()
