"""Sets up .venv with the pinned dependencies (requirements.txt). Runs before anything is installed: standard library only.

    python3 boulder_k8s/bootstrap.py [--dev] [--from FILE]
    python3 boulder_k8s/bootstrap.py --then MODULE ARGUMENTS

FILE: what `invoke images save` wrote; the packages then come from it. --then: becomes `start.py MODULE ARGUMENTS`.

.venv is a link to a directory of .venvs/. A new environment is built beside the old one, so what runs keeps its own.
"""

import os
import sys

if __name__ == "__main__" and not sys.flags.isolated:  # typed by the user: nothing of PYTHONPATH and the like
    os.execv(sys.executable, [sys.executable, "-I", *sys.argv])

import contextlib
import fcntl
import hashlib
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK, STORE = ROOT / ".venv", ROOT / ".venvs"
INVOKE = """#!/usr/bin/env -S bash -p
here=$(dirname "$(realpath -- "$0")") start=$here/{start}
[ "$("$here/python" -I -S "$start" --whole 2>/dev/null)" != whole ] || exec "$here/python" -I -S "$start" --stderr commands.typed "$@" 9>&2 2>/dev/null
echo "boulder-k8s: .venv does not work: its Python does not start, or $start is not whole." >&2
echo "boulder-k8s: Run \\`python3 boulder_k8s/bootstrap.py\\`; it needs Python 3.11 or newer." >&2
exit 2
"""


def main(arguments: list[str]) -> int:
    """Makes .venv or brings it up to date; returns the exit code. If another process does the same, waits for it.

    --dev: also what ./check needs. --from FILE: takes the packages from FILE. A signal raises SystemExit.
    """
    if sys.version_info < (3, 11):
        return told(
            f"Python 3.11 or newer is needed; python3 is {sys.version.split()[0]}.",
            "Install a newer Python and let `python3` be it.",
        )
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: sys.exit(128 + number))
    try:
        if not arguments and fits("requirements.txt", "complete"):
            return 0  # also if the directory is another user's
        STORE.mkdir(exist_ok=True)
        with open(STORE / "lock", "w") as lock, tempfile.TemporaryDirectory() as wheels:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if "--from" in arguments:
                names = arguments[arguments.index("--from") + 1 :]
                return unpack(names, wheels) or install(["--no-index", f"--find-links={wheels}"])
            code, more = install(), ("requirements-dev.txt", "complete-dev")
            if not code and "--dev" in arguments and not fits(*more):
                code = fill(LINK.resolve(), *more)
            return code
    except OSError as error:
        return told(
            f"The Python environment .venv cannot be made: {error.filename or ROOT}: {error.strerror or error}.",
            "Make it writable, and room on the disk, then try again.",
        )


def pins() -> str:
    """Returns what stands for the content of requirements.txt in the name of an environment."""
    return hashlib.sha256((ROOT / "requirements.txt").read_bytes()).hexdigest()[:12]


def told(message: str, advice: str) -> int:
    """Prints what is wrong and what to do; returns 2."""
    print(f"boulder-k8s: {message}\nboulder-k8s: {advice}", file=sys.stderr)
    return 2


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
    return told(
        f"{names[0] if names else '--from'} is not a whole file of `invoke images save`: {why}.",
        "Name the file, or copy it again.",
    )


def fits(requirements: str, mark: str) -> bool:
    """Returns whether .venv has what a file of requirements pins, for the Python to which it links: packages installed
    for another version would not be found.

    Makes it fit if it was copied or moved here.
    """
    venv = LINK.resolve()
    python, complete = venv / "bin/python", venv / mark
    if not complete.exists() or venv.parent not in (ROOT, STORE):  # a link to another project's: not ours to change
        return False
    same = venv.name.startswith(f"{pins()}-") and mark == "complete"
    if not same and complete.stat().st_mtime <= (ROOT / requirements).stat().st_mtime:
        return False
    look = "import os, sysconfig; print('packages:', os.path.isdir(sysconfig.get_path('purelib')))"
    try:
        answer = subprocess.run([python, "-I", "-c", look], capture_output=True).stdout
    except OSError as error:  # not there, or no program
        answer = error
    if answer != b"packages: True\n":
        return False
    with contextlib.suppress(OSError):  # .venv belongs to root, and another user uses it
        settle(venv)
        note(complete, python, requirements)
    return True


def note(complete: Path, python: Path, requirements: str) -> None:
    """Writes the mark of a complete environment: the Python it belongs to, dated after the pins. Raises OSError."""
    program = f"{os.path.realpath(python)}\n"
    if not complete.exists() or complete.read_text() != program:
        complete.write_text(program)
    late = max(
        time.time(), (ROOT / requirements).stat().st_mtime + 1
    )  # pins dated in the future, or within this second
    os.utime(complete, (late, late))


def settle(venv: Path) -> None:
    """Makes an environment's programs name the directory it is in, and invoke our own. Raises OSError.

    pip writes the path of the environment into them: after a copy they would start another project's Python.
    """
    place = venv / "place"
    before = place.read_text().strip() if place.exists() else str(venv)
    if before != str(venv):
        for script in (venv / "bin").iterdir():
            content = script.read_bytes() if script.is_file() and not script.is_symlink() else b""
            if before.encode() in content and b"\0" not in content:
                rewrite(script, content.replace(before.encode(), bytes(venv)))
    invoke = INVOKE.format(start=os.path.relpath(ROOT / "boulder_k8s/start.py", venv / "bin")).encode()
    for script in (venv / "bin/invoke", venv / "bin/inv"):
        if not script.exists() or script.read_bytes() != invoke:
            rewrite(script, invoke)
    if before != str(venv) or not place.exists():
        rewrite(place, f"{venv}\n".encode())


def rewrite(program: Path, content: bytes) -> None:
    """Replaces a file in one step: it may run, or be a hard link to another project's. Raises OSError."""
    new = program.with_name(f".{program.name}.new")
    new.write_bytes(content)
    new.chmod(0o755)
    new.replace(program)


def install(source: list[str] | None = None) -> int:
    """Builds an environment of requirements.txt and lets .venv be it, unless it is; returns the exit code.

    source: pip's options that name where the packages come from; None means an index. Raises OSError.
    """
    if fits("requirements.txt", "complete"):
        return 0
    if os.environ.get("BOULDER_K8S_OFFLINE") == "true" and not source:
        return told(
            ".venv is not set up or not up to date, and nothing is fetched offline.",
            "Run `python3 boulder_k8s/bootstrap.py --from FILE`; `invoke images save FILE` makes it (docs/airgapped.md).",
        )
    before = LINK.resolve()
    venv = Path(tempfile.mkdtemp(prefix=f"{pins()}-", dir=STORE))
    venv.chmod(0o755)
    try:
        make = [sys.executable, "-I", "-m", "venv", venv]
        if code := fill(venv, "requirements.txt", "complete", make, source=source):
            return code
        if LINK.is_dir() and not LINK.is_symlink():  # as earlier versions made it
            before = STORE / f"earlier-{venv.name}"
            LINK.rename(before)
        link = STORE / f"link-{venv.name}"
        link.symlink_to(venv.relative_to(ROOT))
        link.replace(LINK)
    finally:
        if LINK.resolve() != venv:
            shutil.rmtree(venv, ignore_errors=True)
    prune(before, venv)
    return 0


def fill(venv: Path, requirements: str, mark: str, *before: list[str], source: list[str] | None = None) -> int:
    """Installs a file of pinned requirements into an environment; returns the exit code. before: commands to run
    first. source: options of pip. Raises OSError.

    The user's PIP_... settings name the index and stay; those that lead the packages to another place do not.
    """
    print(f"boulder-k8s: setting up .venv ({requirements})", file=sys.stderr, flush=True)
    ours = re.compile("PYTHON(?!_)|PIP_(TARGET|PREFIX|ROOT|USER|PYTHON|DRY_RUN|REQUIREMENT)$").match
    environ = {key: value for key, value in os.environ.items() if not ours(key)}
    words = "-I -m pip install --quiet --disable-pip-version-check --require-hashes -r".split()
    for command in (*before, [venv / "bin/python", *words, ROOT / requirements, *(source or [])]):
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=environ) as child:
            try:
                child.wait()
            except BaseException:
                child.terminate()
                raise
        if child.returncode:
            return told(
                "the Python environment .venv cannot be made; the lines above say why.",
                "Check that Python has venv (package python3-venv) and that pip reaches a package index (without a network: docs/airgapped.md), then try again.",
            )
    settle(venv)
    note(venv / mark, venv / "bin/python", requirements)
    return 0


def prune(*kept: Path) -> None:
    """Removes the environments that nobody uses, but for `kept`: a wrapper may just be starting the former one."""
    for venv in set(STORE.iterdir()) - set(kept):
        with contextlib.suppress(OSError), open(venv / "complete", "a") as use:
            fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)  # start.py, `hold`, has the other one
            shutil.rmtree(venv, ignore_errors=True)


def become(words: list[str]) -> int:
    """Becomes `start.py WORDS`. Returns 2 if start.py is not whole: then Python would end with 0."""
    python, start = LINK.resolve() / "bin/python", ROOT / "boulder_k8s/start.py"
    command = [python, "-I", "-S", start]
    if subprocess.run([*command, "--whole"], capture_output=True).stdout != b"whole\n":
        return told(f"{start} is not whole.", f"Look at `git status` in {ROOT}.")
    return os.execv(python, [*command, *words])


if __name__ == "__main__":
    if sys.argv[1:] == ["--whole"]:  # wrapper.sh asks, before it becomes this
        sys.exit(print("whole"))
    if sys.argv[1:2] == ["--then"]:
        os.dup2(9, 2)  # wrapper.sh
        sys.exit(main([]) or become(sys.argv[2:]))
    sys.exit(main(sys.argv[1:]))
