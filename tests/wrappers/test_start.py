"""From the wrapper's first line to the product's: which Python is started, what it reads, and what a signal does."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.machine import Machine, refused

ENDS = "import os\nos._exit(0)\n"  # what a file says that is not to be read: 0, and no test was run


def poisoned(directory: Path) -> Path:
    """A directory with a file for every module of Python's own, of the packages and of ours."""
    directory.mkdir(parents=True, exist_ok=True)
    others = {"sitecustomize", "usercustomize", "boulder_k8s", "invoke", "yaml", "rich", "kubernetes"}
    for name in sys.stdlib_module_names | others:
        (directory / f"{name}.py").write_text(ENDS)
    return directory


def settings_of_python(directory: Path) -> dict[str, str]:
    """Every variable by which a user changes what Python reads or how it runs, each to our harm."""
    base = directory / "base"
    poisoned(base / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages")
    poison = str(poisoned(directory / "path"))
    return {
        "PYTHONPATH": poison,
        "PYTHONHOME": str(base),
        "PYTHONUSERBASE": str(base),
        "PYTHONPLATLIBDIR": "nowhere",
        "PYTHONSTARTUP": f"{poison}/json.py",
        "PYTHONSAFEPATH": "1",
        "PYTHONWARNINGS": "error",
        "PYTHONDEVMODE": "1",
        "PYTHONOPTIMIZE": "2",
        "PYTHONINSPECT": "1",
        "PYTHONVERBOSE": "1",
        "PYTHONPROFILEIMPORTTIME": "1",
        "PYTHONIOENCODING": "utf-16",
        "PYTHONBREAKPOINT": "json.loads",
        "PYTHONPYCACHEPREFIX": "/dev/null",
    }


def test_what_lies_in_the_current_directory_is_not_read(machine: Machine) -> None:
    poisoned(machine.state)
    machine.tell("exit-code", "9")
    result = machine.run("t")
    assert result.returncode == 9, result.stderr


def test_the_users_settings_of_python_change_nothing_and_reach_the_tests(machine: Machine) -> None:
    script = machine.checkout / "t.sh"
    script.write_text(script.read_text().replace("-e USE_VITESS", "-e PYTHONPATH -e PYTHONWARNINGS"))
    theirs = settings_of_python(machine.state / "theirs")
    machine.tell("exit-code", "9")
    result = machine.run("t", **theirs)
    assert result.returncode == 9, result.stderr
    assert "import time" not in result.stderr
    passed = json.loads((machine.project / ".runs/latest/run.json").read_text())["environment"]
    assert passed == {name: theirs[name] for name in ("PYTHONPATH", "PYTHONWARNINGS")}
    assert machine.invoke("render", **theirs).stdout.startswith("apiVersion")
    assert machine.invoke("--list", **theirs).returncode == 0


FUNCTIONS = ("realpath", "source", "exec", "cd", "pwd", "trap", "command", "echo", "python3", "shopt", "[", "bash")


def test_the_users_settings_of_bash_change_nothing(machine: Machine) -> None:
    """Each of them could end the wrapper with 0 before its first line, or in its middle."""
    (machine.state / "bash_env").write_text("echo poison; exit 0\n")
    functions = {f"BASH_FUNC_{name}%%": "() { echo poison; builtin exit 0; }" for name in FUNCTIONS}
    elsewhere = {"CDPATH": f"/:{machine.state}", "GLOBIGNORE": "*", "BASHOPTS": "extdebug", "POSIXLY_CORRECT": "1"}
    machine.tell("exit-code", "9")
    for theirs in (
        {"SHELLOPTS": "noexec"},
        {"SHELLOPTS": "xtrace:errexit:nounset:noglob", "PS4": "poison ", "IFS": "/:.s"},
        {"BASH_ENV": f"{machine.state}/bash_env"},
        {"ENV": f"{machine.state}/bash_env"},
        functions,
        elsewhere,
    ):
        result = machine.run("t", **theirs)
        assert (result.returncode, "poison" in result.stdout + result.stderr) == (9, False), (theirs, result.stderr)


def test_compose_gets_the_environment_as_it_is(machine: Machine) -> None:
    (machine.checkout / "t.sh").write_text(
        '#!/bin/sh\necho "$PYTHONPATH" "$PYTHONHOME" "$@"\nenv | grep -c BOULDER_K8S\nexit 7\n'
    )
    theirs = settings_of_python(machine.state / "theirs")
    result = machine.run("a b", BOULDER_CI_ORCH="compose", **theirs)
    assert (result.returncode, result.stdout) == (7, f"{theirs['PYTHONPATH']} {theirs['PYTHONHOME']} a b\n0\n")


def test_a_packing_of_the_failure_reads_nothing_of_the_users(machine: Machine) -> None:
    """The process that a failed run leaves behind."""
    machine.tell("exit-code", "3")
    poisoned(machine.project)
    assert machine.run("t", **settings_of_python(machine.state / "theirs")).returncode == 3
    bundle = (machine.project / ".runs/latest").resolve() / "bundle.tar.gz"
    deadline = time.monotonic() + 30
    while not bundle.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("program", ["#!/bin/sh\nexit 0\n", "#!/bin/sh\nexit 1\n", "#!/no/such\n", "no program", None])
def test_a_python_that_does_not_work_is_no_verdict(machine: Machine, program: str | None) -> None:
    """python3, which makes the environment, and the environment's own."""
    path = machine.state / "only"
    path.mkdir()
    for tool in ("bash", "sh", "env", "dirname", "git", "readlink", "realpath"):
        (path / tool).symlink_to(shutil.which(tool))
    python = machine.project / ".venv/bin/python"
    python.unlink()
    for place in (path / "python3", python):
        if program is not None:
            place.write_text(program)
            place.chmod(0o755)
    for wrapper in ("tk8s.sh", "tnk8s.sh", "ck8s.sh"):
        result = machine.run("t", wrapper=wrapper, PATH=str(path))
        refused(machine, result, "python3", "Python 3.11 or newer")
    refused(machine, machine.invoke("render"), ".venv does not work", "Python 3.11 or newer")


def test_a_broken_python_of_the_environment_is_replaced_or_said(machine: Machine) -> None:
    python = machine.project / ".venv/bin/python"
    python.unlink()
    python.write_text("#!/bin/sh\nexit 0\n")
    python.chmod(0o755)
    result = machine.run("t", BOULDER_K8S_OFFLINE="true")
    refused(machine, result, ".venv is not set up or not up to date", "bootstrap.py --from FILE")


@pytest.mark.parametrize("name", ["boulder_k8s/wrapper.sh", "boulder_k8s/start.py", "boulder_k8s/__main__.py"])
@pytest.mark.parametrize("content", ["", None])
def test_a_file_of_ours_that_is_cut_off_is_no_verdict(machine: Machine, name: str, content: str | None) -> None:
    """As a full disk during `git pull` leaves it."""
    (machine.project / name).unlink()
    if content is not None:
        (machine.project / name).write_text(content)
    result = machine.run("t")
    refused(machine, result, "boulder-k8s", "git")


def test_another_clone_as_the_current_directory_is_not_used(machine: Machine, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(machine.project, other, symlinks=True)
    for file in (*(other / "boulder_k8s").glob("*.*"), other / "tasks.py", other / "tk8s.sh"):
        file.write_text("exit 0\n" if file.suffix == ".sh" else ENDS)
    machine.tell("exit-code", "9")
    for command, code in (
        ([machine.project / "tk8s.sh", "t"], 9),
        ([machine.project / ".venv/bin/invoke", "render"], 0),
    ):
        result = subprocess.run(
            command, cwd=other, env=machine.environment(), capture_output=True, text=True, timeout=60
        )
        assert result.returncode == code, result.stderr
    assert result.stdout.startswith("apiVersion")
    assert not (other / ".runs").exists() and not (other / ".state").exists()
    assert (machine.project / ".runs/latest/exitcode").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_any_moment_of_the_start_is_its_number(machine: Machine, number: signal.Signals) -> None:
    """128 + its number, which a shell also makes of a process that the signal has ended; or, once the tests have
    ended, their recorded code.
    """
    machine.tell("exit-code", "42")
    for step in range(30):
        child = machine.start("t")
        time.sleep(step * 0.02)
        child.send_signal(number)
        _, err = child.communicate(timeout=60)
        assert child.returncode in (-number, 128 + number, 42), (step, child.returncode, err)
        assert "Traceback" not in err and "KeyboardInterrupt" not in err, (step, err)


@pytest.mark.parametrize(
    ("words", "message", "advice"),
    [
        (["rnder"], "There is no task rnder", "Did you mean `invoke render`?"),
        (["xyzzy"], "There is no task xyzzy", "invoke --list"),
        (["logs", "--folow"], "logs has no flag --folow", "Did you mean `--follow`?"),
        (["logs", "-z"], "logs has no flag -z", "invoke --help logs"),
        (["up", "--timeout"], "--timeout", "invoke --help up"),
        (["--help", "lgs"], "There is no task lgs", "Did you mean `invoke logs`?"),
        (["--nonsense"], "invoke has no flag --nonsense", "invoke --help"),
        (["images", "sav", "file"], "There is no images sav file.", "images save FILE"),
    ],
)
def test_what_is_mistyped_is_named_with_what_was_meant(
    machine: Machine, words: list[str], message: str, advice: str
) -> None:
    refused(machine, machine.invoke(*words), message, advice)


def test_a_copy_of_the_project_works_at_once_and_is_its_own(machine: Machine, tmp_path: Path) -> None:
    """Its environment is repaired by the first command; .venv/bin/invoke needs no repair. The other project is gone."""
    copy = tmp_path / "copy"
    shutil.copytree(machine.project, copy, symlinks=True)
    shutil.rmtree(machine.project)
    machine.project = copy
    machine.tell("runs", str(copy / ".runs"))
    machine.tell("exit-code", "9")
    assert machine.invoke("render").stdout.startswith("apiVersion")
    for _ in range(2):
        assert machine.run("t", BOULDER_K8S_OFFLINE="true").returncode == 9
    assert (copy / ".venv/place").read_text().strip() == str((copy / ".venv").resolve())
    result = subprocess.run(  # an invoke of the user's own, with its settings: tasks.py goes on isolated
        [sys.executable, "-m", "invoke", "render"],
        cwd=copy,
        env=machine.environment(PYTHONWARNINGS="ignore"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.returncode, result.stdout[:10]) == (0, "apiVersion"), result.stderr
