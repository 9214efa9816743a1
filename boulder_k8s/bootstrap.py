"""Sets up .venv with the pinned dependencies (requirements.txt). Standard library only: it runs before anything is installed."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> int:
    """Makes .venv or brings it up to date, with `--dev` for ./check too; returns the exit code.

    A second one at the same time waits for the first.
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
        return install("requirements.txt", "complete") or (
            "--dev" in arguments and install("requirements-dev.txt", "complete-dev")
        )


def install(requirements: str, mark: str) -> int:
    """Installs a file of pinned requirements into .venv unless `mark` in it is newer; returns the exit code."""
    venv, pins, complete = ROOT / ".venv", ROOT / requirements, ROOT / ".venv" / mark
    if complete.exists() and complete.stat().st_mtime > pins.stat().st_mtime:
        return 0
    print(f"boulder-k8s: setting up .venv ({requirements})", file=sys.stderr, flush=True)
    pip = [
        venv / "bin/python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
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
                "boulder-k8s: Check that Python has venv (package python3-venv) and that pip reaches a package index, then try again.",
                file=sys.stderr,
            )
            return 2
    (venv / ".gitignore").write_text("*\n")
    complete.touch()
    late = pins.stat().st_mtime + 1
    if complete.stat().st_mtime < late:  # pins dated in the future, or within this second
        os.utime(complete, (late, late))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
