"""What a row leaves: brought from the cluster into `.runs/MATRIX/ROW/`.

The sidecar `results` prints the run directory as an archive to its log (run/pod/results.py), which the kubelet keeps as long as the
pod; so does it with the logs of the services. Nothing is taken for whole that is not: the archive has its length and its hash, and the
streams have their lengths in the record.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import re
import tarfile
from pathlib import Path, PurePosixPath

from ..cluster.api import PATIENCE, Api
from ..cluster.culprit import statuses
from ..cluster.errors import ApiError
from ..host.files import private_directory, write_whole
from ..host.names import BOULDER
from .verdict import Record

RESULTS = "results"  # the sidecar
END = re.compile(rb"boulder-k8s end (\d+) ([0-9a-f]{64})")
BEGIN = b"boulder-k8s results"


class Incomplete(Exception):
    """The archive is not whole."""


def unframed(log: bytes) -> bytes:
    """Returns the archive that a log holds. Raises Incomplete."""
    lines = log.split(b"\n")
    ends = [number for number, line in enumerate(lines) if END.fullmatch(line)]
    begins = [number for number, line in enumerate(lines) if line == BEGIN and ends and number < ends[-1]]
    if not begins:
        raise Incomplete("the cluster has cut its log" if ends else "it was not sent whole")
    length, digest = END.fullmatch(lines[ends[-1]]).groups()
    try:
        data = b"".join(base64.b64decode(line, validate=True) for line in lines[begins[-1] + 1 : ends[-1]])
    except binascii.Error as error:
        raise Incomplete("its log holds something else") from error
    if len(data) != int(length) or hashlib.sha256(data).hexdigest().encode() != digest:
        raise Incomplete("the cluster has cut its log")
    return data


def unpack(data: bytes, directory: Path) -> None:
    """Writes the files of an archive below a directory. Leaves out what would lie elsewhere. Raises Incomplete, OSError."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if not member.isfile() or path.is_absolute() or ".." in path.parts:
                    continue
                target = directory / path
                private_directory(target.parent)
                write_whole(target, tar.extractfile(member).read())
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise Incomplete(f"it cannot be unpacked: {error}") from error


def bring(api: Api, pod: dict, directory: Path, record: Record | None) -> str:
    """Brings what a row's pod has left into its directory; returns what is missing, "" if nothing is. record: the supervisor's, None if
    there is none: then the container's log is its output. Raises OSError.
    """
    private_directory(directory)
    name = pod["metadata"]["name"]
    write_whole(directory / "pod.json", json.dumps(pod, indent=2) + "\n")
    missing = []
    try:
        unpack(unframed(whole_log(api, name, RESULTS)), directory)
    except (ApiError, Incomplete) as error:
        missing.append(f"the archive: {error}")
    services = private_directory(directory / "services")
    for item in statuses(pod):
        if item["name"] in (RESULTS, BOULDER) and not missing:
            continue
        if not item.get("containerID"):  # it never ran
            continue
        try:
            write_whole(services / f"{item['name']}.log", whole_log(api, name, item["name"]))
        except ApiError as error:
            missing.append(f"the log of {item['name']}: {error}")
    for stream, length in (record.lengths if record else {}).items():
        path = directory / stream
        there = path.stat().st_size if path.exists() else 0
        if there != length:
            missing.append(f"{length - there} bytes of {stream}")
    return "; ".join(missing)


def whole_log(api: Api, pod: str, container: str) -> bytes:
    """Returns a container's log; asks again if the connection breaks. Raises ApiError."""
    return api.ask(lambda: api.log(pod, container), PATIENCE)
