"""Which files of the checkout travel in ConfigMaps and Secrets, and how they are brought to where kustomize may read them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from ..host.errors import Problem
from ..host.files import PRIVATE, in_utf_8, private_directory
from .checkout import Checkout

MAXIMUM = 1 << 20  # bytes in a ConfigMap or Secret: https://kubernetes.io/docs/concepts/configuration/configmap/

LONGEST = 200  # characters of a key, which may have 253

BOULDER_CONFIG = "boulder-config"  # k8s/overlays declares it; the user may lay files over those of the checkout
INITDB = "bmariadb-initdb"  # k8s/base declares it and the following
# Object name -> file or directory of the checkout; what the services mount of ./test in docker-compose.yml.
CONFIG_MAPS = {
    "bproxysql-config": "test/proxysql/proxysql.cnf",
    "bredis-config": "test/redis-ratelimits.config",
    "bconsul-config": "test/consul",
    "bpkimetal-config": "test/pkimetal-config.yaml",
    "bminio-config": "test/minio",
}
# The key of a file that stands alone, where it is not the file's name.
KEYS = {"bpkimetal-config": "config.yaml"}
PKI = "test/certs/ipki"  # made by generate.sh
SECRETS = {
    "bredis-tls": {
        "minica.pem": f"{PKI}/minica.pem",
        "cert.pem": f"{PKI}/redis/cert.pem",
        "key.pem": f"{PKI}/redis/key.pem",
    },
    "bconsul-tls": {
        "minica.pem": f"{PKI}/minica.pem",
        "minica-key.pem": f"{PKI}/minica-key.pem",
        "cert.pem": f"{PKI}/consul.boulder/cert.pem",
        "key.pem": f"{PKI}/consul.boulder/key.pem",
    },
}


def files_of(checkout: Checkout, name: str) -> dict[str, Path]:
    """Returns the files of the checkout that fill a ConfigMap or Secret which k8s/base declares, by their keys."""
    if name == INITDB:
        return initdb(checkout)
    if name in SECRETS:
        return {key: checkout.path / path for key, path in SECRETS[name].items()}
    source = checkout.path / CONFIG_MAPS[name]
    if source.is_dir():
        return {path.name: path for path in sorted(source.iterdir()) if path.is_file()}
    return {KEYS.get(name, source.name): source}


def is_carried(checkout: Checkout, name: str) -> bool:
    """Returns whether a ConfigMap can hold what fills it: all of it is there, in no directories below, not too large, and each file's
    name can be a key. https://kubernetes.io/docs/concepts/configuration/configmap/
    """
    files = files_of(checkout, name)
    source = checkout.path / CONFIG_MAPS.get(name, "sa/db")
    nested = name != INITDB and source.is_dir() and any(path.is_dir() for path in source.iterdir())
    fits = sum(path.stat().st_size for path in files.values() if there(path)) <= MAXIMUM
    named = all(re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in files)
    return bool(files) and not nested and fits and named and all(there(path) for path in files.values())


def initdb(checkout: Checkout) -> dict[str, Path]:
    """What MariaDB's image runs of sa/db (https://hub.docker.com/_/mariadb): an editor's backup beside it, x.sql~, has a name that
    Kubernetes refuses.
    """
    if not (checkout.path / "sa/db").is_dir():
        return {}
    run = {".sh", ".sql", ".gz", ".xz", ".zst"}
    files = sorted(path for path in (checkout.path / "sa/db").iterdir() if path.is_file() and path.name[0] != ".")
    return {path.name: path for path in files if path.suffix in run}


def needs_generate(checkout: Checkout) -> bool:
    """Whether generate.sh has to run before the manifests can be made: Redis and Consul mount what it makes."""
    return any(not there(checkout.path / path) for files in SECRETS.values() for path in files.values())


def setup_is_due(checkout: Checkout, command: Sequence[str] | None) -> bool:
    """Whether bsetup has to run before anything starts. command: what it runs, or None if there is no such service.

    Under Compose it runs each time, and generate.sh itself skips every directory that is there: `if ! [ -d DIRECTORY ]`. The tests' pod
    runs it each time too. So a directory that it would make now is a reason, beside files that pods mount. Raises Problem if such files
    are missing and nothing makes them.
    """
    lacking = needs_generate(checkout)
    if command is None:
        if lacking:
            missing = next(
                path for files in SECRETS.values() for path in files.values() if not there(checkout.path / path)
            )
            raise Problem(
                f"The checkout has no {missing}, and docker-compose.yml has no service bsetup that makes it.",
                "Make it as this checkout's documentation says, or run ./t.sh.",
            )
        return False
    return lacking or any(unmade(checkout, word) for word in command[:1])


def unmade(checkout: Checkout, script: str) -> bool:
    """Whether a script of the checkout finds a directory missing and makes it. It is read, not run: names with variables do not count."""
    path = checkout.path / script
    try:
        text = path.read_text(errors="replace")
    except OSError:  # a program of the image
        return False
    # Before June 2026 generate.sh changed to its own directory for a part of its work.
    tested, made = (
        [
            {Path(os.path.normpath(base / name)) for base in (checkout.path, path.parent)}
            for name in re.findall(pattern, text)
        ]
        for pattern in (r"(?:! (?:\[|test)|\[ !) -d [\"']?([^\s;\"'$]+)", r"\bmkdir (?:-p )?[\"']?([^\s;\"'$]+)")
    )
    making = set().union(*made)
    return any(places & making and not any(place.is_dir() for place in places) for places in tested)


def there(path: Path) -> bool:
    """Whether there is such a file. Raises Problem when that cannot be seen: generate.sh, which is root, opens its directories last."""
    try:
        return stat.S_ISREG(path.stat().st_mode)  # is_file says False of Python 3.14 on where it may not look
    except PermissionError as error:
        raise Problem(
            f"{path} cannot be read by you.",
            "If generate.sh was interrupted: `sudo rm -r test/certs/ipki` in the checkout, and run the command again."
            if PKI in str(path)
            else "Make it readable: `chmod` or `chown` it.",
        ) from error
    except OSError:
        return False


def configuration(files: dict[str, Path]) -> list[tuple[str, Path, str]]:
    """Files by their path in a directory, as (ConfigMap key, file, path). Keys hold no slash and are short, so they are made unique.

    Raises Problem if a path is not UTF-8.
    """
    found = []
    keys: set[str] = set()
    for relative, path in sorted(files.items()):
        in_utf_8(path)
        stem = key = re.sub(r"[^-._a-zA-Z0-9]", "_", relative.replace("/", "__"))[:LONGEST]
        number = 1
        while key in keys:
            key, number = f"{stem}.{number}", number + 1
        keys.add(key)
        found.append((key, path, relative))
    return found


def beyond(config: list[tuple[str, Path, str]], checkout: Path) -> dict[str, str]:
    """What of `configuration` no ConfigMap has room for, the largest files first: paths and the digests of their content.

    checkout: the directory of the checkout; what lies elsewhere (--config-overlay) counts, but stays.
    """
    sizes = {relative: path.stat().st_size for _, path, relative in config}
    found: dict[str, str] = {}
    for _, path, relative in sorted(config, key=lambda item: -sizes[item[2]]):
        if sum(sizes.values()) <= MAXIMUM:
            break
        if path.is_relative_to(checkout):
            del sizes[relative]
            with path.open("rb") as file:
                found[relative] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def stage(directory: Path, name: str, files: dict[str, Path]) -> list[str]:
    """Copies files to where kustomize may read them; returns generator entries. Raises Problem for what cannot be carried."""
    target = directory / name
    private_directory(target)
    total = 0
    for key, path in files.items():
        if not there(path):
            raise Problem(
                f"The checkout has no {path.name} where the manifests expect it: {path}.",
                "Use a checkout of this project's age, or run ./t.sh; for certificates: remove test/certs/ipki, they are made again.",
            )
        total += shutil.copyfile(path, target / key).stat().st_size
        (target / key).chmod(PRIVATE)
    if total > MAXIMUM:
        largest = max(files.values(), key=lambda path: path.stat().st_size)
        raise Problem(
            f"{name} would hold {total:,} bytes; Kubernetes takes at most {MAXIMUM:,} in a ConfigMap.",
            f"Make {largest} smaller: it has {largest.stat().st_size:,} bytes.",
        )
    return [f"{key}={name}/{key}" for key in files]


def mode(path: Path) -> int:
    """The file's permissions, which a projected volume keeps."""
    return path.stat().st_mode & 0o777
