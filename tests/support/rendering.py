"""The overlays as plain `kubectl kustomize` renders them, and what a run overlay is rendered with."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import yaml

from boulder_k8s.host.settings import ROOT, Port, Settings

OVERLAYS = ("config", "config-next")
KUBECTL = Path(sys.executable).with_name("kubectl")
SETTINGS = Settings(ROOT, "unit", "node:test", (Port(14001, 4001), Port(18055, 8055)))


@cache
def rendered(overlay: str) -> list[dict]:
    return list(yaml.safe_load_all(kustomize(ROOT / "k8s/overlays" / overlay)))


def kustomize(directory: Path) -> str:
    return subprocess.run([KUBECTL, "kustomize", directory], check=True, capture_output=True, text=True).stdout
