"""`invoke images save` and `load`: everything that an `up` needs, carried in one file to a machine without a network.

The file is a plain tar (tarball.py):

    kind            the executable
    wheels/         requirements.txt's packages, for this platform and every Python of PYTHONS; bootstrap.py installs them
    boulder.pack    the checkout's commit
    images.tar      `docker image save` of the Compose file's images and the node image
    manifest.json   what these are, and every one's checksum
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ..cluster import images
from ..host import docker, process, tools
from ..host.errors import Problem
from ..host.files import own_directory
from ..host.progress import note, step
from ..host.settings import ROOT, Settings
from ..manifests import checkout, compose
from ..manifests.checkout import Checkout
from . import tarball

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
TAGS = ("BOULDER_TOOLS_TAG", "BOULDER_VTCOMBOSERVER_TAG", "KIND_NODE_IMAGE")  # what decides which images an `up` takes
PACK = "boulder.pack"


def save(settings: Settings, file: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Writes `file`, having pulled and built what is not here yet. Raises Problem when something cannot be had."""
    if settings.offline:
        raise Problem("Offline nothing is saved: a file's Python packages come from an index.", "Save without offline.")
    found = tools.find(settings)
    source = checkout.of_command(settings, environ)
    references = wanted(settings, source)
    with tarball.writing(file) as writer, tempfile.TemporaryDirectory() as directory:
        with open(found.kind, "rb") as kind:
            writer.add("kind", kind)
        for wheel in wheels(Path(directory)):
            with open(wheel, "rb") as content:
                writer.add(f"wheels/{wheel.name}", content)
        revision = add_checkout(writer, source)
        with step(f"saving {len(references)} images") as said:
            add_images(writer, references, said)
        writer.finish(
            {
                "platform": this_platform(),
                "versions": tools.versions(settings, found),
                "environment": {name: environ[name] for name in TAGS if environ.get(name)},
                "boulder": revision,
                "images": [identify(reference) for reference in references],
            }
        )
    note(f"{file} has {len(references)} images, kind {tools.KIND}, Python packages and Boulder {revision or 'not'}")
    note("on the other machine, in a copy of this directory:")
    note(f"    python3 boulder_k8s/bootstrap.py --from {file.name}; .venv/bin/invoke images load {file.name}")


def wanted(settings: Settings, source: Checkout) -> list[str]:
    """The images of t.sh's Compose project and of tn.sh's, and the node's: all here when this returns."""
    found = {images.ensure_node_image(settings)}
    for config_next in (False, True):
        document = compose.remembered(
            source.path, config_next, settings.file("compose-next" if config_next else "compose")
        )
        found |= set(images.ensure_local(settings, compose.services(document), source, config_next))
    return sorted(found)


def wheels(directory: Path) -> list[Path]:
    """The packages that requirements.txt pins, downloaded into `directory`. Raises Problem when they cannot be had."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    pip += ["--only-binary=:all:", f"--dest={directory}", f"--requirement={ROOT / 'requirements.txt'}"]
    with step("getting the Python packages"):
        for python in PYTHONS:
            try:
                process.run([*pip, f"--python-version={python}"], timeout=600)
            except process.Failed as error:
                raise Problem(
                    f"The Python packages for Python {python} cannot be had.",
                    "See that pip reaches a package index, then try again.",
                    error.output,
                ) from error
    return sorted(directory.iterdir())


def add_checkout(writer: tarball.Writer, source: Checkout) -> str | None:
    """Adds the checkout's commit; returns it, or None where there is none (no git): that checkout must be copied."""
    revision = source.revision()
    if revision == "unknown":
        note(f"{source.path} is not under git and not in the file: copy it yourself")
        return None
    commit, dirty = revision.removesuffix("-dirty"), revision.endswith("-dirty")
    if dirty:
        note(f"what is not committed in {source.path} is not in the file")
    with step(f"packing Boulder {commit[:9]}"), checkout.packed(source, commit) as pack:
        writer.add(PACK, pack)
    return commit


def add_images(writer: tarball.Writer, references: list[str], said: process.Said) -> None:
    with (
        tempfile.TemporaryFile() as words,
        process.started(
            docker.save_command(references), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words
        ) as child,
    ):
        try:
            writer.add_tar("images.tar", child.stdout, said)
            code = child.wait()
        except tarfile.TarError:  # it ended early
            code = child.wait() or 1
        if code:
            words.seek(0)
            raise process.Failed(child.args, code, words.read().decode(errors="replace"))


def identify(reference: str) -> dict:
    """What tells an image from others. layers: the same in every kind of image store, which ids are not."""
    found = docker.image(reference)
    return {
        "reference": reference,
        "id": found["Id"],
        "digests": sorted(found.get("RepoDigests") or []),
        "layers": found["RootFS"].get("Layers") or [],
    }


def load(settings: Settings, file: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Brings what `file` has to this machine, after a look at all of it. Raises Problem when it is not as it was saved."""
    with tarball.reading(file) as saved:
        check_fits(saved)
        with step(f"checking {file.name}") as said:
            saved.verify(said)
        with step("docker image load") as said:
            words = process.feed(["docker", "image", "load", "--quiet"], saved.member("images.tar"), said)
        untagged = re.findall(r"Loaded image ID: (\S+)", words)
        found = {image["reference"]: settle(image, untagged) for image in saved.manifest["images"]}
        for reference, image in found.items():
            note(f"image {reference} ({image.removeprefix('sha256:')[:12]})")
        images.note_brought(settings, found)
        put_kind(settings, saved)
        put_checkout(settings, saved, environ)
    variables = " ".join(f"{name}={value}" for name, value in saved.manifest["environment"].items())
    note(f"next: {variables}{' ' if variables else ''}.venv/bin/invoke up --offline")


def check_fits(saved: tarball.Reader) -> None:
    """Raises Problem when the file is for another kind of machine, or for another boulder-k8s."""
    if (theirs := saved.manifest["platform"]) != this_platform():
        raise Problem(
            f"{saved.path.name} is for {theirs}; this machine is {this_platform()}.",
            "Save it on a machine of this kind.",
        )
    if (kind := saved.manifest["versions"]["kind"]) != tools.KIND:
        raise Problem(
            f"{saved.path.name} has kind {kind}; this boulder-k8s is made for {tools.KIND}.",
            "Let both machines have the same boulder-k8s, and save it again.",
        )


def settle(image: dict, untagged: list[str]) -> str:
    """The engine's id of an image that was just loaded, whose tag names it from now on. Raises Problem when it is not that image.

    untagged: the images that were loaded without a tag, as those are that were saved by their digest.
    """
    tag = image["reference"].partition("@")[0]
    for name in (tag, *untagged):
        found = docker.image(name)
        if found and (found["Id"] == image["id"] or found["RootFS"].get("Layers") == image["layers"]):
            if name != tag:
                process.run(["docker", "image", "tag", name, tag], timeout=60)
            return found["Id"]
    raise Problem(
        f"The engine loaded the images, but {tag} is not the one that was saved.",
        "See what `docker image load` says about that image.",
    )


def put_kind(settings: Settings, saved: tarball.Reader) -> None:
    """Puts kind where `tools.find_kind` looks."""
    own_directory(settings.root / ".state")
    path = tools.own_kind(settings)
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(partial, "wb") as file:
            shutil.copyfileobj(saved.member("kind"), file)
        partial.chmod(0o755)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    note(f"kind {tools.KIND}")


def put_checkout(settings: Settings, saved: tarball.Reader, environ: Mapping[str, str]) -> None:
    """Makes the checkout that a command finds where nothing names one; one that is there already stays as it is."""
    revision = saved.manifest["boulder"]
    there = Checkout(checkout.place(environ, checkout.current_directory(), settings.root, settings.known_checkout))
    if not revision or not there.missing():
        note(f"Boulder stays {there.path} at {there.revision()[:9]}; the file has {(revision or 'none')[:9]}")
    elif there.path == settings.root / ".boulder":
        checkout.unpack(there.path, revision, saved.member(PACK))
        note(f"Boulder {revision[:9]} in .boulder/")


def this_platform() -> str:
    return f"{platform.system()}/{platform.machine()}".lower()
