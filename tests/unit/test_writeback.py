"""k8s/base/boulder/writeback.py: what a run writes to its copy of the configuration gets into the checkout, and nothing else does."""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from boulder_k8s.host.settings import ROOT

PROGRAM = ROOT / "k8s/base/boulder/writeback.py"


@pytest.fixture(scope="module")
def writeback() -> ModuleType:
    spec = importlib.util.spec_from_file_location("writeback", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    """The pod's copy and the checkout's directory, with the same files; the checkout also has what ConfigMaps do not carry."""
    copy, checkout = tmp_path / "copy", tmp_path / "checkout/test/config"
    for directory in (copy, checkout):
        (directory / "deep/er").mkdir(parents=True)
        for name in ("a.json", "b.json", "deep/c.json", "deep/er/d.json"):
            (directory / name).write_text(f"{name}\n")
            (directory / name).chmod(0o664)
    (checkout / "empty").mkdir()
    return copy, checkout


def tree(directory: Path) -> dict[str, str]:
    found = {}
    for path in sorted(directory.rglob("*")):
        text = os.readlink(path) if path.is_symlink() else "/" if path.is_dir() else path.read_text()
        found[str(path.relative_to(directory))] = f"{path.lstat().st_mode & 0o7777:o} {text}"
    return found


def test_everything_that_a_run_can_do_arrives(writeback: ModuleType, both: tuple[Path, Path]) -> None:
    copy, checkout = both
    work = writeback.WriteBack(str(copy), str(checkout))
    (copy / "a.json").write_text("changed\n")
    (copy / "b.json").chmod(0o600)
    shutil.rmtree(copy / "deep/er")
    (copy / "deep/c.json").unlink()
    (copy / "deep/c.json").mkdir(0o711)  # a directory in place of a file
    (copy / "new").mkdir(0o750)
    (copy / "new/.hidden").write_text("new\n")
    (copy / "new/link").symlink_to("nowhere")
    copy.chmod(0o700)
    os.utime(copy / "a.json", (1e9, 1e9))
    found = work.bring()
    assert (found["kept"], found["failed"]) == ({}, {})
    names = [".", "a.json", "b.json", "deep/c.json", "deep/er", "deep/er/d.json", "new", "new/.hidden", "new/link"]
    assert found["written"] == names
    assert tree(checkout) == {**tree(copy), "empty": tree(checkout)["empty"]}
    assert checkout.stat().st_mode & 0o777 == 0o700
    assert (checkout / "a.json").stat().st_mtime == 1e9
    assert work.bring() == {"written": [], "kept": {}, "failed": {}}


def test_a_directory_in_place_of_a_file_and_the_reverse(writeback: ModuleType, both: tuple[Path, Path]) -> None:
    copy, checkout = both
    work = writeback.WriteBack(str(copy), str(checkout))
    shutil.rmtree(copy / "deep")
    (copy / "deep").write_text("a file\n")
    assert work.bring()["failed"] == {}
    assert (checkout / "deep").read_text() == "a file\n"


def test_what_nobody_wrote_is_not_touched(writeback: ModuleType, both: tuple[Path, Path]) -> None:
    """Whatever the checkout has meanwhile: an edit, a deletion, other permissions."""
    copy, checkout = both
    work = writeback.WriteBack(str(copy), str(checkout))
    (copy / "a.json").read_text()
    (checkout / "a.json").write_text("mine\n")
    (checkout / "b.json").unlink()
    (checkout / "deep/c.json").chmod(0o600)
    before = tree(checkout)
    assert work.bring() == {"written": [], "kept": {}, "failed": {}}
    assert tree(checkout) == before


def written_in_the_pod(copy: Path) -> None:
    (copy / "a.json").write_text("pod\n")


def deleted_in_the_pod(copy: Path) -> None:
    (copy / "a.json").unlink()


def written_in_the_checkout(checkout: Path) -> None:
    (checkout / "a.json").write_text("mine\n")


def deleted_in_the_checkout(checkout: Path) -> None:
    (checkout / "a.json").unlink()


@pytest.mark.parametrize(
    ("pod", "user"),
    [
        (written_in_the_pod, written_in_the_checkout),
        (written_in_the_pod, deleted_in_the_checkout),
        (deleted_in_the_pod, written_in_the_checkout),
    ],
)
def test_what_changed_on_both_sides_is_kept_and_named(
    writeback: ModuleType, both: tuple[Path, Path], pod: Callable[[Path], None], user: Callable[[Path], None]
) -> None:
    copy, checkout = both
    work = writeback.WriteBack(str(copy), str(checkout))
    pod(copy)
    (copy / "b.json").write_text("pod\n")
    user(checkout)
    before = tree(checkout)
    found = work.bring()
    assert list(found["kept"]) == ["a.json"] and "checkout" in found["kept"]["a.json"]
    assert found["written"] == ["b.json"]  # the rest arrives
    assert tree(checkout) == {**before, "b.json": "664 pod\n"}
    assert work.bring()["kept"] == found["kept"]  # still


def test_the_same_change_on_both_sides_is_no_conflict(writeback: ModuleType, both: tuple[Path, Path]) -> None:
    copy, checkout = both
    work = writeback.WriteBack(str(copy), str(checkout))
    for directory in both:
        (directory / "a.json").write_text("same\n")
        (directory / "b.json").unlink()
        (directory / "new.json").write_text("same\n")
    assert work.bring() == {"written": [], "kept": {}, "failed": {}}


def test_a_change_of_content_keeps_permissions_that_the_checkout_changed(
    writeback: ModuleType, both: tuple[Path, Path]
) -> None:
    copy, checkout = both
    work = writeback.WriteBack(str(copy), str(checkout))
    (copy / "a.json").write_text("pod\n")
    (checkout / "a.json").chmod(0o640)
    assert work.bring()["written"] == ["a.json"]
    assert tree(checkout)["a.json"] == "640 pod\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_an_existing_file_keeps_its_owner_and_a_new_one_has_the_writers(
    writeback: ModuleType, both: tuple[Path, Path]
) -> None:
    copy, checkout = both
    for directory in both:
        os.chown(directory / "a.json", 1000, 1001)
        os.chown(directory / "b.json", 1000, 1001)
    work = writeback.WriteBack(str(copy), str(checkout))
    (copy / "a.json").write_text("written by root\n")
    (copy / "b.json").unlink()
    (copy / "b.json").write_text("replaced by root\n")  # as `mv` over it: the new file is the writer's
    (copy / "new.json").write_text("new\n")
    os.chown(copy / "deep/c.json", 1234, 1235)
    work.bring()
    owners = {name: ((checkout / name).stat().st_uid, (checkout / name).stat().st_gid) for name in tree(checkout)}
    wanted = {"a.json": (1000, 1001), "b.json": (0, 0), "new.json": (0, 0), "deep/c.json": (1234, 1235)}
    assert {name: owners[name] for name in wanted} == wanted


def test_a_link_of_the_checkout_is_written_through_as_under_compose(
    writeback: ModuleType, both: tuple[Path, Path]
) -> None:
    copy, checkout = both
    (checkout.parent / "elsewhere.json").write_text("a.json\n")
    (checkout / "a.json").unlink()
    (checkout / "a.json").symlink_to("../elsewhere.json")
    work = writeback.WriteBack(str(copy), str(checkout))
    (copy / "a.json").write_text("pod\n")
    assert work.bring()["written"] == ["a.json"]
    assert (checkout / "a.json").is_symlink()
    assert (checkout.parent / "elsewhere.json").read_text() == "pod\n"


def test_a_full_disk_is_named_and_the_checkout_keeps_what_it_had(
    writeback: ModuleType, both: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, checkout = both
    work = writeback.WriteBack(str(copy), str(checkout))
    (copy / "a.json").write_text("pod\n")
    before = tree(checkout)

    def full(source: str, target: str) -> None:
        Path(target).write_text("po")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(writeback.shutil, "copyfile", full)
        assert work.bring() == {"written": [], "kept": {}, "failed": {"a.json": "No space left on device"}}
    assert tree(checkout) == before
    assert work.bring()["written"] == ["a.json"]  # as soon as there is room


def test_the_sidecar_brings_what_is_written_and_what_is_written_last(both: tuple[Path, Path]) -> None:
    copy, checkout = both
    child = subprocess.Popen([sys.executable, "-B", PROGRAM, copy, checkout], stderr=subprocess.PIPE)
    try:
        time.sleep(0.5)  # it has looked
        (copy / "a.json").write_text("pod\n")
        (checkout / "b.json").write_text("mine\n")
        (copy / "b.json").write_text("pod\n")
        deadline = time.monotonic() + 10
        while (checkout / "a.json").read_text() != "pod\n":
            assert time.monotonic() < deadline, "it never arrived"
            time.sleep(0.05)
        time.sleep(2.2)  # it looks again
        (copy / "a.json").write_text("last\n")
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0
    finally:
        child.kill()
    assert (checkout / "a.json").read_text() == "last\n"
    assert (checkout / "b.json").read_text() == "mine\n"
    said = child.stderr.read().decode().splitlines()
    assert len(said) == 1 and said[0].startswith("b.json is not overwritten")  # once, however often it looks
