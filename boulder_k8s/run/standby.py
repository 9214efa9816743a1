"""The next run's pod, started ahead behind the run that has just ended: a pod takes a second to start, Compose's container does not.

It is the tests' pod but for its label, which no Service and nothing that looks for Boulder selects, and it has no command yet. A run
takes it when a pod made now would be the very same; otherwise it is deleted and the run makes its own. Its run directory lies in
`.runs/.standby/CLUSTER/` and becomes that of the next run.
"""

from __future__ import annotations

import copy
import hashlib
import json
import secrets
import shutil
import sys
from pathlib import Path, PurePosixPath

from ..cluster.kubectl import Kubectl
from ..cluster.rollout import NAME
from ..host import process
from ..host.settings import Settings, own_directory
from .directory import Run

STANDBY = "boulder-standby"
DIGEST = "boulder-k8s/standby"  # annotation: what it was made from
PATIENCE = 3.0  # seconds for it to be there: it was started before we would start one


def directories(settings: Settings) -> Path:
    """Where the run directories of this cluster's pods lie that no run has taken yet."""
    return settings.runs / ".standby" / settings.cluster


def find(settings: Settings) -> Path | None:
    """The run directory of the pod that waits, or None when there is none."""
    found = [path.parent for path in directories(settings).glob("*/pod.json") if not path.parent.is_symlink()]
    return found[0] if found else None


def waits(pod: dict) -> bool:
    """Whether a pod waits for a run. It is nobody's leftover."""
    return pod["metadata"].get("labels", {}).get(NAME) == STANDBY


def awaits(run: Run) -> bool:
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


def take(kubectl: Kubectl, run: Run, wanted: str) -> str:
    """Has the pod that waits in this run's directory run command.json, if it is the `wanted` one; returns its uid, or "".

    After "" no pod runs anything in this directory, now or later, and its programs are this version's.
    """
    if not awaits(run):
        return ""
    pod = json.loads((run.path / "pod.json").read_text())["metadata"]
    if pod["annotations"][DIGEST] == wanted and run.said("waiting", seconds=PATIENCE):
        uid = join(kubectl, pod["name"], wanted)
        go = run.path / "go"
        if uid:
            go.touch()
            if run.said("started", "stale", seconds=PATIENCE) == "started":
                return uid
            try:
                go.unlink()
            except FileNotFoundError:  # it has taken it, and is slow
                return uid
    kubectl.run("delete", "pod", pod["name"], "--ignore-not-found", "--force", "--grace-period=0", "--wait=false")
    run.copy_programs()
    return ""


def join(kubectl: Kubectl, name: str, wanted: str) -> str:
    """Gives the pod Boulder's label: from here on the Service boulder leads to it. Returns its uid, "" when it cannot be taken."""
    label = f"/metadata/labels/{escape(NAME)}"
    change = [
        {"op": "test", "path": f"/metadata/annotations/{escape(DIGEST)}", "value": wanted},
        {"op": "test", "path": label, "value": STANDBY},
        {"op": "test", "path": "/status/phase", "value": "Running"},
        {"op": "replace", "path": label, "value": "boulder"},
    ]
    words = ("patch", "pod", name, "--type=json", f"--patch={json.dumps(change)}", "--output=jsonpath={.metadata.uid}")
    try:
        return kubectl.run(*words)
    except process.Failed:  # not there, not ours, or ended
        return ""


def escape(key: str) -> str:
    """A key in a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def leave(kubectl: Kubectl, run: Run, ended: dict, uid: str, successor: dict | None) -> None:
    """Deletes the pod of a run that has a record, and creates its successor if there is to be one; both behind us.

    By force: nothing runs in the old one any more, so its name may be free before the node has tidied up. By its uid: another
    command's pod may have the name meanwhile.
    """
    pods = f"/api/v1/namespaces/{ended['metadata']['namespace']}/pods"
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
    steps = [[kubectl.command("delete", f"--raw={pods}/{ended['metadata']['name']}", "-f", "-"), json.dumps(options)]]
    if successor:
        steps.append([kubectl.command("create", f"--raw={pods}", "-f", "-"), json.dumps(successor)])
    path = run.path / "behind.json"
    path.write_text(json.dumps(steps))
    process.leave([sys.executable, "-P", "-S", Path(__file__).with_name("detached.py"), path])


def prepare(settings: Settings, runs_mount: str, document: dict, made_from: str) -> dict:
    """The pod that waits for the next run, and its run directory; `runs_mount` is .runs as the node sees it. document: the tests' pod,
    made_from: its digest.
    """
    path = directories(settings) / secrets.token_hex(4)
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
