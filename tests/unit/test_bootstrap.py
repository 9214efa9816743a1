"""bootstrap.py on a machine without a network: a real .venv of a package that comes from a file."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from boulder_k8s.airgap import tarball
from boulder_k8s.host.settings import ROOT

WHEEL = "carried-1-py3-none-any.whl"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """bootstrap.py with requirements of one package, which no index has."""
    (tmp_path / "project/boulder_k8s").mkdir(parents=True)
    shutil.copy(ROOT / "boulder_k8s/bootstrap.py", tmp_path / "project/boulder_k8s")
    (tmp_path / "project/requirements.txt").write_text(
        f"carried==1 --hash=sha256:{hashlib.sha256(wheel()).hexdigest()}\n"
    )
    return tmp_path / "project"


def wheel() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, text in {
            "carried.py": "",
            "carried-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: carried\nVersion: 1\n",
            "carried-1.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "carried-1.dist-info/RECORD": "",
        }.items():
            file.writestr(zipfile.ZipInfo(name), text)
    return content.getvalue()


def saved(path: Path, content: bytes) -> Path:
    with tarball.writing(path) as writer:
        writer.add(f"wheels/{WHEEL}", io.BytesIO(content))
        writer.finish({})
    return path


def bootstrap(project: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, project / "boulder_k8s/bootstrap.py", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(project), "PIP_INDEX_URL": "http://127.0.0.1:9/", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_packages_come_from_the_file(project: Path, tmp_path: Path) -> None:
    file = saved(tmp_path / "file", wheel())
    result = bootstrap(project, "--from", file, BOULDER_K8S_OFFLINE="true")
    assert result.returncode == 0, result.stderr
    subprocess.run([project / ".venv/bin/python", "-c", "import carried"], check=True)
    assert bootstrap(project, BOULDER_K8S_OFFLINE="true").returncode == 0  # nothing to do, so nothing to fetch
    for mark in ("", "/usr/bin/python3.0\n"):  # an earlier version's; the same Python at another place
        (project / ".venv/complete").write_text(mark)
        assert bootstrap(project, BOULDER_K8S_OFFLINE="true").returncode == 0
        assert (project / ".venv/complete").read_text().strip() == os.path.realpath(project / ".venv/bin/python")


def test_packages_for_another_version_of_python_are_installed_anew(project: Path, tmp_path: Path) -> None:
    assert bootstrap(project, "--from", saved(tmp_path / "file", wheel())).returncode == 0
    (packages,) = (project / ".venv/lib").iterdir()
    packages.rename(packages.with_name("python3.0"))
    (project / ".venv/complete").write_text("/usr/bin/python3.0\n")
    assert bootstrap(project, BOULDER_K8S_OFFLINE="true").returncode == 2
    assert bootstrap(project, "--from", tmp_path / "file").returncode == 0
    subprocess.run([project / ".venv/bin/python", "-c", "import carried"], check=True)


def test_a_package_that_is_not_the_pinned_one_is_refused(project: Path, tmp_path: Path) -> None:
    result = bootstrap(project, "--from", saved(tmp_path / "file", wheel() + b"changed"))
    assert result.returncode == 2
    assert "DO NOT MATCH THE HASHES" in result.stderr
    assert not (project / ".venv/complete").exists()


def test_offline_it_says_where_the_packages_come_from(project: Path) -> None:
    result = bootstrap(project, BOULDER_K8S_OFFLINE="true")
    assert result.returncode == 2
    assert "bootstrap.py --from FILE" in result.stderr
    assert not (project / ".venv").exists()


@pytest.mark.parametrize("content", [None, b"no archive"])
def test_what_is_no_such_file_is_said(project: Path, tmp_path: Path, content: bytes | None) -> None:
    if content:
        (tmp_path / "file").write_bytes(content)
    result = bootstrap(project, "--from", tmp_path / "file")
    assert result.returncode == 2
    assert f"{tmp_path}/file is not a whole file of `invoke images save`" in result.stderr
    assert "Traceback" not in result.stderr
    assert bootstrap(project, "--from").returncode == 2
