"""Boulder's configuration belongs to whom it belongs to in the checkout, with the same permissions: Compose mounts it."""

from __future__ import annotations

import os
import subprocess

import pytest
from support.e2e import Project


@pytest.mark.root
@pytest.mark.parametrize("wrapper", ["config", "config-next"])
def test_owner_group_and_permissions_are_the_checkouts(stack: Project, wrapper: str) -> None:
    """As of an ordinary user with umask 002, one file of another owner among them."""
    if os.geteuid():
        pytest.skip("only root can give files to another user. As root: pytest tests/e2e -m root")
    directory = stack.checkout / "test" / wrapper
    before = {path: path.stat() for path in (directory, *directory.rglob("*"))}
    try:
        for path in before:
            os.chown(path, 1000, 1000)
            path.chmod(0o775 if path.is_dir() else 0o664)
        os.chown(directory / "wfe2.json", 1234, 1000)
        (directory / "wfe2.json").chmod(0o640)
        wanted = {}
        for path in before:
            found = path.stat()
            wanted[str(path.relative_to(stack.checkout))] = f"{found.st_uid}:{found.st_gid} {found.st_mode & 0o777:o}"
        look = ["find", f"test/{wrapper}", "-exec", "stat", "-c", "%n %u:%g %a", "{}", "+"]
        result = stack.invoke("run", *["--next"] * (wrapper == "config-next"), "--", *look)
    finally:
        for path, found in before.items():
            os.chown(path, found.st_uid, found.st_gid)
            path.chmod(found.st_mode & 0o777)
    assert result.returncode == 0, result.stderr.decode()
    lines = [line.split(" ", 1) for line in result.stdout.decode().splitlines() if line.startswith("test/")]
    assert dict(lines) == wanted
    assert subprocess.run(["git", "-C", stack.checkout, "status", "--porcelain"], capture_output=True).stdout == b""
