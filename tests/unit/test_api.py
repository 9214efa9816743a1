"""The one door to the API server: what its answers become, what is asked again, and what never is. Its messages are nonsense here."""

from __future__ import annotations

import json
import logging
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.api_server import ApiServer, certificate

from boulder_k8s.cluster import api as door
from boulder_k8s.cluster import connection
from boulder_k8s.cluster.api import Api
from boulder_k8s.cluster.errors import ApiError, Conflict, Forbidden, NotFound, Rejected, Unanswered

DISCOVERY = ("/version", "/apis", "/api/v1", "/apis/apps/v1")


@pytest.fixture
def api(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """Every unit test's (conftest.py), with shorter pauses."""
    monkeypatch.setattr(door, "PAUSE", 0.02)
    return api


def pod(name: str = "one", **labels: str) -> dict:
    metadata = {"name": name, "namespace": "boulder", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "c"}]}}


def deployment(name: str, image: str = "one") -> dict:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": name, "image": image}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *[(code, Rejected) for code in (400, 405, 415, 422)],
        *[(code, Forbidden) for code in (401, 403)],
        (404, NotFound),
        (409, Conflict),
        *[(code, Unanswered) for code in (408, 429, 500, 502, 503, 504)],
    ],
)
def test_a_status_code_becomes_an_error(server: ApiServer, api: Api, status: int, error: type[ApiError]) -> None:
    server.fail("GET", "/pods/one", status=status)
    with pytest.raises(ApiError) as caught:
        api.get("Pod", "one", patience=0)
    assert (type(caught.value), caught.value.status) == (error, status)
    assert len(server.asked("GET", "/pods/one")) == 1


def test_what_is_not_there_is_none(server: ApiServer, api: Api) -> None:
    assert api.find("Pod", "one") is None
    server.add(pod())
    assert api.find("Pod", "one")["metadata"]["name"] == "one"
    with pytest.raises(NotFound):
        api.get("Deployment", "one")


def test_forbidden_by_a_server_that_is_not_ready_is_asked_again(server: ApiServer, api: Api) -> None:
    server.add(pod())
    server.ready = False
    server.fail("GET", "/pods/one", status=403, times=3)
    assert api.get("Pod", "one")
    server.ready = True
    server.fail("GET", "/pods/one", status=403, times=None)
    server.requests.clear()
    with pytest.raises(Forbidden):
        api.get("Pod", "one")
    assert len(server.asked("GET", "/pods/one")) == 1


def test_a_server_that_forbids_even_its_discovery_is_new(server: ApiServer, api: Api) -> None:
    server.ready = False
    for path in DISCOVERY:
        server.fail("GET", path, status=403, times=2)
    assert api.find("Pod", "one") is None


@pytest.mark.parametrize("how", ["503", "429", "before", "after"])
def test_an_idempotent_request_is_asked_again(server: ApiServer, api: Api, how: str) -> None:
    def break_it(method: str, part: str) -> None:
        if how.isdigit():
            server.fail(method, part, status=int(how), times=2)
        else:
            server.cut(method, part, when=how, times=2)

    server.add(pod())
    for method in ("GET", "PATCH", "DELETE"):
        break_it(method, "/pods")
    assert [item["metadata"]["name"] for item in api.list("Pod")] == ["one"]
    assert api.patch("Pod", "one", {"metadata": {"labels": {"a": "b"}}})["metadata"]["labels"] == {"a": "b"}
    api.delete("Pod", "one")
    assert server.find("Pod", "one") is None
    assert [len(server.asked(method, "/pods")) for method in ("GET", "PATCH", "DELETE")] == [3, 3, 3]


def test_patience_ends(server: ApiServer, api: Api) -> None:
    server.fail("GET", "/pods/one", status=503, times=None)
    begun = time.monotonic()
    with pytest.raises(Unanswered):
        api.get("Pod", "one", patience=1)
    assert 1 < time.monotonic() - begun < 10
    assert len(server.asked("GET", "/pods/one")) > 2


def test_a_restart_of_the_server_is_waited_for(server: ApiServer, api: Api) -> None:
    server.add(pod())
    assert api.get("Pod", "one")
    server.stop()
    with pytest.raises(Unanswered) as caught:
        api.get("Pod", "one", patience=0)
    assert caught.value.status == 0
    timer = threading.Timer(0.3, server.start)
    timer.start()
    assert api.get("Pod", "one", patience=10)
    timer.join()


def test_a_server_that_is_not_up_yet_is_waited_for(server: ApiServer, api: Api) -> None:
    server.stop()
    timer = threading.Timer(0.3, server.start)
    timer.start()
    assert api.find("Pod", "one", patience=10) is None
    timer.join()


def test_a_kubeconfig_that_is_not_whole_is_not_asked_again(api: Api) -> None:
    for text in (None, "", "a: [", "{}", '{"contexts": []}'):
        api.kubeconfig.unlink() if text is None else api.kubeconfig.write_text(text)
        begun = time.monotonic()
        with pytest.raises(Rejected):
            api.get("Pod", "one")
        assert time.monotonic() - begun < 2
        assert not api.is_ready()


@pytest.mark.parametrize(("when", "posts"), [("before", 2), ("after", 2)])
def test_a_create_whose_answer_was_lost_creates_once(server: ApiServer, api: Api, when: str, posts: int) -> None:
    server.cut("POST", "/pods", when=when)
    created = api.create(pod())
    assert [item["metadata"]["uid"] for item in server.store.list("Pod", "boulder")] == [created["metadata"]["uid"]]
    assert len(server.asked("POST", "/pods")) <= posts


def test_a_create_on_a_name_that_is_taken_is_a_conflict(server: ApiServer, api: Api) -> None:
    server.add(pod())
    with pytest.raises(Conflict):
        api.create(pod())
    server.fail("POST", "/pods", status=503)  # and so it is if an answer was lost: the object is somebody else's
    with pytest.raises(Conflict):
        api.create(pod())
    assert len(server.store.list("Pod", "boulder")) == 1


def test_a_create_leaves_the_document_as_it_is(api: Api) -> None:
    document = pod()
    before = json.dumps(document)
    api.create(document)
    assert json.dumps(document) == before


def test_a_namespace_that_is_too_new_for_pods_is_forbidden(server: ApiServer, api: Api) -> None:
    server.controller.account_delay = 0.2
    server.add({"kind": "Namespace", "metadata": {"name": "new"}})
    new = api.within("new")
    document = pod()
    document["metadata"]["namespace"] = "new"
    with pytest.raises(Forbidden):
        new.create(document)
    while not new.find("ServiceAccount", "default"):
        time.sleep(0.02)
    assert new.create(document)["metadata"]["namespace"] == "new"


def test_a_json_patch_is_asked_once(server: ApiServer, api: Api) -> None:
    server.add(pod(a="b"))
    change = [
        {"op": "test", "path": "/metadata/labels/a", "value": "b"},
        {"op": "replace", "path": "/metadata/labels/a", "value": "c"},
    ]
    server.cut("PATCH", "/pods/one", when="before")
    with pytest.raises(Unanswered):
        api.patch("Pod", "one", change)
    assert api.patch("Pod", "one", change)["metadata"]["labels"]["a"] == "c"
    with pytest.raises(Rejected):
        api.patch("Pod", "one", change)
    assert len(server.asked("PATCH", "/pods/one")) == 3


def test_a_delete_with_a_uid_is_of_that_very_object(server: ApiServer, api: Api) -> None:
    uid = server.add(pod())["metadata"]["uid"]
    api.delete("Pod", "one", uid="another")
    assert server.find("Pod", "one")["metadata"]["uid"] == uid
    api.delete("Pod", "one", uid=uid, grace=0)
    assert server.find("Pod", "one") is None
    api.delete("Pod", "one", uid=uid)
    api.delete("Pod", "one")
    assert server.asked("DELETE")[1].body["gracePeriodSeconds"] == 0


def test_apply_puts_the_namespace_first_and_keeps_what_others_set(server: ApiServer, api: Api) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "new"}}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}}
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"}, "spec": {}}
    server.cut("PATCH", "/deployments/d", when="after")
    api.apply([account, deployment("d"), policy, namespace])
    assert server.asked("PATCH")[0].path == "/api/v1/namespaces/new"
    assert server.find("ServiceAccount", "a", "new") and server.find("NetworkPolicy", "p")
    server.change("Deployment", "d", {"spec": {"replicas": 3}, "metadata": {"annotations": {"theirs": "1"}}})
    before = server.find("Deployment", "d")
    api.apply([deployment("d", "two")])
    after = server.find("Deployment", "d")
    assert after["metadata"]["annotations"] == {"theirs": "1"}
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1
    assert after["status"]["observedGeneration"] == after["metadata"]["generation"]
    assert (after["spec"]["replicas"], after["status"]["readyReplicas"]) == (1, 1)


def test_apply_says_that_one_of_many_was_refused(server: ApiServer, api: Api) -> None:
    server.fail("PATCH", "/deployments/bad", status=422)
    with pytest.raises(Rejected):
        api.apply([deployment("good"), deployment("bad")])
    assert server.find("Deployment", "good")


def test_a_list_is_selected_and_says_what_each_object_is(server: ApiServer, api: Api) -> None:
    for name, labels in (("one", {"a": "1"}), ("two", {"a": "2", "pod-template-hash": "x"}), ("three", {})):
        server.add(pod(name, **labels))
    server.add(deployment("d"))

    def names(**selectors: str) -> set[str]:
        return {item["metadata"]["name"] for item in api.list("Pod", **selectors)}

    assert names(labels="a in (1, 2)") == {"one", "two"}
    assert names(labels="a=2,pod-template-hash") == {"two"}
    assert names(fields="metadata.name=three") == {"three"}
    found = api.list("Deployment", "StatefulSet", "Pod")
    assert {(item["apiVersion"], item["kind"]) for item in found} == {("apps/v1", "Deployment"), ("v1", "Pod")}


def test_every_request_has_a_time_limit(server: ApiServer, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    server.add(pod())
    monkeypatch.setattr(connection, "ANSWER", 0.3)
    requests = [
        lambda: api.get("Pod", "one", patience=0),
        lambda: api.list("Pod", patience=0),
        lambda: api.create(pod("two"), patience=0),
        lambda: api.patch("Pod", "one", {}, patience=0),
        lambda: api.patch("Pod", "one", []),
        lambda: api.delete("Pod", "one", patience=0),
        lambda: api.log("one", "c"),
    ]
    for method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
        server.hang(method, "/")  # discovery at first, too
    for ask in requests:
        begun = time.monotonic()
        with pytest.raises(Unanswered):
            ask()
        assert time.monotonic() - begun < 2
        if server.faults[0].part == "/":
            server.heal()
            assert api.get("Pod", "one")
            for method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
                server.hang(method, "/pods")


def test_a_read_may_have_a_shorter_limit(server: ApiServer, api: Api) -> None:
    server.hang("GET", "/pods")
    begun = time.monotonic()
    with pytest.raises(Unanswered):
        api.list("Pod", patience=0, timeout=0.2)
    assert time.monotonic() - begun < 2


def test_many_requests_at_once_print_nothing(server: ApiServer, api: Api, caplog: pytest.LogCaptureFixture) -> None:
    server.add(pod())
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(24) as pool:
        assert len(list(pool.map(lambda _: api.list("Pod"), range(200)))) == 200
    assert caplog.records == []


def test_the_discovery_cache_lies_where_told_and_saves_the_requests(
    server: ApiServer, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    api.list("Pod", "Deployment")
    assert {path for item in server.requests if (path := item.path) in DISCOVERY} == set(DISCOVERY)
    assert api.cache.exists() and not list((tmp_path / "tmp").iterdir())
    server.requests.clear()
    again = Api(api.kubeconfig, api.context, api.cache)
    again.list("Pod", "Deployment")
    again.create(pod())
    assert again.find("Pod", "one")
    assert [item.path for item in server.requests if item.path in DISCOVERY] == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"library_version": "0", "resources": 3}', '{"a": {"_type": "Resource"}}']
)
def test_a_broken_cache_is_made_again_without_a_word(api: Api, text: str, caplog, capfd) -> None:
    api.cache.write_text(text)
    assert api.list("Pod") == []
    assert json.loads(api.cache.read_text())["resources"]
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_a_cache_that_cannot_be_written_is_no_obstacle(server: ApiServer, api: Api, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert Api(api.kubeconfig, api.context, tmp_path / "file/cache.json").list("Pod") == []


def test_no_proxy_is_used(server: ApiServer, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert api.list("Pod", patience=0) == []


def test_the_users_key_is_private_and_as_new_as_the_kubeconfig(server: ApiServer, api: Api) -> None:
    pem = api.kubeconfig.with_name("client.pem")
    for text in ("first", "second"):
        server.write_kubeconfig(api.kubeconfig, user=certificate(text))
        again = Api(api.kubeconfig, api.context, api.cache)
        again.list("Pod")
        assert f"certificate of {text}\n" in pem.read_text() and f"key of {text}\n" in pem.read_text()
        assert stat.S_IMODE(pem.stat().st_mode) == 0o600
        assert again.client.configuration.cert_file == str(pem)


def test_another_namespace_is_asked_on_the_same_connection(server: ApiServer, api: Api) -> None:
    assert api.within("kube-system").get("ConfigMap", "coredns")["data"]
    assert api.find("ConfigMap", "coredns") is None
    assert api.within("kube-system").client is api.client


def test_another_cluster_is_asked_once_the_first_is_forgotten(server: ApiServer, api: Api) -> None:
    server.add(pod())
    assert api.find("Pod", "one")
    with ApiServer() as other:
        other.write_kubeconfig(api.kubeconfig)
        assert api.find("Pod", "one")
        api.forget()
        assert api.find("Pod", "one") is None


def test_the_first_requests_may_come_from_many_threads(server: ApiServer, api: Api) -> None:
    with ThreadPoolExecutor(8) as pool:
        ready = pool.map(lambda number: api.is_ready() if number % 2 else api.find("Pod", "one") is None, range(16))
        assert all(ready)
    assert len(server.asked("GET", "/version")) == 1


def test_a_log_is_asked_for_with_its_options(server: ApiServer, api: Api) -> None:
    server.add(pod())
    server.say("one", "c", "a", "b", at="2026-01-01T00:00:01.5Z")
    server.say("one", "c", "c", at="2026-01-01T00:00:02.5Z")
    assert api.log("one", "c") == b"a\nb\nc\n"
    assert api.log("one", "c", tailLines=1) == b"c\n"
    assert api.log("one", "c", sinceTime="2026-01-01T00:00:02Z", timestamps="true") == b"2026-01-01T00:00:02.5Z c\n"
    with pytest.raises(Rejected):
        api.log("one", "c", previous="true")
    server.say("one", "c", "before", previous=True)
    assert api.log("one", "c", previous="true") == b"before\n"
    with pytest.raises(NotFound):
        api.log("two", "c")


def test_a_log_that_is_followed_comes_as_it_is_said(server: ApiServer, api: Api) -> None:
    server.add(pod())
    server.say("one", "c", "a")
    with api.log_stream("one", "c", follow="true") as stream:
        assert next(stream) == b"a\n"
        server.say("one", "c", "b")
        assert next(stream) == b"b\n"
        server.say("one", "c").ended = True
        assert list(stream) == []


def test_a_log_whose_connection_breaks_is_no_whole_log(server: ApiServer, api: Api) -> None:
    server.add(pod())
    server.say("one", "c", "a")
    with pytest.raises(Unanswered), api.log_stream("one", "c", follow="true") as stream:
        assert next(stream) == b"a\n"
        server.disconnect()
        next(stream)


def test_a_log_that_is_left_early_ends_its_connection(server: ApiServer, api: Api) -> None:
    server.add(pod())
    server.say("one", "c", "a")
    with api.log_stream("one", "c", follow="true") as stream:
        next(stream)
    deadline = time.monotonic() + 5
    while server.server.connections:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert api.log("one", "c") == b"a\n"
