"""The overlays as plain `kubectl kustomize` renders them, and what a run overlay is rendered with."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import yaml

from boulder_k8s.cluster.kubectl import Kubectl
from boulder_k8s.host.settings import ROOT, Port, Settings

OVERLAYS = ("config", "config-next")
KUBECTL = Kubectl(Path(sys.executable).parent / "kubectl", Path("/nonexistent"), "none")
SETTINGS = Settings(ROOT, "unit", "node:test", (Port(14001, 4001), Port(18055, 8055)))


@cache
def rendered(overlay: str) -> list[dict]:
    text = subprocess.run(
        [KUBECTL.binary, "kustomize", ROOT / "k8s/overlays" / overlay], check=True, capture_output=True, text=True
    ).stdout
    return list(yaml.safe_load_all(text))
