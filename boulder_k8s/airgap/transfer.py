"""`invoke images save` and `load`: everything that an `up` needs, carried in one file to a machine without a network.

The file is a plain tar (tarball.py):

    kind            the executable
    wheels/         requirements.txt's packages, for this platform and each of PYTHONS; bootstrap.py installs them
    boulder.pack    the checkout's commit
    images.tar      `docker image save` of the Compose file's images and the node image
    images-1.tar    and so on: of those that the engine has for another platform
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
TAGS = ("BOULDER_TOOLS_TAG", "BOULDER_VTCOMBOSERVER_TAG", "KIND_NODE_IMAGE")  # they decide which images an `up` uses
PACK = "boulder.pack"


def save(settings: Settings, file: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Writes `file`; first pulls, builds and downloads what is missing here. Prints what to do on the other machine.

    Raises Problem if something cannot be fetched or the file cannot be written, or process.Failed.
    """
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
            for number, (platform, group) in enumerate(docker.by_platform(references).items()):
                save = docker.save_command(group, platform)
                add_images(writer, f"images-{number}.tar" if number else "images.tar", save, said)
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
    """Returns the images that t.sh's and tn.sh's Compose projects and the node need. Fetches those that are missing
    here.

    Raises Problem if one cannot be fetched.
    """
    found = {images.ensure_node_image(settings)}
    for config_next in (False, True):
        document = compose.remembered(
            source.path, config_next, settings.file("compose-next" if config_next else "compose")
        )
        found |= set(images.ensure_local(settings, compose.services(document), source, config_next))
    return sorted(found)


def wheels(directory: Path) -> list[Path]:
    """Downloads the packages that requirements.txt pins into `directory`; returns the files. Raises Problem if that
    fails.
    """
    pip = [sys.executable, "-I", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    pip += ["--only-binary=:all:", f"--dest={directory}", f"--requirement={ROOT / 'requirements.txt'}"]
    with step("getting the Python packages"):
        for python in PYTHONS:
            try:
                process.run([*pip, f"--python-version={python}"], timeout=600)
            except process.Failed as error:
                raise Problem(
                    f"The Python packages for Python {python} cannot be downloaded.",
                    "Check that pip reaches a package index, then try again.",
                    error.output,
                ) from error
    return sorted(directory.iterdir())


def add_checkout(writer: tarball.Writer, source: Checkout) -> str | None:
    """Adds the checkout's commit to the archive and returns it. Returns None without git: the user must copy that
    checkout.

    Raises process.Failed or OSError.
    """
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


def add_images(writer: tarball.Writer, name: str, save: list[str], said: process.Said) -> None:
    """Adds a member with images as `docker image save` writes them. save: the command. said: gets the progress.

    Raises process.Failed or OSError.
    """
    with (
        tempfile.TemporaryFile() as words,
        process.started(save, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words) as child,
    ):
        try:
            writer.add_tar(name, child.stdout, said)
            code = child.wait()
        except tarfile.TarError:  # it ended early
            code = child.wait() or 1
        if code:
            words.seek(0)
            raise process.Failed(child.args, code, words.read().decode(errors="replace"))


def identify(reference: str) -> dict:
    """Returns what tells an image from others. layers: unlike ids, they are the same in every kind of image store."""
    found = docker.image(reference)
    return {
        "reference": reference,
        "id": found["Id"],
        "digests": sorted(found.get("RepoDigests") or []),
        "layers": found["RootFS"].get("Layers") or [],
    }


def load(settings: Settings, file: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Loads everything in `file` into this machine, after checking all of it.

    Raises Problem if the file is damaged or for another kind of machine, or process.Failed.
    """
    with tarball.reading(file) as saved:
        check_fits(saved)
        with step(f"checking {file.name}") as said:
            saved.verify(said)
        with step("docker image load") as said:
            load = ["docker", "image", "load", "--quiet"]
            archives = [name for name in saved.names() if re.fullmatch(r"images(-\d+)?\.tar", name)]
            words = [process.feed(load, saved.member(name), said) for name in archives]
        untagged = re.findall(r"Loaded image ID: (\S+)", "\n".join(words))
        found = {image["reference"]: settle(image, untagged) for image in saved.manifest["images"]}
        for reference, image in found.items():
            note(f"image {reference} ({image.removeprefix('sha256:')[:12]})")
        images.note_brought(settings, found)
        put_kind(settings, saved)
        put_checkout(settings, saved, environ)
    variables = " ".join(f"{name}={value}" for name, value in saved.manifest["environment"].items())
    note(f"next: {variables}{' ' if variables else ''}.venv/bin/invoke up --offline")


def check_fits(saved: tarball.Reader) -> None:
    """Raises Problem if the file is for another kind of machine, or for a boulder-k8s with another kind."""
    if (theirs := saved.manifest["platform"]) != this_platform():
        raise Problem(
            f"{saved.path.name} is for {theirs}; this machine is {this_platform()}.",
            "Save it on a machine of this kind.",
        )
    if (kind := saved.manifest["versions"]["kind"]) != tools.KIND:
        raise Problem(
            f"{saved.path.name} has kind {kind}; this boulder-k8s is made for {tools.KIND}.",
            "Use the same boulder-k8s on both machines, and save it again.",
        )


def settle(image: dict, untagged: list[str]) -> str:
    """Makes sure that the tag of an image that was just loaded names it; returns the engine's id.

    image: its entry in the manifest. untagged: the images that were loaded without a tag, because they were saved by
    their digest. Raises Problem if the engine has another image.
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
    """Puts kind where `tools.find_kind` looks for it. Raises OSError."""
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
    """Makes the checkout that a command uses if none is named; keeps one that is there already. Raises
    process.Failed.
    """
    revision = saved.manifest["boulder"]
    there = Checkout(checkout.place(environ, checkout.current_directory(), settings.root, settings.known_checkout))
    if not revision or not there.missing():
        note(f"Boulder stays {there.path} at {there.revision()[:9]}; the file has {(revision or 'none')[:9]}")
    elif there.path == settings.root / ".boulder":
        checkout.unpack(there.path, revision, saved.member(PACK))
        note(f"Boulder {revision[:9]} in .boulder/")


def this_platform() -> str:
    """Returns the kind of this machine, such as linux/x86_64."""
    return f"{platform.system()}/{platform.machine()}".lower()
