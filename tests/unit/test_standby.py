"""The pod that is started ahead of the next run: taken when it is what a new one would be, and never twice."""

from __future__ import annotations

import copy
import errno
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.pods import Pod, eventually
from support.programs import Programs

from boulder_k8s.cluster.kubectl import Kubectl
from boulder_k8s.host.settings import ROOT, Settings
from boulder_k8s.manifests.overlay import Rendered
from boulder_k8s.manifests.workloads import load
from boulder_k8s.run import standby
from boulder_k8s.run.directory import Run
from boulder_k8s.run.runner import TESTS, pod

BASIS = ["node", "started", {"boulder-tools": "sha256:1"}]


@pytest.fixture
def kubectl(programs: Programs) -> Kubectl:
    programs.answer("kubectl", "patch pod boulder-tests", "[ ! -e $cd/gone ] || exit 1; printf uid-1")
    programs.answer("kubectl", "delete pod boulder-tests", "")
    return Kubectl(programs.directory / "kubectl", programs.directory / "kubeconfig", "kind-unit")


@pytest.fixture
def document(settings: Settings) -> dict:
    return made(Run.create(settings, ["t"], {}), settings)


def made(run: Run, settings: Settings, **environment: str) -> dict:
    deployment = load(ROOT / "k8s/base/boulder/boulder-deployment.yaml")
    deployment["metadata"]["namespace"] = "boulder"
    return pod(Rendered("", [deployment]), TESTS, run, settings.runs, environment)


@pytest.fixture
def run(settings: Settings, document: dict) -> Run:
    """The next run, in whose directory a pod waits."""
    standby.prepare(settings, "/runs", document, standby.digest(document, BASIS))
    run = Run.create(settings, ["t"], {}, standby.find(settings))
    (run.path / "waiting").touch()
    return run


def test_without_room_for_the_link_the_run_has_a_directory_of_its_own(
    settings: Settings, document: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    standby.prepare(settings, "/runs", document, "digest")
    link = Path.symlink_to

    def full(path: Path, target: object) -> None:
        if path.name.endswith(".moved"):
            raise OSError(errno.ENOSPC, "No space left on device")
        link(path, target)

    monkeypatch.setattr(Path, "symlink_to", full)
    run = Run.create(settings, ["t"], {}, standby.find(settings))
    assert not standby.awaits(run)
    assert (run.path / "signals").is_dir()
    assert standby.find(settings)  # for the next one


def test_it_is_the_tests_pod_but_for_its_label_and_its_wait(settings: Settings, document: dict) -> None:
    before = copy.deepcopy(document)
    waiting = standby.prepare(settings, "/runs", document, standby.digest(document, BASIS))
    assert document == before
    assert standby.waits(waiting) and not standby.waits(document)
    directory = standby.find(settings)
    assert waiting["spec"]["containers"][0]["command"].pop() == "standby"
    assert standby.mounted_run(waiting)["path"] == f"/runs/.standby/unit/{directory.name}"
    standby.mounted_run(waiting)["path"] = standby.mounted_run(document)["path"]
    assert waiting["spec"] == document["spec"]
    assert waiting["metadata"]["name"] == document["metadata"]["name"]


def test_its_directory_becomes_the_runs_and_the_node_still_finds_it(settings: Settings, document: dict) -> None:
    standby.prepare(settings, "/runs", document, standby.digest(document, BASIS))
    place = standby.find(settings)
    run = Run.create(settings, ["t"], {"arguments": []}, place)
    assert standby.awaits(run) and (run.path / "stdout").exists()
    assert json.loads((run.path / "run.json").read_text())["arguments"] == []
    assert place.resolve() == run.path  # a pod that is about to mount it
    assert standby.find(settings) is None  # one run has it, no other
    assert not standby.awaits(Run.create(settings, ["t"], {}, standby.find(settings)))


def test_one_that_was_taken_away_meanwhile_is_no_obstacle(settings: Settings, tmp_path: Path) -> None:
    run = Run.create(settings, ["t"], {}, tmp_path / "gone")
    assert (run.path / "stdout").exists() and not standby.awaits(run)


def test_it_is_taken_when_it_is_what_a_new_pod_would_be(kubectl: Kubectl, run: Run, settings: Settings) -> None:
    (run.path / "started").touch()
    assert standby.take(kubectl, run, standby.digest(made(run, settings), BASIS)) == "uid-1"
    assert (run.path / "go").exists()


@pytest.mark.parametrize("what", ["environment", "node", "image", "programs"])
def test_another_pod_than_the_wanted_one_is_deleted(
    kubectl: Kubectl, run: Run, settings: Settings, programs: Programs, monkeypatch, what: str
) -> None:
    environment, basis = {}, BASIS
    if what == "environment":
        environment = {"USE_VITESS": "true"}
    elif what == "node":
        basis = ["node", "started again", BASIS[2]]
    elif what == "image":
        basis = ["node", "started", {"boulder-tools": "sha256:2"}]
    else:
        monkeypatch.setattr(standby, "__file__", str(run.path / "standby.py"))
        (run.path / "pod/supervisor.py").write_text("another\n")
    refused(kubectl, run, standby.digest(made(run, settings, **environment), basis), programs)
    # The pod that is made instead begins with this version's programs.
    assert (run.path / "pod/supervisor.py").read_bytes() == (ROOT / "boulder_k8s/run/pod/supervisor.py").read_bytes()


def test_one_that_the_cluster_does_not_have_is_not_waited_for(kubectl, run, settings, programs: Programs) -> None:
    (programs.directory / "gone").touch()
    refused(kubectl, run, standby.digest(made(run, settings), BASIS), programs)


def test_one_that_says_that_it_is_stale_is_deleted(kubectl, run, settings, programs: Programs) -> None:
    (run.path / "stale").write_text("why\n")
    refused(kubectl, run, standby.digest(made(run, settings), BASIS), programs)


@pytest.mark.parametrize("missing", ["waiting", "started"])
def test_one_that_does_not_answer_is_given_up(kubectl, run, settings, programs, monkeypatch, missing: str) -> None:
    monkeypatch.setattr(standby, "PATIENCE", 0.1)
    (run.path / missing).unlink(missing_ok=True)
    refused(kubectl, run, standby.digest(made(run, settings), BASIS), programs)


def refused(kubectl: Kubectl, run: Run, wanted: str, programs: Programs) -> None:
    assert standby.take(kubectl, run, wanted) == ""
    assert not (run.path / "go").exists()  # so that it does not begin after all
    assert programs.called("kubectl", "delete pod boulder-tests --ignore-not-found --force") == 1


def test_one_that_has_begun_is_not_given_up(kubectl, run, settings, programs: Programs, monkeypatch) -> None:
    """It removed `go` and then took its time: another pod would run the tests a second time."""
    monkeypatch.setattr(standby, "PATIENCE", 0.2)
    watching = "while sleep .01; do rm $0/go && exit; done 2>/dev/null"
    child = subprocess.Popen(["bash", "-c", watching, run.path])
    assert standby.take(kubectl, run, standby.digest(made(run, settings), BASIS)) == "uid-1"
    child.wait(5)
    assert programs.called("kubectl", "delete") == 0


def test_what_an_ended_run_leaves_behind_it(programs: Programs, settings: Settings, document: dict) -> None:
    """The old pod by its uid, then the new one; in a process that outlives the wrapper."""
    programs.answer("kubectl", "delete --raw=", "cat > $cd/deleted")
    programs.answer("kubectl", "create --raw=", "cat > $cd/created")
    kubectl = Kubectl(programs.directory / "kubectl", programs.directory / "kubeconfig", "kind-unit")
    run = Run.create(settings, ["t"], {})
    waiting = standby.prepare(settings, "/runs", document, standby.digest(document, BASIS))
    standby.leave(kubectl, run, document, "uid-7", waiting)
    created = programs.directory / "created"
    eventually(lambda: created.exists() and created.read_text(), "the successor")
    assert json.loads(created.read_text()) == waiting
    assert json.loads((programs.directory / "deleted").read_text())["preconditions"] == {"uid": "uid-7"}
    assert programs.called("kubectl", "delete --raw=/api/v1/namespaces/boulder/pods/boulder-tests") == 1
    assert not (run.path / "behind.json").exists()


MakePod = Callable[..., Pod]


@pytest.fixture
def mounts(tmp_path: Path) -> dict[str, str | None]:
    """Two places that are one directory, as a mount and what it comes from; the mount point is one of this machine."""
    return {"/": None, "/proc": "/proc"}


def test_the_pod_runs_nothing_until_it_is_taken(make_pod: MakePod, mounts: dict) -> None:
    made = make_pod()
    (made.path / "mounts.json").write_text(json.dumps(mounts))
    made.start(["sh", "-c", "echo ran; exit 4"], standby=True)
    eventually((made.path / "waiting").exists, "the pod")
    time.sleep(0.3)
    assert (made.read("stdout"), made.run.exit_code()) == (b"", None)
    (made.path / "go").touch()
    assert (made.code(), made.read("stdout")) == (4, b"ran\n")
    assert not (made.path / "go").exists()


@pytest.mark.parametrize("change", [{"/no/mount": None}, {"/proc": "/sys"}, {"/proc": "/no/such/directory"}])
def test_the_pod_gives_up_where_its_mounts_are_not_those_of_a_new_one(make_pod: MakePod, mounts: dict, change) -> None:
    made = make_pod()
    (made.path / "mounts.json").write_text(json.dumps({**mounts, **change}))
    made.start(["echo", "ran"], standby=True)
    (made.path / "go").touch()
    assert made.child.wait(20) == 0
    assert (made.path / "stale").read_text().strip()
    assert (made.read("stdout"), made.run.exit_code()) == (b"", None)


def test_the_pod_ends_when_it_is_deleted(make_pod: MakePod, mounts: dict) -> None:
    made = make_pod()
    (made.path / "mounts.json").write_text(json.dumps(mounts))
    waiting = subprocess.Popen([sys.executable, made.path / "pod/supervisor.py", made.path, "standby"])
    (made.path / "command.json").write_text('{"commands": [["echo", "ran"]], "terminal": false}')
    eventually((made.path / "waiting").exists, "the pod")
    waiting.terminate()
    assert waiting.wait(20) == 143
    assert made.run.exit_code() is None


def test_where_each_mount_comes_from(document: dict) -> None:
    assert standby.sources(document["spec"]) == {
        "/boulder": None,
        "/boulder/test/config": None,
        "/root/.cache/go-build": "/boulder/.gocache",
        "/var/lib/softhsm/tokens": "/boulder/test/certs/.softhsm-tokens",
        "/var/run/pkimetal": None,
        "/run/boulder-k8s": None,
    }
