"""The pods that run the tests and generate.sh, and the signals that arrive around them."""

from __future__ import annotations

import ast
import copy
import os
import signal
import threading
from types import SimpleNamespace

import kubernetes_validate
import pytest
from support.api_server import ApiServer
from support.rendering import rendered as plain

from boulder_k8s.cluster.api import Api
from boulder_k8s.cluster.errors import ApiError, Rejected
from boulder_k8s.host.errors import Interrupted, Problem
from boulder_k8s.host.names import SETUP, TESTS
from boulder_k8s.host.settings import ROOT, Settings
from boulder_k8s.host.signals import CAUGHT, Signals
from boulder_k8s.manifests.compose import Service, setup_command
from boulder_k8s.manifests.overlay import Rendered
from boulder_k8s.run.directory import Run
from boulder_k8s.run.follower import Follower
from boulder_k8s.run.runner import Execution, Runner, pod


@pytest.fixture
def rendered() -> Rendered:
    return Rendered("", copy.deepcopy(plain("config")))


def made(rendered: Rendered, name: str, settings: Settings, environment: dict[str, str]) -> dict:
    run = Run.create(settings, ["t"], {})
    document = pod(Execution(rendered, run, name, [], 1, environment), settings.runs)
    kubernetes_validate.validate(document, "1.37", strict=True)
    volume = next(item for item in document["spec"]["volumes"] if item["name"] == "run")
    assert volume["hostPath"]["path"] == f"/runs/{run.path.name}"
    return document


def environment(document: dict) -> dict[str, str]:
    items = document["spec"]["containers"][0]["env"]
    assert len({item["name"] for item in items}) == len(items)
    return {item["name"]: item["value"] for item in items}


def test_the_tests_pod_is_boulders_but_for_what_it_runs(rendered: Rendered, settings: Settings) -> None:
    before = copy.deepcopy(rendered)
    document = made(rendered, TESTS, settings, {})
    assert rendered == before  # the Deployment that is applied stays as it is
    template = rendered.workload("boulder")["spec"]["template"]
    container = document["spec"]["containers"][0]
    assert container["command"][-2:] == ["/run/boulder-k8s/pod/supervisor.py", "/run/boulder-k8s"]
    assert not {"args", "ports", "startupProbe"} & set(container)
    assert document["spec"]["restartPolicy"] == "Never"
    for key in ("securityContext", "dnsConfig", "hostAliases", "enableServiceLinks"):
        assert document["spec"][key] == template["spec"][key]
    # The supervisor brings what is written to the configuration into the checkout, and needs no sidecar.
    assert [item["name"] for item in template["spec"]["initContainers"]] == ["prepare", "writeback"]
    assert document["spec"]["initContainers"] == template["spec"]["initContainers"][:1]
    assert container["workingDir"] == "/boulder"
    # Consul's checks find it through the Service boulder.
    assert document["metadata"]["labels"]["app.kubernetes.io/name"] == "boulder"


def test_what_the_user_passes_takes_the_place_of_composes_value(rendered: Rendered, settings: Settings) -> None:
    assert environment(made(rendered, TESTS, settings, {}))["USE_VITESS"] == "false"
    passed = environment(made(rendered, TESTS, settings, {"USE_VITESS": ""}))
    assert passed["USE_VITESS"] == ""
    assert passed["BOULDER_CONFIG_DIR"] == "test/config"


def test_bsetup_has_the_checkout_and_neither_addresses_nor_configuration(
    rendered: Rendered, settings: Settings
) -> None:
    document = made(rendered, SETUP, settings, {})
    assert "initContainers" not in document["spec"]
    assert environment(document) == {}
    assert {item["name"] for item in document["spec"]["volumes"]} == {"checkout", "gocache", "softhsm-tokens", "run"}
    # The Service boulder must not lead to it.
    assert document["metadata"]["labels"]["app.kubernetes.io/name"] == "bsetup"


def test_generate_sh_runs_without_what_only_boulder_is_given() -> None:
    def service(name: str, environment: dict[str, str], **document: list[str]) -> Service:
        return Service(name, "i", environment, False, document)

    services = {
        "boulder": service("boulder", {"FAKE_DNS": "1", "GOCACHE": "/c"}),
        "bsetup": service(
            "bsetup", {"GOCACHE": "/c", "B": "2"}, entrypoint=["test/certs/generate.sh"], command=["all"]
        ),
    }
    assert setup_command(services) == ["env", "-u", "FAKE_DNS", "B=2", "test/certs/generate.sh", "all"]
    passed = {"GOCACHE": "/other", "FOO": "1"}  # by t.sh, to the tests alone
    unset = ["-u", "FAKE_DNS", "-u", "FOO"]
    assert setup_command(services, passed)[:-2] == ["env", *unset, "GOCACHE=/c", "B=2"]


@pytest.mark.parametrize("number", CAUGHT)
def test_a_signal_interrupts_what_we_do_and_is_no_exception_that_anything_swallows(signals, number: int) -> None:
    with pytest.raises(Interrupted) as caught:
        try:
            os.kill(os.getpid(), number)
        except Exception:
            pytest.fail("swallowed")
    assert caught.value.signum == number


def test_while_tests_run_signals_are_collected_for_them(signals: Signals) -> None:
    with signals.collecting():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received == [signal.SIGINT, signal.SIGTERM]


def test_cleaning_up_is_done_before_a_signal_interrupts(signals: Signals) -> None:
    done = []
    with pytest.raises(Interrupted) as caught, signals.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("cleaned up")
    assert (done, caught.value.signum) == (["cleaned up"], signal.SIGTERM)
    with signals.deferred():  # one that came earlier does not interrupt again
        pass


def test_nohup_stays_in_force(monkeypatch: pytest.MonkeyPatch, signals: Signals) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    again = Signals()
    os.kill(os.getpid(), signal.SIGHUP)
    assert again.received == []


def test_the_pods_programs_are_written_for_the_images_older_python() -> None:
    for path in [*(ROOT / "boulder_k8s/run/pod").glob("*.py"), ROOT / "k8s/base/boulder/writeback.py"]:
        ast.parse(path.read_text(), feature_version=(3, 9))


@pytest.fixture
def runner(api: Api, settings: Settings, signals: Signals) -> Runner:
    return Runner(SimpleNamespace(api=api, settings=settings), signals)


DOCUMENT = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "boulder-tests", "namespace": "boulder"},
    "spec": {"containers": [{"name": "boulder"}]},
}


def test_a_pod_of_an_earlier_run_makes_room(runner: Runner, server: ApiServer) -> None:
    before = server.add(DOCUMENT)["metadata"]["uid"]
    server.controller.linger = 0.3
    uid = runner.create(DOCUMENT)
    assert uid != before
    assert server.find("Pod", "boulder-tests")["metadata"]["uid"] == uid


@pytest.mark.parametrize(("written", "follows"), [([], True), (["wfe2.json"], False)])
def test_no_pod_waits_that_has_the_configuration_from_before_the_run(
    rendered: Rendered, runner: Runner, server: ApiServer, settings: Settings, written: list[str], follows: bool
) -> None:
    runner.cluster.record = lambda: {"same_kernel": True}
    document = made(rendered, TESTS, settings, {})
    uid = runner.create(document)
    run = Run.create(settings, ["t"], {"config": {"written": written}})
    assert runner.hand_over(run, document, uid, "digest")
    assert bool(server.find("Pod", TESTS)) == follows


def test_a_namespace_that_is_so_new_that_it_has_no_account_is_waited_for(runner: Runner, server: ApiServer) -> None:
    server.remove("ServiceAccount", "default")
    server.fail("POST", "/pods", 403)
    account = {"kind": "ServiceAccount", "metadata": {"name": "default"}}
    threading.Timer(0.5, server.add, [account]).start()
    assert runner.create(DOCUMENT) == server.find("Pod", "boulder-tests")["metadata"]["uid"]
    assert len(server.asked("POST", "/pods")) == 2


def test_what_nothing_mends_is_raised(runner: Runner, server: ApiServer) -> None:
    server.fail("POST", "/pods", 422, times=None)
    with pytest.raises(Rejected):
        runner.create(DOCUMENT)
    assert len(server.asked("POST", "/pods")) == 1


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), KeyError("odd"), ApiError("no answer"), ValueError()]
)
@pytest.mark.parametrize("code", [0, 42])
def test_what_comes_after_the_verdict_does_not_change_it(
    rendered, runner, settings, monkeypatch, capfd, error: Exception, code: int
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    run = Run.create(settings, ["t"], {})

    def follow(_: object) -> int:
        (run.path / "exitcode").write_text(f"{code}\n")
        monkeypatch.setattr(Api, "list", fails)
        monkeypatch.setattr(Api, "delete", fails)
        return code

    monkeypatch.setattr(Follower, "follow", follow)
    monkeypatch.setattr(Follower, "__init__", lambda *_: None)
    monkeypatch.setattr(Runner, "wait_for_start", lambda *_: None)
    monkeypatch.setattr("boulder_k8s.run.runner.may_read_stdin", lambda: False)
    monkeypatch.setattr("boulder_k8s.cluster.snapshot.take", fails)
    assert runner.execute(Execution(rendered, run, TESTS, [["true"]], 1)) == code
    said = capfd.readouterr().err
    assert "boulder-tests was not deleted" in said and "Traceback" not in said


def test_a_pod_that_does_not_go_is_named(runner: Runner, server: ApiServer) -> None:
    server.add(DOCUMENT)
    server.fail("DELETE", "/pods/boulder-tests", 422, times=None)
    with pytest.raises(Problem, match="The pod boulder-tests of an earlier run cannot be deleted."):
        runner.delete("boulder-tests")


def test_a_pod_that_cannot_start_is_named_with_its_reason(runner, server, settings, monkeypatch) -> None:
    server.controller.crashes["boulder-tests"] = 3
    server.say("boulder-tests", "boulder", "no room")
    uid = runner.create(DOCUMENT)
    run = Run.create(settings, ["t"], {})
    monkeypatch.setattr("boulder_k8s.run.runner.UNWATCHED", 0.05)
    with pytest.raises(Problem, match="cannot start: ended 2 times") as caught:
        runner.wait_for_start(run, "boulder-tests", uid, 10)
    assert "no room" in caught.value.detail
