"""The pod that waits: when a run ends, it starts the next run's pod, since a pod takes a second to start and Compose's container does not.

It is the tests' pod but for its label, which no Service and nothing that looks for Boulder selects, and it has no command yet. A run
claims it if a pod made now would be the very same; otherwise it deletes it and makes its own. Its run directory lies in
`.runs/.standby/CLUSTER/` and becomes that of the next run. BOULDER_K8S_STANDBY=false turns all of it off.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path, PurePosixPath

from ..cluster.api import Api
from ..cluster.errors import ApiError, Unanswered
from ..cluster.kind import Cluster
from ..host.files import own_directory
from ..host.names import BOULDER, NAME
from ..host.settings import Settings
from .directory import Run

SWITCH = "BOULDER_K8S_STANDBY"
STANDBY = "boulder-standby"
DIGEST = "boulder-k8s/standby"  # annotation: what it was made from
PATIENCE = 3.0  # seconds for it to be there: it was started before we would start one


def wanted(cluster: Cluster) -> bool:
    """Whether a pod may wait here: unless it is turned off, and if the engine follows a renamed directory for certain."""
    return os.environ.get(SWITCH) != "false" and bool(cluster.record().get("same_kernel"))


def find(settings: Settings) -> Path | None:
    """The run directory of the pod that waits, or None when there is none."""
    found = [path.parent for path in settings.standby.glob("*/pod.json") if not path.parent.is_symlink()]
    return found[0] if found else None


def is_standby(pod: dict) -> bool:
    """Whether a pod waits for a run. It is nobody's leftover."""
    return pod["metadata"].get("labels", {}).get(NAME) == STANDBY


def has_standby(run: Run) -> bool:
    """Whether a pod waits for this very run, in its directory."""
    return (run.path / "pod.json").exists()


def digest(document: dict, basis: object) -> str:
    """What tells one tests' pod from another: its description but for its run directory, and what that does not say (`basis`)."""
    pod = copy.deepcopy(document)
    mounted_run(pod)["path"] = ""
    programs = {path.name: path.read_text() for path in sorted((Path(__file__).parent / "pod").glob("*.py"))}
    return hashlib.sha256(json.dumps([pod, basis, programs], sort_keys=True).encode()).hexdigest()


def mounted_run(pod: dict) -> dict:
    return next(volume["hostPath"] for volume in pod["spec"]["volumes"] if volume["name"] == "run")


def claim(api: Api, run: Run, wanted: str) -> str:
    """Has the pod that waits in this run's directory run command.json, if it is the `wanted` one; returns its uid, or "".

    After "" no pod runs anything in this directory, now or later, and its programs are this version's.
    """
    if not has_standby(run):
        return ""
    pod = json.loads((run.path / "pod.json").read_text())["metadata"]
    if pod["annotations"][DIGEST] == wanted and run.wait_for_file("waiting", seconds=PATIENCE):
        uid = join(api, pod["name"], wanted)
        go = run.path / "go"
        if uid:
            go.touch()
            if run.wait_for_file("started", "stale", seconds=PATIENCE) == "started":
                return uid
            try:
                go.unlink()
            except FileNotFoundError:  # it has taken it, and is slow
                return uid
    api.delete("Pod", pod["name"], grace=0)
    run.copy_programs()
    return ""


def join(api: Api, name: str, wanted: str) -> str:
    """Gives the pod Boulder's label: from here on the Service boulder leads to it. Returns its uid, "" if it cannot be claimed."""
    label, annotation = (f"/metadata/{kind}/{escape(key)}" for kind, key in (("labels", NAME), ("annotations", DIGEST)))
    change = [
        {"op": "test", "path": annotation, "value": wanted},
        {"op": "test", "path": label, "value": STANDBY},
        {"op": "test", "path": "/status/phase", "value": "Running"},
        {"op": "replace", "path": label, "value": BOULDER},
    ]
    try:
        return api.patch("Pod", name, change)["metadata"]["uid"]
    except Unanswered:  # it may have arrived all the same
        found = api.find("Pod", name)
        ours = found and found["metadata"].get("annotations", {}).get(DIGEST) == wanted
        return found["metadata"]["uid"] if ours and not is_standby(found) else ""
    except ApiError:  # not there, not ours, or ended
        return ""


def escape(key: str) -> str:
    """A key in a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def hand_over(api: Api, ended: dict, uid: str, successor: dict | None) -> None:
    """Deletes the pod of a run that has a record, and creates its successor if there is one. Raises ApiError.

    At once: nothing runs in the old one any more, so its name may be free before the node has tidied up. By its uid: another command's
    pod may have the name meanwhile.
    """
    api.delete("Pod", ended["metadata"]["name"], uid=uid, grace=0, patience=5)
    if successor:
        api.create(successor, patience=0)


def prepare(settings: Settings, runs_mount: str, document: dict, made_from: str) -> dict:
    """The pod that waits for the next run, and its run directory; `runs_mount` is .runs as the node sees it. document: the tests' pod,
    made_from: its digest.
    """
    path = settings.standby / secrets.token_hex(4)
    shutil.rmtree(path.parent, ignore_errors=True)
    own_directory(settings.runs)
    path.mkdir(parents=True)
    Run(path).prepare()
    pod = copy.deepcopy(document)
    pod["metadata"]["annotations"] = {DIGEST: made_from}
    pod["metadata"]["labels"][NAME] = STANDBY
    pod["spec"]["containers"][0]["command"].append("standby")
    mounted_run(pod)["path"] = str(PurePosixPath(runs_mount, path.relative_to(settings.runs)))
    (path / "mounts.json").write_text(json.dumps(sources(pod["spec"])))
    (path / "pod.json").write_text(json.dumps(pod, indent=2) + "\n")  # last: what has it is whole
    return pod


def sources(spec: dict) -> dict[str, str | None]:
    """Where each mount of Boulder's container comes from, as the container itself sees it: a path in the checkout, or None."""
    volumes = {volume["name"]: volume.get("hostPath", {}).get("path", "/") for volume in spec["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    checkout = PurePosixPath(volumes["checkout"])
    found: dict[str, str | None] = {}
    for name, target in mounts.items():
        path = PurePosixPath(volumes[name])
        inside = name != "checkout" and path.is_relative_to(checkout)
        found[target] = str(PurePosixPath(mounts["checkout"], path.relative_to(checkout))) if inside else None
    return found
