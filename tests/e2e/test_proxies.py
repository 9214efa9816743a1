"""The proxies of ~/.docker/config.json: Docker Compose's own containers, beside what the manifests take from the same files."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from boulder_k8s.host import docker_config
from boulder_k8s.manifests import compose

IMAGE = f"letsencrypt/boulder-tools:{os.environ.get('BOULDER_TOOLS_TAG', 'latest')}"
SERVICES = {
    "plain": {},
    "names": {"http_proxy": "http://mine:1", "NO_PROXY": "", "OTHER": "x"},
    "unset": {"HTTP_PROXY": None, "all_proxy": None},
}
DEFAULT = {
    "httpProxy": "http://user:word@proxy.example:3128",
    "httpsProxy": "http://proxy.example:3129",
    "noProxy": "localhost,10.77.0.0/16",
    "ftpProxy": "",
    "allProxy": "socks5://proxy.example:1080",
}
PROXIES = {
    "none": {},
    "default": {"default": DEFAULT},
    "of this engine": {"default": DEFAULT, docker_config.DEFAULT_HOST: {"ftpProxy": "http://engine.example:21"}},
    "of another engine": {"default": DEFAULT, "tcp://203.0.113.7:2376": {"httpProxy": "http://far.example"}},
}


def variables(lines: list[str]) -> dict[str, str]:
    """What an environment has of ours."""
    pairs = dict(line.split("=", 1) for line in lines if "=" in line)
    return {key: value for key, value in pairs.items() if key.lower().endswith("_proxy") or key == "OTHER"}


@pytest.mark.parametrize("name", PROXIES)
def test_containers_of_compose_and_our_pods_have_the_same_proxies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/config.json").write_text(json.dumps({"proxies": PROXIES[name]}))
    directory = tmp_path / "boulder-proxies"
    directory.mkdir()
    services = {
        service: {"image": IMAGE, "entrypoint": ["env"], "network_mode": "none", "environment": environment}
        for service, environment in SERVICES.items()
    }
    (directory / "docker-compose.yml").write_text(json.dumps({"services": services}))

    def composed(*words: str) -> str:
        return subprocess.run(
            ["docker", "compose", *words], cwd=directory, check=True, capture_output=True, text=True, timeout=120
        ).stdout

    ours = compose.services(compose.document(directory, config_next=False))
    try:
        composed("create")
        for service in SERVICES:
            made = composed("ps", "--all", "--quiet", service).strip()
            inspected = subprocess.run(
                ["docker", "inspect", "--format", "{{json .Config.Env}}", made], check=True, capture_output=True
            )
            wanted = variables([f"{key}={value}" for key, value in ours[service].environment.items()])
            assert variables(json.loads(inspected.stdout)) == wanted, service
            assert variables(composed("run", "--rm", "-T", service).splitlines()) == wanted, service
    finally:
        composed("down")
    assert (docker_config.proxies() == {}) == (name == "none")
