"""Sets up .venv with the pinned dependencies (requirements.txt). Standard library only: it runs before anything is installed."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Makes .venv or brings it up to date; returns the exit code. A second one at the same time waits for the first."""
    if sys.version_info < (3, 11):
        print(f"boulder-k8s: Python 3.11 or newer is needed; python3 is {sys.version.split()[0]}.\n"
              "boulder-k8s: Install a newer Python and let `python3` be it.", file=sys.stderr)
        return 2
    venv, requirements = ROOT / ".venv", ROOT / "requirements.txt"
    with open(ROOT / "requirements.txt") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = venv / "complete"
        if complete.exists() and complete.stat().st_mtime > requirements.stat().st_mtime:
            return 0
        print("boulder-k8s: setting up .venv (once)", file=sys.stderr, flush=True)
        shutil.rmtree(venv, ignore_errors=True)
        pip = [venv / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", requirements]
        for command in ([sys.executable, "-m", "venv", venv], pip):
            if subprocess.run(command, stdout=sys.stderr).returncode:
                print("boulder-k8s: the Python environment .venv cannot be made; the lines above say why.\n"
                      "boulder-k8s: Check that Python has venv (package python3-venv) and that pip reaches a package index, then try again.", file=sys.stderr)
                return 2
        (venv / ".gitignore").write_text("*\n")
        complete.touch()
        now = requirements.stat().st_mtime + 1
        if complete.stat().st_mtime <= requirements.stat().st_mtime:  # requirements.txt dated in the future
            os.utime(complete, (now, now))
    return 0


if __name__ == "__main__":
    sys.exit(main())
