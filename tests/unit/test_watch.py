"""Objects as they change: what a watch has seen, that it goes on, and that it ends when it is told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from support.api_server import ApiServer

from boulder_k8s.cluster import watch as watches
from boulder_k8s.cluster.api import Api
from boulder_k8s.cluster.watch import Watch, wait_until_gone, watching


@pytest.fixture
def api(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """Every unit test's (conftest.py), with shorter pauses."""
    monkeypatch.setattr(watches, "AGAIN", 0.05)
    return api


def add(server: ApiServer, name: str, **labels: str) -> dict:
    return server.add(
        {"kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": {"containers": [{"name": "c"}]}}
    )


def until(watch: Watch, condition: Callable[[dict[str, dict]], object], seconds: float = 10) -> dict[str, dict]:
    """Takes in what the watch sees until its objects are as wanted."""
    deadline = time.monotonic() + seconds
    while not condition(watch.objects):
        assert time.monotonic() < deadline, watch.objects
        watch.next(0.2)
    return watch.objects


def connections(server: ApiServer) -> int:
    return sum(item.query.get("watch", "").lower() == "true" for item in server.requests)


def test_it_sees_what_there_is_and_what_changes(server: ApiServer, api: Api) -> None:
    add(server, "one")
    with watching(api) as watch:
        seen = until(watch, lambda objects: "one" in objects)
        assert (seen["one"]["kind"], seen["one"]["status"]["phase"]) == ("Pod", "Running")
        add(server, "two")
        until(watch, lambda objects: set(objects) == {"one", "two"})
        server.change("Pod", "one", {"status": {"phase": "Failed"}})
        until(watch, lambda objects: objects["one"]["status"]["phase"] == "Failed")
        server.remove("Pod", "one")
        until(watch, lambda objects: set(objects) == {"two"})
        begun = time.monotonic()
        assert not watch.next(0.2)
        assert time.monotonic() - begun >= 0.2
    assert connections(server) == 1


def test_it_sees_what_its_selectors_select(server: ApiServer, api: Api) -> None:
    for name, label in (("one", "x"), ("two", "y"), ("three", "z")):
        add(server, name, a=label)
    with watching(api, labels="a in (x,y)") as watch, watching(api, fields="metadata.name=three") as other:
        until(watch, lambda objects: set(objects) == {"one", "two"})
        until(other, lambda objects: set(objects) == {"three"})
        server.change("Pod", "two", {"metadata": {"labels": {"a": "w"}}})
        until(watch, lambda objects: set(objects) == {"one"})


def test_it_watches_other_kinds_and_its_own_namespace_alone(server: ApiServer, api: Api) -> None:
    add(server, "one")
    with watching(api.within("kube-system"), "Deployment") as watch, watching(api.within("kube-system")) as pods:
        until(watch, lambda objects: "coredns" in objects)
        assert "one" not in until(pods, lambda objects: objects)


@pytest.mark.parametrize("how", ["the connection", "the server"])
def test_it_begins_again_after_an_end(server: ApiServer, api: Api, how: str) -> None:
    """What went meanwhile is gone."""
    for name in ("one", "two"):
        add(server, name)
    with watching(api) as watch:
        until(watch, lambda objects: set(objects) == {"one", "two"})
        if how == "the server":
            server.stop()
            server.remove("Pod", "one")
            server.start()
        else:
            with server.store.changed:  # nobody is told before the connection has ended
                server.disconnect()
                server.store.objects.pop(next(key for key in server.store.objects if key.name == "one"))
        until(watch, lambda objects: set(objects) == {"two"})
        add(server, "three")
        until(watch, lambda objects: set(objects) == {"two", "three"})


def test_it_begins_again_where_the_server_ends_a_silent_one(server: ApiServer, api: Api, monkeypatch) -> None:
    monkeypatch.setattr(watches, "SILENCE", 1)
    add(server, "one")
    with watching(api) as watch:
        until(watch, lambda objects: objects)
        deadline = time.monotonic() + 10
        while connections(server) < 2:
            assert time.monotonic() < deadline
            watch.next(0.1)
        until(watch, lambda objects: "one" in objects)
    assert all(item.query["timeoutSeconds"] == "1" for item in server.requests if "watch" in item.query)


@pytest.mark.parametrize("status", [403, 410, 429, 500, 503])
def test_it_begins_again_after_a_refusal(server: ApiServer, api: Api, status: int) -> None:
    add(server, "one")
    server.fail("GET", "watch=", status=status, times=2)
    with watching(api) as watch:
        until(watch, lambda objects: "one" in objects)
    assert connections(server) == 3


@pytest.mark.parametrize("error", [{"code": 410, "reason": "Expired", "message": "plugh"}, {"code": 500}, {}])
def test_it_begins_again_after_an_error_in_its_stream(server: ApiServer, api: Api, error: dict) -> None:
    """The API server leaves out of a Status what is empty."""
    add(server, "one")
    with watching(api) as watch:
        until(watch, lambda objects: "one" in objects)
        server.watch_error = {"kind": "Status", **error}
        deadline = time.monotonic() + 10
        while connections(server) < 2:
            assert time.monotonic() < deadline
            watch.next(0.1)
        until(watch, lambda objects: "one" in objects)


def test_it_may_begin_before_the_server_does(server: ApiServer, api: Api) -> None:
    add(server, "one")
    server.stop()
    with watching(api) as watch:
        watch.next(0.2)
        server.start()
        until(watch, lambda objects: "one" in objects)


def ended(watch: Watch) -> float:
    begun = time.monotonic()
    watch.stop()
    return time.monotonic() - begun


def test_it_stops_at_once_in_the_middle_of_silence(server: ApiServer, api: Api) -> None:
    with watching(api) as watch:
        deadline = time.monotonic() + 10
        while not connections(server):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.2)
        assert ended(watch) < 1
        assert not watch.thread.is_alive()
    assert threading.active_count() < 10


def test_it_stops_within_two_seconds_where_nobody_answers(server: ApiServer, api: Api) -> None:
    api.list("Pod")
    server.hang("GET", "watch=")
    with watching(api) as watch:
        time.sleep(0.2)
        assert ended(watch) < 2.5


def test_it_stops_while_the_server_is_away(server: ApiServer, api: Api) -> None:
    server.stop()
    with watching(api) as watch:
        time.sleep(0.2)
        assert ended(watch) < 2
        assert not watch.thread.is_alive()


def test_what_is_deleted_is_waited_for(server: ApiServer, api: Api) -> None:
    assert wait_until_gone(api, "Pod", labels="a=x", timeout=5)
    server.controller.linger = 0.5
    add(server, "one", a="x")
    begun = time.monotonic()
    assert not wait_until_gone(api, "Pod", labels="a=x", timeout=0.3)
    api.delete("Pod", "one")
    assert wait_until_gone(api, "Pod", labels="a=x", timeout=10)
    assert time.monotonic() - begun < 5
