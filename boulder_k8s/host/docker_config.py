"""What the docker command takes from the environment and ~/.docker: where its engine is, and the containers' proxies.

Read here instead of asked for, since each `docker context inspect` takes 40 ms. The rules are those of docker/cli 29:
cli/config/config.go, cli/config/configfile/file.go, cli/command/cli.go, cli/context/store/metadatastore.go.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

DEFAULT_CONTEXT = "default"
DEFAULT_HOST = "unix:///var/run/docker.sock"
# Keys of `proxies` in config.json, and the variables that containers get: under this name and in lower case.
PROXIES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "noProxy": "NO_PROXY",
    "ftpProxy": "FTP_PROXY",
    "allProxy": "ALL_PROXY",
}


def directory(environ: Mapping[str, str]) -> Path:
    """Returns the directory of Docker's configuration: DOCKER_CONFIG, else ~/.docker."""
    home = environ.get("HOME") or Path.home()
    return Path(environ.get("DOCKER_CONFIG") or Path(home) / ".docker")


def context(environ: Mapping[str, str]) -> str:
    """Returns the name of the current `docker context`; "default" if DOCKER_HOST is set."""
    if environ.get("DOCKER_HOST"):
        return DEFAULT_CONTEXT
    chosen = environ.get("DOCKER_CONTEXT") or read(directory(environ) / "config.json").get("currentContext")
    return chosen or DEFAULT_CONTEXT


def daemon_host(environ: Mapping[str, str]) -> str:
    """Returns the engine's address, as DOCKER_HOST spells it; "" if the current context is not known here."""
    name = context(environ)
    if name == DEFAULT_CONTEXT:
        host = environ.get("DOCKER_HOST", "").strip() or DEFAULT_HOST
        return host if "://" in host else f"tcp://{host}"
    known = directory(environ) / "contexts/meta" / hashlib.sha256(os.fsencode(name)).hexdigest() / "meta.json"
    endpoints = read(known).get("Endpoints") or {}
    return (endpoints.get("docker") or {}).get("Host") or ""


def proxies(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Returns the variables that docker and Docker Compose add to every container, sorted.

    They are those of the engine's address in `proxies` of config.json, else those of `default`; one without a value is
    left out. What a container's own `environment` names counts instead, even if it gives it no value.
    """
    known = read(directory(environ) / "config.json").get("proxies") or {}
    chosen = known.get(daemon_host(environ), known.get("default")) or {}
    found = {name: chosen[key] for key, name in PROXIES.items() if chosen.get(key)}
    return dict(sorted({**found, **{name.lower(): value for name, value in found.items()}}.items()))


def read(path: Path) -> dict:
    """Returns the object in a JSON file; {} if it is absent or broken, as docker goes on then."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
