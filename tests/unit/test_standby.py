"""The pod that is started ahead of the next run: taken when it is what a new one would be, and never twice."""

from __future__ import annotations

import copy
import errno
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.api_server import ApiServer
from support.pods import Pod, eventually
from support.rendering import rendered

from boulder_k8s.cluster.api import Api
from boulder_k8s.host.names import TESTS
from boulder_k8s.host.settings import ROOT, Settings
from boulder_k8s.manifests.overlay import Rendered
from boulder_k8s.run import standby
from boulder_k8s.run.directory import Run
from boulder_k8s.run.runner import Execution, pod

BASIS = ["node", "started", {"boulder-tools": "sha256:1"}]


@pytest.fixture
def document(settings: Settings) -> dict:
    return made(Run.create(settings, ["t"], {}), settings)


def made(run: Run, settings: Settings, **environment: str) -> dict:
    return pod(Execution(Rendered("", rendered("config")), run, TESTS, [], 1, environment), settings.runs)


@pytest.fixture
def run(settings: Settings, document: dict, server: ApiServer) -> Run:
    """The next run, in whose directory a pod waits."""
    server.add(standby.prepare(settings, "/runs", document, standby.digest(document, BASIS)))
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
    assert not standby.has_standby(run)
    assert (run.path / "signals").is_dir()
    assert standby.find(settings)  # for the next one


def test_if_the_node_makes_the_directory_again_the_run_starts_a_pod_of_its_own(
    settings: Settings, document: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """containerd makes a directory that a pod is about to mount: between our rename and the link in its place."""
    standby.prepare(settings, "/runs", document, "digest")
    place = standby.find(settings)
    replace = Path.replace

    def made_again(path: Path, target: Path) -> Path:
        if path.name.endswith(".moved"):
            place.mkdir()
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", made_again)
    run = Run.create(settings, ["t"], {"arguments": []}, place)
    assert not standby.has_standby(run)
    assert (run.path / "signals").is_dir() and (run.path / "run.json").exists()


def test_it_is_the_tests_pod_but_for_its_label_and_its_wait(settings: Settings, document: dict) -> None:
    before = copy.deepcopy(document)
    waiting = standby.prepare(settings, "/runs", document, standby.digest(document, BASIS))
    assert document == before
    assert standby.is_standby(waiting) and not standby.is_standby(document)
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
    assert standby.has_standby(run) and (run.path / "stdout").exists()
    assert json.loads((run.path / "run.json").read_text())["arguments"] == []
    assert place.resolve() == run.path  # a pod that is about to mount it
    assert standby.find(settings) is None  # one run has it, no other
    assert not standby.has_standby(Run.create(settings, ["t"], {}, standby.find(settings)))


def test_one_that_was_taken_away_meanwhile_is_no_obstacle(settings: Settings, tmp_path: Path) -> None:
    run = Run.create(settings, ["t"], {}, tmp_path / "gone")
    assert (run.path / "stdout").exists() and not standby.has_standby(run)


def uid(server: ApiServer) -> str:
    return server.find("Pod", "boulder-tests")["metadata"]["uid"]


def test_it_is_claimed_if_it_is_what_a_new_pod_would_be(api: Api, server: ApiServer, run: Run, settings) -> None:
    (run.path / "started").touch()
    assert standby.claim(api, run, standby.digest(made(run, settings), BASIS)) == uid(server)
    assert (run.path / "go").exists()
    assert server.find("Pod", "boulder-tests")["metadata"]["labels"]["app.kubernetes.io/name"] == "boulder"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_claim_whose_answer_is_lost_is_looked_up(api, server, run: Run, settings: Settings, when: str) -> None:
    """A JSON patch is asked once: its tests would not hold a second time."""
    (run.path / "started").touch()
    wanted = uid(server)
    server.cut("PATCH", "/pods/boulder-tests", when)
    claimed = standby.claim(api, run, standby.digest(made(run, settings), BASIS))
    assert claimed == wanted
    assert len(server.asked("PATCH")) == (1 if when == "after" else 2)


@pytest.mark.parametrize("what", ["environment", "node", "image", "programs"])
def test_another_pod_than_the_wanted_one_is_deleted(
    api: Api, server: ApiServer, run: Run, settings: Settings, monkeypatch, what: str
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
    refused(api, run, standby.digest(made(run, settings, **environment), basis), server)
    # The pod that is made instead begins with this version's programs.
    assert (run.path / "pod/supervisor.py").read_bytes() == (ROOT / "boulder_k8s/run/pod/supervisor.py").read_bytes()


def test_one_that_the_cluster_does_not_have_is_not_waited_for(api, run, settings, server: ApiServer) -> None:
    server.remove("Pod", "boulder-tests")
    refused(api, run, standby.digest(made(run, settings), BASIS), server)


def test_one_that_has_ended_is_deleted(api, run, settings, server: ApiServer) -> None:
    server.change("Pod", "boulder-tests", {"status": {"phase": "Failed"}})
    refused(api, run, standby.digest(made(run, settings), BASIS), server)


def test_one_that_runs_before_the_api_server_knows_it_is_waited_for(api, run, settings, server: ApiServer) -> None:
    """A run right behind another one: the kubelet tells the API server up to a second later."""
    (run.path / "started").touch()
    server.change("Pod", "boulder-tests", {"status": {"phase": "Pending"}})
    threading.Timer(0.3, server.change, ("Pod", "boulder-tests", {"status": {"phase": "Running"}})).start()
    assert standby.claim(api, run, standby.digest(made(run, settings), BASIS)) == uid(server)


def test_one_that_says_that_it_is_stale_is_deleted(api, run, settings, server: ApiServer) -> None:
    (run.path / "stale").write_text("why\n")
    refused(api, run, standby.digest(made(run, settings), BASIS), server)


@pytest.mark.parametrize("missing", ["waiting", "started"])
def test_one_that_does_not_answer_is_given_up(api, run, settings, server, monkeypatch, missing: str) -> None:
    monkeypatch.setattr(standby, "PATIENCE", 0.1)
    (run.path / missing).unlink(missing_ok=True)
    refused(api, run, standby.digest(made(run, settings), BASIS), server)


def refused(api: Api, run: Run, wanted: str, server: ApiServer) -> None:
    assert standby.claim(api, run, wanted) == ""
    assert not (run.path / "go").exists()  # so that it does not begin after all
    assert server.find("Pod", "boulder-tests") is None


def test_one_that_has_begun_is_not_given_up(api, run, settings, server: ApiServer, monkeypatch) -> None:
    """It removed `go` and then took its time: another pod would run the tests a second time."""
    monkeypatch.setattr(standby, "PATIENCE", 0.2)
    watching = "while sleep .01; do rm $0/go && exit; done 2>/dev/null"
    child = subprocess.Popen(["bash", "-c", watching, run.path])
    assert standby.claim(api, run, standby.digest(made(run, settings), BASIS)) == uid(server)
    child.wait(5)
    assert server.asked("DELETE") == []


def test_when_a_run_ends_its_pod_goes_and_the_next_ones_is_made(api, server, settings, document: dict) -> None:
    ended = server.add(document)["metadata"]["uid"]
    waiting = standby.prepare(settings, "/runs", document, standby.digest(document, BASIS))
    standby.hand_over(api, document, ended, waiting)
    found = server.find("Pod", "boulder-tests")
    assert standby.is_standby(found) and found["metadata"]["uid"] != ended
    standby.hand_over(api, document, ended, None)  # of another command meanwhile: that uid is gone
    assert server.find("Pod", "boulder-tests") == found


def test_one_switch_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = SimpleNamespace(record=lambda: {"same_kernel": True})
    assert standby.wanted(cluster)
    monkeypatch.setenv("BOULDER_K8S_STANDBY", "false")
    assert not standby.wanted(cluster)
    monkeypatch.delenv("BOULDER_K8S_STANDBY")
    assert not standby.wanted(SimpleNamespace(record=dict))  # an engine in a machine of its own


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
        "/run/boulder-checkout": "/boulder",
        "/run/boulder-k8s": None,
    }
