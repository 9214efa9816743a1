"""A row's first process and the sidecar that sends its results, for real; and what the client makes of that."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from support.pods import eventually

from boulder_k8s.matrix import archive, delivery
from boulder_k8s.matrix.archive import Incomplete, unframed, unpack
from boulder_k8s.matrix.verdict import record_of

# As `python3 row.py DIRECTORY WORD...`, with another termination message than a container's.
STARTS = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); import supervisor; "
STARTS += "supervisor.TERMINATION_LOG = sys.argv.pop(1); runpy.run_path(sys.path[0] + '/row.py', run_name='__main__')"


def block_sigterm() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


class Container:
    """The container `boulder` of a row: the programs of the ConfigMap, a run directory and a termination message."""

    def __init__(self, path: Path) -> None:
        self.programs, self.run, self.message = path / "programs", path / "run", path / "termination-log"
        for directory in (self.programs, self.run):
            directory.mkdir(parents=True)
        for name, text in delivery.programs()["data"].items():
            (self.programs / name).write_text(text)
        self.message.touch()

    def start(self, *words: str) -> subprocess.Popen:
        namespace = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]
        if os.geteuid():
            namespace[1:1] = ["--user", "--map-root-user"]
        command = [sys.executable, "-B", "-c", STARTS, self.programs, self.message, self.run, *words]
        return subprocess.Popen(
            [*namespace, *command], cwd=self.programs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def sidecar(self) -> subprocess.Popen:
        command = [sys.executable, "-B", self.programs / "results.py", self.run]
        with open(self.run.with_name("log"), "wb") as log:
            # A SIGTERM that comes while its Python starts waits until it is heeded.
            return subprocess.Popen(command, stdout=log, stderr=subprocess.PIPE, preexec_fn=block_sigterm)

    def log(self) -> bytes:
        """The sidecar's."""
        return self.run.with_name("log").read_bytes()


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path)


def ended(container: Container, *words: str) -> tuple[int, bytes, bytes, bytes]:
    """Runs a row with its sidecar: the exit code, what both streams of the log have, and the sidecar's log."""
    sidecar = container.sidecar()
    try:
        row = container.start(*words)
        out, err = row.communicate(timeout=60)
        eventually(lambda: (container.run / "collected").exists(), "the results")
    finally:
        sidecar.terminate()
        _, said = sidecar.communicate(timeout=30)
    assert said == b"" and sidecar.returncode == 0
    if os.geteuid():  # here the machine's own /var/log is copied, which not everybody may read
        err = re.sub(rb"/var/log was not copied whole: [^\n]*\n", b"", err)
    return row.returncode, out, err, container.log()


@pytest.mark.parametrize("code", [0, 1, 3, 137, 143, 255])
def test_record_message_and_exit_code_agree(container: Container, tmp_path: Path, code: int) -> None:
    script = f"printf out; printf error >&2; exit {code}"
    found, out, err, log = ended(container, "bash", "-c", script)
    assert (found, out, err) == (code, b"out", b"error")
    record = record_of(container.message.read_text())
    assert (record.code, record.lengths) == (code, {"stdout": 3, "stderr": 5})
    unpack(unframed(log), tmp_path / "brought")
    assert (tmp_path / "brought/stdout").read_bytes() == b"out"
    assert (tmp_path / "brought/stderr").read_bytes() == b"error"
    assert json.loads((tmp_path / "brought/record.json").read_text())["exit_code"] == code
    assert (tmp_path / "brought/var-log").is_dir() or os.geteuid() or not any(Path("/var/log").iterdir())
    assert not (tmp_path / "brought/command.json").exists()


def test_much_output_arrives_byte_for_byte(container: Container, tmp_path: Path) -> None:
    script = "head -c 5000000 /dev/urandom | tee copy; head -c 100000 /dev/zero >&2"
    code, out, err, log = ended(container, "bash", "-c", script)
    copy = (container.programs / "copy").read_bytes()
    assert code == 0 and out == copy and err == bytes(100000)
    unpack(unframed(log), tmp_path / "brought")
    assert (tmp_path / "brought/stdout").read_bytes() == copy


def test_what_the_tests_leave_running_does_not_keep_the_row(container: Container) -> None:
    code, out, _, _ = ended(container, "bash", "-c", "sleep 1000 & setsid sleep 1000 & echo done")
    assert (code, out) == (0, b"done\n")


def test_a_pod_that_is_deleted_before_the_tests_have_ended_records_nothing(container: Container) -> None:
    row = container.start("bash", "-c", "trap '' TERM; echo trapped; sleep 1000")
    stdout = container.run / "stdout"
    eventually(lambda: stdout.exists() and b"trapped" in stdout.read_bytes(), "the tests")
    first = int(subprocess.run(["pgrep", "-P", str(row.pid)], capture_output=True, text=True).stdout.split()[0])
    os.kill(first, signal.SIGTERM)
    row.communicate(timeout=30)
    assert row.returncode == 143
    assert container.message.read_text() == "" and not (container.run / "exitcode").exists()


def test_a_sidecar_that_ends_before_the_tests_sends_what_is_there(container: Container, tmp_path: Path) -> None:
    (container.run / "stdout").write_text("half a")
    sidecar = container.sidecar()
    sidecar.terminate()
    sidecar.communicate(timeout=30)
    unpack(unframed(container.log()), tmp_path / "brought")
    assert (tmp_path / "brought/stdout").read_text() == "half a"


def test_a_run_directory_that_takes_nothing_is_said(container: Container) -> None:
    shutil.rmtree(container.run)
    container.run.write_text("a file")
    row = container.start("true")
    row.communicate(timeout=30)
    assert row.returncode == 74
    assert record_of(container.message.read_text()) is None and container.message.read_text()


@pytest.fixture
def log(container: Container) -> bytes:
    return ended(container, "bash", "-c", "head -c 100000 /dev/urandom")[3]


def test_a_log_that_was_cut_is_not_taken_for_whole(log: bytes) -> None:
    lines = log.splitlines(keepends=True)
    assert unframed(log)
    for cut in (b"", lines[0], b"".join(lines[:-1]), b"".join(lines[1:]), b"".join(lines[:1] + lines[2:]), log[:-3]):
        with pytest.raises(Incomplete):
            unframed(cut)
    with pytest.raises(Incomplete, match="its log holds something else"):
        unframed(lines[0] + b"!!\n" + b"".join(lines[1:]))


def test_a_sidecar_that_was_started_twice_counts_once(log: bytes) -> None:
    assert unframed(b"noise\nboulder-k8s results\nabc\n" + log) == unframed(log)


def test_what_would_lie_elsewhere_is_left_out(tmp_path: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, kind in (("../up", tarfile.REGTYPE), ("/abs", tarfile.REGTYPE), ("l", tarfile.SYMTYPE)):
            item = tarfile.TarInfo(name)
            item.type, item.linkname = kind, "/etc/passwd"
            tar.addfile(item, io.BytesIO())
        item = tarfile.TarInfo("a/b")
        item.size = 2
        tar.addfile(item, io.BytesIO(b"ok"))
    unpack(made.getvalue(), tmp_path / "brought")
    assert [path.name for path in (tmp_path / "brought").rglob("*") if path.is_file()] == ["b"]
    with pytest.raises(Incomplete, match="it cannot be unpacked"):
        unpack(b"no archive", tmp_path / "brought")
    assert archive.RESULTS == "results"
