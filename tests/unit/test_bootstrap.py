"""bootstrap.py on a machine without a network: a real .venv of a package that comes from a file."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from boulder_k8s.airgap import tarball
from boulder_k8s.host.settings import ROOT

pytestmark = pytest.mark.timeout(240)  # an environment takes half a minute on a busy machine
WHEEL = "carried-1-py3-none-any.whl"


def made(path: Path) -> Path:
    """bootstrap.py with requirements of one package, which no index has."""
    (path / "boulder_k8s").mkdir(parents=True)
    for name in ("bootstrap.py", "start.py"):
        shutil.copy(ROOT / "boulder_k8s" / name, path / "boulder_k8s")
    (path / "requirements.txt").write_text(f"carried==1 --hash=sha256:{hashlib.sha256(wheel()).hexdigest()}\n")
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return made(tmp_path / "project")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with its environment: that takes seconds to make."""
    path = made(tmp_path_factory.mktemp("model") / "project")
    assert bootstrap(path, "--from", saved(path / "file", wheel())).returncode == 0
    return path


@pytest.fixture
def ready(model: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(model, tmp_path / "ready", symlinks=True)
    assert bootstrap(tmp_path / "ready", BOULDER_K8S_OFFLINE="true").returncode == 0
    return tmp_path / "ready"


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


def changed(project: Path) -> None:
    """As `git pull` leaves requirements.txt."""
    pins = project / "requirements.txt"
    pins.write_text(f"# more\n{pins.read_text()}")
    os.utime(pins, (time.time() + 5,) * 2)


def environments(project: Path) -> set[Path]:
    return {path for path in (project / ".venvs").iterdir() if path.is_dir()}


def pruned(project: Path) -> set[Path]:
    """What is left of the environments when a change has removed what nobody uses."""
    script = f"import sys; sys.path.append({str(project / 'boulder_k8s')!r}); import bootstrap as b; b.prune(b.LINK.resolve())"
    subprocess.run([sys.executable, "-I", "-c", script], check=True)
    return environments(project)


def test_what_runs_keeps_its_environment_until_it_ends(ready: Path) -> None:
    (ready / "boulder_k8s/waits.py").write_text(
        "import sys\ndef main(words):\n    print('runs', flush=True)\n    sys.stdin.read()\n    import carried\n    return 42\n"
    )
    (ready / "boulder_k8s/__init__.py").touch()
    first = (ready / ".venv").resolve()
    command = [first / "bin/python", "-I", "-S", ready / "boulder_k8s/start.py", "waits"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as runs:
        assert runs.stdout.readline() == b"runs\n"
        changed(ready)
        result = bootstrap(ready, "--from", ready / "file", PIP_TARGET=str(ready / "else"), PIP_USER="1")
        assert result.returncode == 0, result.stderr
        subprocess.run([ready / ".venv/bin/python", "-c", "import carried"], check=True)
        second = (ready / ".venv").resolve()
        assert first != second and pruned(ready) == {first, second}
        runs.stdin.close()
        assert runs.wait() == 42
    assert pruned(ready) == {second}


def test_a_failed_change_leaves_what_is_there(ready: Path) -> None:
    before = (ready / ".venv").resolve()
    changed(ready)
    assert bootstrap(ready).returncode == 2  # no index answers
    assert ((ready / ".venv").resolve(), environments(ready)) == (before, {before})


@pytest.mark.parametrize("place", ["copied", "moved", "linked"])
def test_a_copied_project_is_repaired_without_a_network_and_leaves_the_other_alone(
    ready: Path, tmp_path: Path, place: str
) -> None:
    other = tmp_path / "other place"
    if place == "moved":
        ready.rename(other)
    else:
        shutil.copytree(ready, other, symlinks=True, copy_function=os.link if place == "linked" else shutil.copy2)
    assert bootstrap(other, BOULDER_K8S_OFFLINE="true").returncode == 0
    for script in (other / ".venv/bin").iterdir():
        if script.is_file() and not script.is_symlink() and b"\0" not in (content := script.read_bytes()):
            assert os.fsencode(ready) + b"/" not in content, script
    if place != "moved":
        assert os.fsencode(other) not in (ready / ".venv/bin/pip").read_bytes()
        assert (ready / ".venv/place").read_text() == f"{(ready / '.venv').resolve()}\n"


def test_the_users_settings_of_python_do_not_count(ready: Path) -> None:
    poison = ready / "poison"
    poison.mkdir()
    for name in ("json", "tempfile", "signal", "fcntl", "contextlib", "venv", "pip"):
        (poison / f"{name}.py").write_text("raise SystemExit(0)\n")
    changed(ready)
    result = bootstrap(ready, BOULDER_K8S_OFFLINE="true", PYTHONPATH=str(poison))
    assert (result.returncode, "not up to date" in result.stderr) == (2, True)
    result = bootstrap(ready, "--from", ready / "file", PYTHONPATH=str(poison))
    assert result.returncode == 0, result.stderr
    assert len(environments(ready)) == 2


def test_programs_of_a_copy_are_the_copys(ready: Path) -> None:
    shown = subprocess.run([ready / ".venv/bin/pip", "--version"], capture_output=True, text=True, check=True).stdout
    assert str(ready) in shown


def test_an_environment_of_an_earlier_version_is_taken_over_and_later_replaced(ready: Path) -> None:
    """A directory .venv."""
    there = (ready / ".venv").resolve()
    (ready / ".venv").unlink()
    there.rename(ready / ".venv")
    (ready / ".venv/place").unlink()
    assert bootstrap(ready, BOULDER_K8S_OFFLINE="true").returncode == 0
    assert not (ready / ".venv").is_symlink()
    changed(ready)
    assert bootstrap(ready, "--from", ready / "file").returncode == 0
    assert (ready / ".venv").is_symlink()
    subprocess.run([ready / ".venv/bin/python", "-c", "import carried"], check=True)


def test_a_link_to_another_projects_environment_is_not_taken_for_ours(ready: Path, tmp_path: Path) -> None:
    other = made(tmp_path / "other")
    (other / ".venv").symlink_to((ready / ".venv").resolve())
    before = (ready / ".venv/bin/invoke").read_bytes()
    assert bootstrap(other, BOULDER_K8S_OFFLINE="true").returncode == 2
    assert (ready / ".venv/bin/invoke").read_bytes() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_packages_are_fetched_ends_it_with_its_number(project: Path, number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as index:  # takes the request, and never answers
        child = subprocess.Popen(
            [sys.executable, "-I", project / "boulder_k8s/bootstrap.py"],
            env={"PATH": os.environ["PATH"], "PIP_INDEX_URL": f"http://127.0.0.1:{index.getsockname()[1]}/"},
            stderr=subprocess.PIPE,
            text=True,
        )
        index.settimeout(60)
        with index.accept()[0]:
            child.send_signal(number)
            _, err = child.communicate(timeout=30)
    assert (child.returncode, "Traceback" in err) == (128 + number, False), err
    assert environments(project) == set()


@pytest.mark.parametrize("words", [[], ["nowhere"]])
def test_a_file_that_is_none_of_ours_is_two_lines(project: Path, words: list[str]) -> None:
    result = bootstrap(project, "--from", *words)
    assert result.returncode == 2
    assert " is not a whole file of `invoke images save`: " in result.stderr
    assert "Name the file, or copy it again." in result.stderr


def test_an_environment_that_lacks_a_package_is_made_anew_by_the_command_that_is_named(
    ready: Path, tmp_path: Path
) -> None:
    """bootstrap.py alone would take it as it is."""
    (ready / "boulder_k8s/__init__.py").touch()
    (ready / "boulder_k8s/uses.py").write_text("import carried\ndef main(words): return 5\n")
    (tmp_path / WHEEL).write_bytes(wheel())

    def started() -> subprocess.CompletedProcess[str]:
        command = [ready / ".venv/bin/python", "-I", "-S", ready / "boulder_k8s/start.py", "uses"]
        return subprocess.run(command, capture_output=True, text=True)

    assert started().returncode == 5
    next((ready / ".venv").resolve().rglob("carried.py")).unlink()
    broken = started()
    assert (broken.returncode, "is not whole: ModuleNotFoundError" in broken.stderr) == (2, True), broken.stderr
    (command,) = re.findall(r"`(rm [^`]+)`", broken.stderr)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(ready), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    subprocess.run(["bash", "-c", command], cwd=ready, env=environment, check=True)
    assert started().returncode == 5


def test_a_start_that_is_cut_off_is_no_verdict(ready: Path) -> None:
    (ready / "boulder_k8s/start.py").write_text("")
    command = ["bash", "-c", 'exec "$@" 9>&2', "bash", sys.executable, ready / "boulder_k8s/bootstrap.py"]
    result = subprocess.run([*command, "--then", "__main__"], capture_output=True, text=True)
    assert result.returncode == 2
    assert "boulder_k8s/start.py is not whole." in result.stderr
