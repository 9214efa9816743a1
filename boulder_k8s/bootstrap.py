"""Sets up .venv with the pinned dependencies (requirements.txt). Runs before anything is installed: standard library only.

    python3 boulder_k8s/bootstrap.py [--dev] [--from FILE]

FILE: what `invoke images save` wrote; the packages then come from it and not from an index.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> int:
    """Makes .venv or brings it up to date; returns the exit code. If another process does the same, waits for it.

    --dev: also what ./check needs. --from FILE: takes the packages from FILE and not from an index.
    """
    if sys.version_info < (3, 11):
        print(
            f"boulder-k8s: Python 3.11 or newer is needed; python3 is {sys.version.split()[0]}.\n"
            "boulder-k8s: Install a newer Python and let `python3` be it.",
            file=sys.stderr,
        )
        return 2
    with open(ROOT / "requirements.txt") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if "--from" in arguments:
            with tempfile.TemporaryDirectory() as wheels:
                return unpack(arguments[arguments.index("--from") + 1 :], wheels) or install(
                    "requirements.txt", "complete", ["--no-index", f"--find-links={wheels}"]
                )
        return install("requirements.txt", "complete") or (
            "--dev" in arguments and install("requirements-dev.txt", "complete-dev")
        )


def unpack(names: list[str], directory: str) -> int:
    """Puts the wheels of the archive `names[0]` into `directory`; returns the exit code. pip checks the wheels."""
    try:
        with tarfile.open(names[0], "r:") as archive:
            wheels = [member for member in archive if member.name.startswith("wheels/")]
            for member in wheels:
                with open(Path(directory) / Path(member.name).name, "wb") as file:
                    shutil.copyfileobj(archive.extractfile(member), file)
            if wheels:
                return 0
            why = "it has no wheels"
    except (IndexError, OSError, tarfile.TarError) as error:
        why = str(error) if names else "no file is named"
    print(
        f"boulder-k8s: {names[0] if names else '--from'} is not a whole file of `invoke images save`: {why}.\n"
        "boulder-k8s: Name the file, or copy it again.",
        file=sys.stderr,
    )
    return 2


def fits(python: Path, complete: Path) -> bool:
    """Returns whether .venv belongs to the Python to which it links: packages installed for another version would not
    be found.

    Notes that Python in `complete`, so that the wrappers can compare it without starting it.
    """
    program = os.path.realpath(python)
    if os.path.exists(program) and complete.read_text().strip() != program:
        look = "import os, sys, sysconfig; sys.exit(not os.path.isdir(sysconfig.get_path('purelib')))"
        if subprocess.run([python, "-I", "-c", look]).returncode:
            return False
        with contextlib.suppress(OSError):  # .venv belongs to root, and another user uses it
            complete.write_text(f"{program}\n")
    return os.path.exists(program)


def install(requirements: str, mark: str, source: list[str] | None = None) -> int:
    """Installs a file of pinned requirements into .venv, unless the file `mark` in it is newer; returns the exit code.

    source: pip's options that name where the packages come from; None means an index.
    """
    venv, pins, complete = ROOT / ".venv", ROOT / requirements, ROOT / ".venv" / mark
    python = venv / "bin/python"
    if complete.exists() and complete.stat().st_mtime > pins.stat().st_mtime and fits(python, complete):
        return 0
    if os.environ.get("BOULDER_K8S_OFFLINE") == "true" and not source:
        print(
            "boulder-k8s: .venv is not set up or not up to date, and nothing is fetched offline.\n"
            "boulder-k8s: Run `python3 boulder_k8s/bootstrap.py --from FILE`; "
            "`invoke images save FILE` makes it (docs/airgapped.md).",
            file=sys.stderr,
        )
        return 2
    print(f"boulder-k8s: setting up .venv ({requirements})", file=sys.stderr, flush=True)
    pip = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        *(source or []),
        "-r",
        pins,
    ]
    commands = [pip]
    if mark == "complete":  # from nothing: a half-made or outdated one is not worth keeping
        shutil.rmtree(venv, ignore_errors=True)
        commands.insert(0, [sys.executable, "-m", "venv", venv])
    for command in commands:
        if subprocess.run(command, stdout=sys.stderr).returncode:
            print(
                "boulder-k8s: the Python environment .venv cannot be made; the lines above say why.\n"
                "boulder-k8s: Check that Python has venv (package python3-venv) and that pip reaches a package index (without a network: docs/airgapped.md), then try again.",
                file=sys.stderr,
            )
            return 2
    (venv / ".gitignore").write_text("*\n")
    complete.write_text(f"{os.path.realpath(python)}\n")
    late = pins.stat().st_mtime + 1
    if complete.stat().st_mtime < late:  # pins dated in the future, or within this second
        os.utime(complete, (late, late))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
