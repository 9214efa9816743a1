"""The pod that waits. When a run ends, it starts the next run's pod, because a pod takes a second to start and
Compose's container does not.

The waiting pod differs from the tests' pod only in its label, which no Service selects, and in having no command yet. A
run claims it if a pod made now would be exactly the same; otherwise the run deletes it and makes a new one. Its run
directory is in `.runs/.standby/CLUSTER/` and becomes the directory of the next run. BOULDER_K8S_STANDBY=false turns all
of this off.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import secrets
import shutil
import time
from pathlib import Path, PurePosixPath

from ..cluster.api import Api
from ..cluster.errors import ApiError, Unanswered
from ..cluster.kind import Cluster
from ..cluster.watch import watching
from ..host.files import own_directory, private_directory, write_private
from ..host.names import BOULDER, NAME
from ..host.settings import Settings
from .directory import Run

SWITCH = "BOULDER_K8S_STANDBY"
STANDBY = "boulder-standby"
DIGEST = "boulder-k8s/standby"  # annotation: the digest of what the pod was made from
PATIENCE = 10.0  # seconds to wait for it. It was started before this run began, so a new pod would be there later.


def wanted(cluster: Cluster) -> bool:
    """Returns whether a pod may wait: BOULDER_K8S_STANDBY does not turn it off, and the engine shares the host's
    kernel.

    Only then is it certain that the pod's mount follows its run directory when that is renamed.
    """
    return os.environ.get(SWITCH) != "false" and bool(cluster.record().get("same_kernel"))


def find(settings: Settings) -> Path | None:
    """Returns the run directory of the pod that waits, or None if no pod waits."""
    found = [path.parent for path in settings.standby.glob("*/pod.json") if not path.parent.is_symlink()]
    return found[0] if found else None


def is_standby(pod: dict) -> bool:
    """Returns whether a pod waits for a run. Such a pod is not a leftover of an earlier run."""
    return pod["metadata"].get("labels", {}).get(NAME) == STANDBY


def has_standby(run: Run) -> bool:
    """Returns whether a pod waits for this run, in its directory."""
    return (run.path / "pod.json").exists()


def digest(document: dict, basis: object) -> str:
    """Returns a hash of everything that makes one tests' pod differ from another.

    document: the pod; the path of its run directory does not count. basis: what decides how the pod is made and
    `document` does not say.
    """
    pod = copy.deepcopy(document)
    mounted_run(pod)["path"] = ""
    programs = {path.name: path.read_text() for path in sorted((Path(__file__).parent / "pod").glob("*.py"))}
    return hashlib.sha256(json.dumps([pod, basis, programs], sort_keys=True).encode()).hexdigest()


def mounted_run(pod: dict) -> dict:
    """Returns the hostPath of the volume `run`, which is the run directory."""
    return next(volume["hostPath"] for volume in pod["spec"]["volumes"] if volume["name"] == "run")


def claim(api: Api, run: Run, wanted: str) -> str:
    """If the pod that waits in this run's directory was made from `wanted` (a digest), lets it run command.json and
    returns its uid.

    Otherwise returns "" after deleting the pod: then no pod runs anything in this directory, and its programs are of
    this version. Raises ApiError if the pod cannot be deleted.
    """
    if not has_standby(run):
        return ""
    pod = json.loads((run.path / "pod.json").read_text())["metadata"]
    if pod["annotations"][DIGEST] == wanted and run.wait_for_file("waiting", seconds=PATIENCE):
        uid = join(api, pod["name"], wanted) or join_later(api, pod["name"], wanted)
        go = run.path / "go"
        if uid:
            go.touch()
            if run.wait_for_file("started", "stale", seconds=PATIENCE) == "started":
                return uid
            try:
                go.unlink()
            except FileNotFoundError:  # the pod has taken it, and is slow to start
                return uid
    api.delete("Pod", pod["name"], grace=0)
    run.copy_programs()
    return ""


def join(api: Api, name: str, wanted: str) -> str:
    """Gives the pod Boulder's label, so that the Service boulder leads to it. Returns its uid, or "" if it cannot be
    claimed.
    """
    label, annotation = (f"/metadata/{kind}/{escape(key)}" for kind, key in (("labels", NAME), ("annotations", DIGEST)))
    change = [
        {"op": "test", "path": annotation, "value": wanted},
        {"op": "test", "path": label, "value": STANDBY},
        {"op": "test", "path": "/status/phase", "value": "Running"},
        {"op": "replace", "path": label, "value": BOULDER},
    ]
    try:
        return api.patch("Pod", name, change)["metadata"]["uid"]
    except Unanswered:  # the server may have changed the pod nevertheless
        found = api.find("Pod", name)
        ours = found and found["metadata"].get("annotations", {}).get(DIGEST) == wanted
        return found["metadata"]["uid"] if ours and not is_standby(found) else ""
    except ApiError:  # the pod is not there, not ours, or has ended
        return ""


def join_later(api: Api, name: str, wanted: str) -> str:
    """As `join`, for a pod whose node has not yet told the API server that it runs, which it does up to a second later.

    Returns "" at once if the pod is in any other phase than Pending.
    """
    deadline = time.monotonic() + PATIENCE
    with watching(api, fields=f"metadata.name={name}") as watch:
        while (left := deadline - time.monotonic()) > 0 and (pod := api.find("Pod", name)):
            if pod["status"].get("phase") != "Pending":
                return join(api, name, wanted) if pod["status"].get("phase") == "Running" else ""
            watch.next(left)
    return ""


def escape(key: str) -> str:
    """Returns a key as a JSON pointer (RFC 6901) writes it."""
    return key.replace("~", "~0").replace("/", "~1")


def hand_over(api: Api, ended: dict, uid: str, successor: dict | None) -> None:
    """Deletes the pod of a run that has a record, and creates its successor if there is one. Raises ApiError.

    Deletes it without grace, because nothing runs in it any more and its name is then free before the node has cleaned
    up. Deletes it by uid, because another command's pod may have the name meanwhile.
    """
    api.delete("Pod", ended["metadata"]["name"], uid=uid, grace=0, patience=5)
    if successor:
        api.create(successor, patience=0)


def prepare(settings: Settings, runs_mount: str, document: dict, made_from: str) -> dict:
    """Makes the run directory of the pod that waits for the next run; returns that pod's manifest. Raises OSError.

    runs_mount: .runs as the node sees it. document: the tests' pod. made_from: its digest.
    """
    path = settings.standby / secrets.token_hex(4)
    shutil.rmtree(path.parent, ignore_errors=True)
    own_directory(settings.runs)
    private_directory(path.parent)
    private_directory(path)
    Run(path).prepare()
    pod = copy.deepcopy(document)
    pod["metadata"]["annotations"] = {DIGEST: made_from}
    pod["metadata"]["labels"][NAME] = STANDBY
    pod["spec"]["containers"][0]["command"].append("standby")
    mounted_run(pod)["path"] = str(PurePosixPath(runs_mount, path.relative_to(settings.runs)))
    write_private(path / "mounts.json", json.dumps(sources(pod["spec"])))
    write_private(path / "pod.json", json.dumps(pod, indent=2) + "\n")  # last: marks a complete directory
    return pod


def sources(spec: dict) -> dict[str, str | None]:
    """Returns, for each mount point of Boulder's container, the directory in the checkout that is mounted there, or
    None for another.

    Both are paths as the container sees them. spec: the pod's.
    """
    volumes = {volume["name"]: volume.get("hostPath", {}).get("path", "/") for volume in spec["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    checkout = PurePosixPath(volumes["checkout"])
    found: dict[str, str | None] = {}
    for name, target in mounts.items():
        path = PurePosixPath(volumes[name])
        inside = name != "checkout" and path.is_relative_to(checkout)
        found[target] = str(PurePosixPath(mounts["checkout"], path.relative_to(checkout))) if inside else None
    return found
