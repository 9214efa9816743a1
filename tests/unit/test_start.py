"""start.py: what it makes of a module's end."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from boulder_k8s.host.settings import ROOT


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("def main(words): return 9\n", 9),
        ("def main(words): pass\n", 2),
        ("def main(words): raise ValueError\n", 2),
        ("def main(words): raise SystemExit(0)\n", 2),
        ("no Python\n", 2),
        ("", 2),
    ],
)
def test_only_a_modules_number_is_its_exit_code(tmp_path: Path, module: str, code: int) -> None:
    (tmp_path / "boulder_k8s/host").mkdir(parents=True)
    for name in ("__init__.py", "start.py", "host/errors.py"):
        shutil.copy(ROOT / "boulder_k8s" / name, tmp_path / "boulder_k8s" / name)
    (tmp_path / "boulder_k8s/one.py").write_text(module)
    command = [sys.executable, "-I", "-S", tmp_path / "boulder_k8s/start.py", "one"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert result.returncode == code, result.stderr
    if code == 2:
        assert result.stderr.count("boulder-k8s: ") == 2
