"""Our scripts on the host: whatever a user has set for his shell, and whichever shell /bin/sh is, they run from their first line."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from boulder_k8s import bootstrap
from boulder_k8s.host.settings import ROOT

ELSEWHERE = ("k8s/", "tests/fixtures/", "tests/lab/services/")  # they run in containers
SETTINGS = {
    "SHELLOPTS": "noexec",
    "SHELLOPTS ": "xtrace:verbose:errexit:nounset:noglob:onecmd",
    "BASHOPTS": "extdebug:nullglob:failglob",
    "BASH_ENV": "{poison}",
    "ENV": "{poison}",
    "POSIXLY_CORRECT": "1",
    "PS4": "$(echo poison >&2)",
    "IFS": "on/",
    "GLOBIGNORE": "*",
    "CDPATH": "/:/usr",
    "BASH_FUNC_echo%%": "() { exit 0; }",
    "BASH_COMPAT": "31",
    "EXECIGNORE": "*",
}


def scripts() -> dict[str, str]:
    """The text of every shell script of this project that the host runs."""
    names = subprocess.run(["git", "-C", ROOT, "ls-files"], check=True, capture_output=True, text=True).stdout.split()
    texts = {
        name: (ROOT / name).read_text(errors="replace")
        for name in names
        if os.access(ROOT / name, os.X_OK) and not name.startswith(ELSEWHERE)
    }
    found = {name: text for name, text in texts.items() if text.startswith("#!") and "sh" in text.splitlines()[0]}
    return {**found, "invoke": bootstrap.INVOKE}


def test_there_are_scripts() -> None:
    assert {"tk8s.sh", "tnk8s.sh", "ck8s.sh", "check", ".ci/run", "tests/lab/lab", "invoke"} <= set(scripts())


@pytest.mark.parametrize("script", scripts())
def test_a_script_runs_whatever_is_set_for_shells(tmp_path: Path, script: str) -> None:
    """/bin/sh is bash here, as on Fedora and on a Mac."""
    (tmp_path / "sh").symlink_to(shutil.which("bash"))
    (tmp_path / "poison").write_text("echo poison; exit 0\n")
    first = scripts()[script].splitlines()[0]
    body = tmp_path / "script"
    body.write_text(f'{first}\nfor part in a b; do echo "ran $part"; done\n/bin/echo $((1 + 1))\n')
    interpreter, _, argument = first.removeprefix("#!").partition(" ")  # the kernel passes one argument
    interpreter = str(tmp_path / "sh") if interpreter == "/bin/sh" else interpreter
    for name, value in SETTINGS.items():
        theirs = {name.strip(): value.format(poison=tmp_path / "poison") if "poison}" in value else value}
        result = subprocess.run(
            [interpreter, *([argument] if argument else []), body],
            env={"PATH": os.environ["PATH"], **theirs},
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert (result.returncode, result.stdout, result.stderr) == (0, "ran a\nran b\n2\n", ""), (
            theirs,
            shlex.quote(first),
        )
