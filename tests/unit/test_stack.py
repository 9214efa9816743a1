"""The stack on a cluster: what is applied and when again, and the Boulder that a run takes the place of."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.api_server import ApiServer
from support.programs import Programs

from boulder_k8s.cluster import leftovers, network, rollout
from boulder_k8s.cluster.api import Api
from boulder_k8s.cluster.culprit import Culprit
from boulder_k8s.cluster.errors import Rejected
from boulder_k8s.commands import databases, deployment, networks
from boulder_k8s.commands.run import give_back
from boulder_k8s.commands.stack import Stack, explained
from boulder_k8s.commands.workload import stopping
from boulder_k8s.host import state
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.names import BOULDER, NAME, STOPPED
from boulder_k8s.host.settings import Settings
from boulder_k8s.host.signals import Signals
from boulder_k8s.manifests.checkout import Checkout
from boulder_k8s.manifests.overlay import Rendered
from boulder_k8s.manifests.overrides import Overrides
from boulder_k8s.run.directory import Run


def workload(name: str, replicas: int = 1) -> dict:
    labels = {NAME: name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": name, "image": name}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "boulder", "labels": labels},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


@pytest.fixture
def stack(settings: Settings, api: Api, tmp_path: Path) -> Stack:
    settings.state.mkdir(parents=True)
    cluster = SimpleNamespace(api=api, settings=settings, kubectl=None)
    found = Stack(settings, cluster, Checkout(tmp_path), False, Overrides(), {"services": {}}, {})
    found.node_id, found.node_started = "node-1", "noon"
    return found


def applied(server: ApiServer) -> int:
    return len(server.asked("PATCH", "/deployments/"))


def test_what_is_there_is_not_applied_again(stack: Stack, server: ApiServer) -> None:
    objects = [workload("bconsul")]
    stack.apply("applied", objects)
    assert applied(server) == 1
    stack.known = stack.observe()
    stack.apply("applied", objects)
    assert applied(server) == 1


def ours(item: dict) -> dict:
    """With the label of what k8s/ and the conversion make."""
    item["metadata"]["labels"]["app.kubernetes.io/part-of"] = "boulder"
    item["spec"]["template"]["metadata"]["labels"] = item["metadata"]["labels"]
    return item


def test_what_is_no_longer_wanted_is_removed_only_when_asked(stack: Stack, server: ApiServer) -> None:
    stack.apply("applied", [ours(workload("bnew")), ours(workload("bconsul"))])
    stack.apply("applied", [ours(workload("bconsul"))], [{"bconsul"}])  # waves alone remove nothing
    assert server.find("Deployment", "bnew")
    stack.settings.file("applied").unlink()
    stack.apply("applied", [ours(workload("bconsul"))], prune=True)
    assert not server.find("Deployment", "bnew")
    assert server.find("Deployment", "bconsul")


def test_some_workloads_wait_for_each_other_and_for_none_of_the_others(stack: Stack, server: ApiServer) -> None:
    objects = [ours(workload(name)) for name in ("bconsul", "bmariadb", "bproxysql")]
    waves = [{"bconsul", "bmariadb"}, {"bproxysql"}]
    stack.apply("applied", objects, waves, timeout=20, only={"bmariadb", "bproxysql"})  # bconsul would never be ready
    assert server.find("Deployment", "bproxysql") and not server.find("Deployment", "bconsul")


def test_a_pod_that_does_not_end_is_named_and_the_next_command_waits_for_it_again(
    stack: Stack, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its workload is gone by then: only the pod is left to tell."""
    stack.apply("applied", [ours(workload("bnew"))])
    (name,) = [pod["metadata"]["name"] for pod in server.store.list("Pod", "boulder")]
    server.controller.linger = 3
    monkeypatch.setattr(leftovers, "ENDING", 0.2)
    for _ in range(2):
        with pytest.raises(Problem, match=f"^{name} did not end within") as caught:
            stack.apply("applied", [ours(workload("bconsul"))], prune=True)
        assert not server.find("Deployment", "bconsul")
    assert caught.value.fix.startswith("Run the command again")
    monkeypatch.setattr(leftovers, "ENDING", 20)
    stack.apply("applied", [ours(workload("bconsul"))], prune=True)
    assert not server.find("Pod", name)
    assert server.find("Deployment", "bconsul")


def test_a_service_or_a_configuration_that_was_deleted_by_hand_is_made_again(stack: Stack, server: ApiServer) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "bconsul", "namespace": "boulder"},
        "spec": {},
    }
    objects = [workload("bconsul"), service, config_map("c-1"), config_map("s-1", "Secret")]
    stack.apply("applied", objects)
    for kind, name in (("Service", "bconsul"), ("ConfigMap", "c-1"), ("Secret", "s-1")):
        stack.known = stack.observe()
        stack.apply("applied", objects)
        assert stack.known  # nothing was applied
        server.remove(kind, name)
        stack.known = stack.observe()
        stack.apply("applied", objects)
        assert server.find(kind, name)


def test_a_volume_whose_claim_was_deleted_can_be_claimed_again(stack: Stack, server: ApiServer) -> None:
    labels = {"app.kubernetes.io/part-of": "boulder"}
    claim = {"name": "data-bmariadb-0", "namespace": "boulder", "uid": "gone", "resourceVersion": "7"}
    volume = {
        "kind": "PersistentVolume",
        "metadata": {"name": "bmariadb", "labels": labels},
        "spec": {"claimRef": claim},
    }
    server.add(volume, "")
    server.change("PersistentVolume", "bmariadb", {"status": {"phase": "Released"}}, "")
    stack.apply("applied", [workload("bconsul")], prune=True)
    found = server.find("PersistentVolume", "bmariadb", "")["spec"]["claimRef"]
    assert found == {"name": "data-bmariadb-0", "namespace": "boulder"}


@pytest.mark.parametrize("what", ["another object", "another node", "deleted by hand", "record lost"])
def test_what_differs_is_applied_again(stack: Stack, server: ApiServer, what: str) -> None:
    objects = [workload("bconsul")]
    stack.apply("applied", objects)
    if what == "another object":
        objects = [workload("bconsul"), workload("bjaeger")]
    elif what == "another node":
        stack.node_id = "node-2"
    elif what == "deleted by hand":
        server.remove("Deployment", "bconsul")
    else:
        stack.settings.file("applied").write_text("{")
    stack.known = stack.observe()
    stack.apply("applied", objects)
    assert applied(server) == 1 + len(objects)
    assert server.find("Deployment", objects[-1]["metadata"]["name"])


@pytest.mark.parametrize("counts", [{"succeeded": 1}, {"failed": 1}])
def test_a_job_that_has_ended_runs_again_and_one_that_runs_goes_on(
    stack: Stack, server: ApiServer, counts: dict[str, int]
) -> None:
    """`docker compose run` starts what another service waits for the end of each time."""
    job = ours(workload("bnew-init")) | {"kind": "Job", "apiVersion": "batch/v1"}
    stack.apply("applied", [job], prune=True)
    first = server.find("Job", "bnew-init")["metadata"]["uid"]
    stack.known = stack.observe()
    stack.apply("applied", [job], prune=True)
    assert server.find("Job", "bnew-init")["metadata"]["uid"] == first
    ended = server.find("Job", "bnew-init") | {"status": counts}
    server.remove("Job", "bnew-init")
    server.add(ended)
    stack.known = stack.observe()
    stack.apply("applied", [job], prune=True)
    assert not server.find("Job", "bnew-init").get("status")


def test_an_apply_that_fails_is_not_remembered(stack: Stack, server: ApiServer) -> None:
    server.fail("PATCH", "/deployments/", 422)
    with pytest.raises(Rejected):
        stack.apply("applied", [workload("bconsul")])
    assert not stack.settings.file("applied").exists()


def test_what_holds_for_a_start_of_the_node_is_asked_once_for_each(stack: Stack) -> None:
    asked: list[int] = []

    def ask() -> str:
        asked.append(1)
        return "28.0"

    assert [stack.once_a_start("engine", ask) for _ in range(3)] == ["28.0"] * 3
    assert len(asked) == 1
    stack.node_started = "evening"
    stack.once_a_start("engine", ask)
    assert len(asked) == 2


def test_the_nodes_network_is_asked_for_again_only_when_the_checkouts_networks_change(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for name, answer in (("refuse_dead_pods", "pods"), ("follow_dns", True), ("refuse_closed_ports", [])):
        monkeypatch.setattr(network, name, lambda *_, name=name, answer=answer: asked.append(name) or answer)
    subnet = {"ipam": {"config": [{"subnet": "10.77.77.0/24"}]}}
    document = {
        "services": {"boulder": {"dns": ["10.77.77.10"], "networks": {"x": None}}, "bnew": {"networks": {"x": None}}},
        "networks": {"x": subnet},
    }

    def asks(document: dict) -> tuple[list[str], bool]:
        asked.clear()
        changed = networks.prepare(stack.once_a_start, stack.settings, stack.cluster.api, document)
        networks.refuse_closed_ports(stack.once_a_start, stack.settings, [], document)
        return [*asked], changed

    assert asks(document) == (["refuse_dead_pods", "follow_dns", "refuse_closed_ports"], True)
    assert asks(document) == ([], False)
    document["services"]["boulder"]["dns"] = []
    assert asks(document) == (["follow_dns"], True)
    assert asks(document) == ([], False)
    subnet["ipam"]["config"][0]["gateway"] = "10.77.77.254"
    assert asks(document) == (["refuse_closed_ports"], False)
    del document["services"]["bnew"]  # Boulder's alone now
    assert asks(document) == (["refuse_closed_ports"], False)
    assert asks(document) == ([], False)


def test_an_api_server_that_does_not_answer_is_no_knowledge(stack: Stack, server: ApiServer) -> None:
    server.stop()
    assert stack.observe() is None


def replicas(server: ApiServer) -> int:
    return server.find("Deployment", BOULDER)["spec"]["replicas"]


def test_a_run_takes_boulders_place_and_gives_it_back(stack: Stack, server: ApiServer) -> None:
    server.add(workload(BOULDER, replicas=2))
    server.controller.linger = 0.3
    deployment.stop(stack)
    assert replicas(server) == 0
    assert not [pod for pod in server.store.list("Pod", "boulder") if pod["metadata"]["labels"].get(NAME) == BOULDER]
    deployment.restore(stack)
    assert replicas(server) == 2
    assert deployment.REPLICAS not in server.find("Deployment", BOULDER)["metadata"].get("annotations", {})


def test_a_boulder_that_a_killed_run_stopped_is_given_back_by_the_next(stack: Stack, server: ApiServer) -> None:
    server.add(workload(BOULDER))
    deployment.stop(stack)
    stack.known = stack.observe()  # the next command
    deployment.stop(stack)
    deployment.restore(stack)
    assert replicas(server) == 1


def test_without_a_boulder_nothing_is_asked_for_it(stack: Stack, server: ApiServer) -> None:
    stack.known = []
    deployment.stop(stack)
    deployment.restore(stack)
    assert server.requests == []


def test_a_boulder_that_does_not_end_is_named(stack: Stack, server: ApiServer, monkeypatch) -> None:
    server.add(workload(BOULDER))
    monkeypatch.setattr(deployment, "wait_until_gone", lambda *_, **__: False)
    with pytest.raises(Problem, match="did not end within 60 s"):
        deployment.stop(stack)


def test_a_boulder_that_cannot_be_given_back_changes_no_verdict(
    stack: Stack, server: ApiServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.fail("GET", "/deployments/boulder", 422)
    give_back(stack, Signals())
    assert "could not be started again; the next command does it" in capsys.readouterr().err


def test_up_gives_a_stopped_boulder_its_replicas(stack: Stack, server: ApiServer) -> None:
    server.add(workload(BOULDER))
    deployment.stop(stack)
    deployment.start(stack, Rendered("", [workload(BOULDER, replicas=0)]), 20)
    assert replicas(server) == 1


def test_a_leftover_pod_is_deleted_and_one_that_waits_is_not(stack: Stack, settings: Settings) -> None:
    deleted: list[str] = []
    runner = SimpleNamespace(delete=deleted.append)
    run = Run.create(settings, ["t"], {})
    pods = [{"kind": "Pod", "metadata": {"name": name, "labels": {}}} for name in ("boulder-tests", "bsetup")]
    stack.known = pods
    deployment.remove_leftovers(stack, runner, run)
    assert deleted == ["bsetup", "boulder-tests"]
    deleted.clear()
    pods[0]["metadata"]["labels"][NAME] = "boulder-standby"
    deployment.remove_leftovers(stack, runner, run)
    assert deleted == ["bsetup"]
    deleted.clear()
    (run.path / "pod.json").touch()  # its own pod waits: the other is being deleted
    stack.known = [{"kind": "Pod", "metadata": {"name": "boulder-tests", "labels": {}}}]
    deployment.remove_leftovers(stack, runner, run)
    assert deleted == []


def test_an_image_that_the_node_has_lost_is_loaded_next_time(stack: Stack, settings: Settings, monkeypatch) -> None:
    monkeypatch.setattr("boulder_k8s.commands.stack.keep_cluster_state", lambda *_: None)
    state.write(settings.file("images"), {"redis:7": "sha256:r"}, "node-1")
    run = Run.create(settings, ["t"], {})
    with pytest.raises(Problem), explained(stack, run):
        raise rollout.failure(stack.cluster.api, Culprit("bredis-1-0", "bredis-1", "ErrImageNeverPull: x", False))
    assert not settings.file("images").exists()


def configured(name: str, mounted: str) -> dict:
    found = ours(workload(name))
    found["spec"]["template"]["spec"]["volumes"] = [{"name": "c", "configMap": {"name": mounted}}]
    return found


def config_map(name: str, kind: str = "ConfigMap") -> dict:
    metadata = {"name": name, "namespace": "boulder", "labels": {"app.kubernetes.io/part-of": "boulder"}}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": {}}


def test_configuration_that_nothing_uses_any_more_is_removed(stack: Stack, server: ApiServer) -> None:
    stack.apply("applied", [configured("bconsul", "c-1"), config_map("c-1"), config_map("s-1", "Secret")])
    stack.cluster.api.apply([configured("boulder", "c-0"), config_map("c-0")])  # an `up --next` of before
    somebodys = config_map("theirs")
    somebodys["metadata"]["managedFields"] = [{"manager": "kubectl-client-side-apply"}]
    server.add(somebodys)
    objects = [configured("bconsul", "c-2"), config_map("c-2"), config_map("s-2", "Secret")]
    stack.apply("applied", objects)
    stack.prune(Rendered("", objects))
    found = {
        item["metadata"]["name"] for kind in ("ConfigMap", "Secret") for item in server.store.list(kind, "boulder")
    }
    assert found == {"c-0", "c-2", "s-2", "theirs"}
    stack.known = stack.observe()
    server.requests.clear()
    stack.prune(Rendered("", objects))
    assert not server.asked("GET", "/configmaps")  # nothing was applied


def test_a_workload_with_our_labels_that_we_have_not_made_stays(stack: Stack, server: ApiServer) -> None:
    theirs = ours(workload("theirs"))
    theirs["metadata"]["managedFields"] = [{"manager": "kubectl-client-side-apply"}]
    server.add(theirs)
    stack.apply("applied", [ours(workload("bconsul"))], prune=True)
    assert server.find("Deployment", "theirs")


def test_certificates_made_anew_start_boulder_again(stack: Stack, server: ApiServer, tmp_path: Path) -> None:
    """It keeps the old CA in memory, and nothing else of its pod changes."""
    certificate = tmp_path / "test/certs/ipki/minica.pem"
    certificate.parent.mkdir(parents=True)
    certificate.write_text("one")
    reader = ours(workload("breader"))
    reader["spec"]["template"]["spec"]["volumes"] = [{"name": "x", "hostPath": {"path": "/boulder/test/certs/ipki"}}]
    others = [workload("bconsul"), reader]

    def pods() -> dict[str, str]:
        found = server.store.list("Pod", "boulder")
        return {pod["metadata"]["labels"][NAME]: pod["metadata"]["uid"] for pod in found}

    def up() -> None:
        stack.apply("applied", others)
        deployment.start(stack, Rendered("", [workload(BOULDER)]), 20)
        stack.known = stack.observe()

    up()
    before = pods()
    (tmp_path / "test/certs/.softhsm-tokens").mkdir()
    (tmp_path / "test/certs/.softhsm-tokens/x").write_text("a token that was used")
    up()
    assert pods() == before
    certificate.unlink()
    certificate.write_text("two")
    up()
    after = pods()
    assert {name for name in after if after[name] != before[name]} == {BOULDER, "breader"}


@pytest.fixture
def node(programs: Programs) -> Programs:
    """The node's file system: $cd/node/NAME for what is below /var/local/boulder/.made-from."""
    (programs.directory / "node").mkdir()
    programs.answer("docker", "exec -i unit-control-plane mkdir -p", "true")
    programs.answer("docker", "exec -i unit-control-plane cat", "cat $cd/node/${5##*/}")
    programs.answer("docker", "exec -i unit-control-plane tee", "cat > $cd/node/${5##*/}")
    programs.answer("docker", "exec unit-control-plane find", "rm -f $cd/node/bmariadb")
    return programs


def test_a_database_of_other_files_than_the_checkouts_is_named_and_made_anew(
    stack: Stack, node: Programs, checkout: Path, capsys: pytest.CaptureFixture[str], server: ApiServer
) -> None:
    def said() -> str:
        databases.check(stack.settings, "node-1", Checkout(checkout), ["bconsul", "bmariadb"])
        return capsys.readouterr().err

    assert said() == ""
    asked = len(node.calls("docker"))
    assert said() == ""
    assert len(node.calls("docker")) == asked  # nothing has changed
    (checkout / "sa/db/01-boulder_sa.sql").write_text("CREATE TABLE other (id INT);\n")
    for _ in range(2):
        line = said()
        assert "databases of bmariadb were made from other files of sa/db" in line
        assert "`invoke up --fresh bmariadb` makes them anew" in line
    for name in ("bmariadb", BOULDER, "bconsul"):
        server.add(workload(name))
    state.write(stack.settings.file("applied"), True, "key")
    databases.empty(stack.settings, stack.cluster.api, ["bmariadb"])
    assert [item["metadata"]["name"] for item in server.store.list("Deployment", "boulder")] == ["bconsul"]
    assert not stack.settings.file("applied").exists()
    capsys.readouterr()
    assert said() == ""


def test_a_database_that_does_not_end_is_not_emptied(stack: Stack, node: Programs, server, monkeypatch) -> None:
    server.add(workload("bmariadb"))
    server.controller.linger = 3
    monkeypatch.setattr(databases, "ENDING", 0.2)
    with pytest.raises(Problem, match="bmariadb did not end within") as caught:
        databases.empty(stack.settings, stack.cluster.api, ["bmariadb"])
    assert "invoke up --fresh bmariadb" in caught.value.fix
    assert node.called("docker", "find") == 0


@pytest.fixture
def code(stack: Stack, tmp_path: Path) -> Path:
    """The stack's checkout, as a repository with one file; returns that file."""
    path = tmp_path / "wfe.go"
    path.write_text("package wfe")
    for words in (["init", "-q"], ["add", "wfe.go"]):
        subprocess.run(["git", "-C", tmp_path, *words], check=True)
    (tmp_path / ".git/info/exclude").write_text("*\n")  # what the fixtures make beside it
    return path


def uids(server: ApiServer) -> set[str]:
    found = server.store.list("Pod", "boulder")
    return {pod["metadata"]["uid"] for pod in found if pod["metadata"]["labels"].get(NAME) == BOULDER}


def test_boulder_is_started_again_if_the_code_has_changed_and_only_then(
    stack: Stack, server: ApiServer, code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def up(**options: bool) -> str:
        stack.known = stack.observe()
        return deployment.start(stack, Rendered("", [workload(BOULDER)]), 20, **options)

    assert up() == ""
    before = uids(server)
    assert up() and uids(server) == before
    assert "has changed" not in capsys.readouterr().err
    code.write_text("package wfe // changed")
    assert up() == ""
    assert "the checkout has changed since Boulder started" in (said := capsys.readouterr().err)
    assert ": wfe.go; starting it again" in said
    assert not uids(server) & before
    before = uids(server)
    assert up(anew=True) == ""
    assert not uids(server) & before
    assert up()


def test_a_boulder_that_a_run_gives_back_has_the_code_of_then(stack: Stack, server: ApiServer, code: Path) -> None:
    def up() -> str:
        stack.known = stack.observe()
        return deployment.start(stack, Rendered("", [workload(BOULDER)]), 20)

    up()
    first = code.read_text()
    stack.known = stack.observe()
    deployment.stop(stack)
    code.write_text("package wfe // changed")
    deployment.restore(stack)
    assert up() != ""  # it runs the changed code already
    code.write_text(first)
    assert up() == ""


def test_a_stopped_boulder_stays_stopped_over_a_run_and_up_starts_it(stack: Stack, server: ApiServer) -> None:
    server.add(workload(BOULDER))
    server.change("Deployment", BOULDER, stopping(server.find("Deployment", BOULDER)))
    deployment.stop(stack)
    deployment.restore(stack)
    assert replicas(server) == 0
    deployment.start(stack, Rendered("", [workload(BOULDER, replicas=0)]), 20)
    assert replicas(server) == 1
    assert STOPPED not in server.find("Deployment", BOULDER)["metadata"]["annotations"]
