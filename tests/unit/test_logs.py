"""`invoke logs`: Compose's prefixes, and each line once whatever becomes of the streams."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from support.api_server import ApiServer
from support.pods import eventually

from boulder_k8s.cluster import logs as container_log
from boulder_k8s.cluster.api import Api
from boulder_k8s.cluster.logs import Position, Reader, Target
from boulder_k8s.commands import logs
from boulder_k8s.commands.logs import Printer, Wanted, moment, together
from boulder_k8s.host.errors import Problem


def line(second: int, text: str, fraction: str = "000000000") -> bytes:
    return f"2026-01-01T00:00:{second:02}.{fraction}Z {text}\n".encode()


TARGET = Target("p", "u", "c", "p-1")
POD = {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}}


@pytest.fixture
def p(server: ApiServer) -> ApiServer:
    """A pod `p` with a container `c`."""
    server.add(POD)
    return server


def say(server: ApiServer, second: int, text: str, fraction: str = "000000000", previous: bool = False) -> bytes:
    """The line as it is read."""
    said = line(second, text, fraction)
    server.say("p", "c", text, at=said[:30].decode(), previous=previous)
    return said


def test_a_stream_that_is_opened_again_brings_no_line_twice_and_leaves_none_out(p: ApiServer, api: Api) -> None:
    position = Position()
    first = [say(p, 5, "same"), say(p, 5, "same"), say(p, 6, "one", "000000001")]
    assert list(container_log.lines(api, TARGET, position)) == first
    second = [say(p, 6, "two", "000000002"), say(p, 7, "three")]
    assert list(container_log.lines(api, TARGET, position)) == second
    assert p.asked("GET", "/log")[-1].query["sinceTime"] == "2026-01-01T00:00:06Z"


def test_within_a_stream_lines_that_were_written_out_of_order_are_not_lost(p: ApiServer, api: Api) -> None:
    """stdout and stderr of a container have a writer each; their times may lie in the log the wrong way round."""
    said = [say(p, 5, "late", "000000900"), say(p, 5, "early", "000000100")]
    assert list(container_log.lines(api, TARGET, Position())) == said


def test_what_is_older_than_since_or_than_the_tail_is_never_printed(p: ApiServer, api: Api) -> None:
    said = [say(p, 3, "old"), say(p, 4, "new")]
    assert list(container_log.lines(api, TARGET, Position(since="2026-01-01T00:00:03.500000000Z"))) == said[1:]
    position = Position(tail=1)
    assert list(container_log.lines(api, TARGET, position)) == said[1:]
    said += [say(p, 6, "next")]
    assert list(container_log.lines(api, TARGET, position)) == said[2:]


def status_of(count: int, code: int | None = None) -> dict:
    last = {"lastState": {"terminated": {"exitCode": code}}} if code is not None else {}
    return {"restartCount": count, "state": {"running": {}}, **last}


def test_a_container_is_read_across_cut_streams_and_restarts(p: ApiServer, api: Api, monkeypatch) -> None:
    monkeypatch.setattr(container_log, "AGAIN", 0.05)
    monkeypatch.setattr(container_log, "GONE", 1.0)
    statuses: list[dict | None] = [status_of(0)]
    read: list[bytes] = []
    codes: list[int] = []
    reader = Reader(api, TARGET, Position(), lambda: statuses[-1], read.append, codes.append)
    said = [say(p, 1, "one")]
    reader.start()
    eventually(lambda: read == said, "the first line")
    p.disconnect()
    said += [say(p, 2, "two")]
    eventually(lambda: read == said, "the second line")
    p.stop()  # the container says its last words and is restarted while nobody can read
    say(p, 1, "one", previous=True)
    say(p, 2, "two", previous=True)
    said += [say(p, 3, "last words", previous=True)]
    p.logs["p", "c"].lines = []
    said += [say(p, 4, "again")]
    statuses.append(status_of(1, 137))
    p.start()
    eventually(lambda: read == said, "the lines of both runs")
    statuses.append(None)
    p.disconnect()
    reader.join(20)
    assert not reader.is_alive()
    assert (read, codes) == (said, [137])


def test_a_run_that_has_ended_is_read_once_and_its_end_is_told(p: ApiServer, api: Api, monkeypatch) -> None:
    monkeypatch.setattr(container_log, "AGAIN", 0.02)
    monkeypatch.setattr(container_log, "GONE", 0.2)
    said = say(p, 1, "last words")
    crashed = {"restartCount": 3, "state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": 7}}}
    read: list[bytes] = []
    codes: list[int] = []
    ended = threading.Event()
    reader = Reader(api, TARGET, Position(), lambda: None if ended.is_set() else crashed, read.append, codes.append)
    reader.start()
    time.sleep(1)
    ended.set()
    reader.join(20)
    requests = p.asked("GET", "/log")
    assert (read, codes, len(requests)) == ([said], [7], 1)
    assert "follow" not in requests[0].query  # what has begun since would be read in its place


def pod(name: str, service: str, bare: bool = False, **status: object) -> dict:
    owner = {} if bare else {"ownerReferences": [{}]}
    known = {"containerStatuses": [{"name": service, "state": {"running": {}}}]}
    return {
        "metadata": {"name": name, "uid": name, "labels": {"app.kubernetes.io/name": service}, **owner},
        "status": known | status,
    }


def names(wanted: Wanted, *pods: dict, previous: bool = False) -> list[str]:
    return [target.name for target in wanted.targets(pods, previous)]


def test_containers_are_named_as_compose_names_them() -> None:
    pods = [
        pod("bredis-1-0", "bredis-1"),
        pod("bconsul-7d-x", "bconsul"),
        pod("boulder-tests", "boulder", bare=True),
        pod("bjaeger-x", "bjaeger", containerStatuses=[{"name": "bjaeger", "state": {"waiting": {}}}]),
    ]
    assert names(Wanted(), *pods) == ["bconsul-1", "boulder-tests", "bredis-1-1"]
    assert names(Wanted(("bconsul", "boulder")), *pods) == ["bconsul-1", "boulder-tests"]
    assert names(Wanted(("boulder-tests",)), *pods) == ["boulder-tests"]


def test_an_init_container_has_something_to_say_when_it_fails() -> None:
    done = {"name": "config", "state": {"terminated": {"exitCode": 0}}}
    failed = {"name": "config", "state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": 1}}}
    assert names(Wanted(), pod("b-x", "b", initContainerStatuses=[done])) == ["b-1"]
    assert names(Wanted(), pod("b-x", "b", initContainerStatuses=[failed])) == ["b-1", "b-1 config"]


def test_previous_means_containers_that_have_been_restarted() -> None:
    restarted = [{"name": "b", "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}}]
    pods = [pod("a-x", "a"), pod("b-x", "b", containerStatuses=restarted)]
    assert names(Wanted(), *pods, previous=True) == ["b-1"]


def test_prefixes_are_aligned_and_coloured_only_on_a_terminal(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    printer = Printer(timestamps=False, coloured=False)
    printer.meet(["bconsul-1", "bproxysql-1"])
    printer.write("bconsul-1", line(1, "one"))
    printer.write("bproxysql-1", line(2, ""))
    printer.write("bconsul-1 a-long-init-container", line(2, "failed"))
    printer.write("bconsul-1", line(3, "two"))
    coloured = Printer(timestamps=True, coloured=True)
    coloured.meet(["a-1", "b-1"])
    coloured.write("b-1", line(3, "\xfcber"))
    logs.sys.stdout.flush()
    assert capfdbinary.readouterr().out == (
        b"bconsul-1    | one\nbproxysql-1  | \nbconsul-1 a-long-init-container | failed\nbconsul-1    | two\n\x1b[33mb-1  | \x1b[0m"
        + line(3, "\xfcber")
    )


def test_a_log_that_cannot_be_read_is_said(server: ApiServer, api: Api, capfd) -> None:
    for name, service in (("bconsul-x", "bconsul"), ("bminio-x", "bminio")):
        labels = {"app.kubernetes.io/name": service, "app.kubernetes.io/part-of": "boulder"}
        server.add(
            {"kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": {"containers": [{"name": service}]}}
        )
        server.say(name, service, "hello")
    server.fail("GET", "/pods/bconsul-x/log", 400, times=None)
    assert logs.once(SimpleNamespace(api=api), Wanted(), Printer(False, False), previous=False) == 1
    out, err = capfd.readouterr()
    assert out == "bminio-x   | hello\n"
    assert err.startswith("boulder-k8s: bconsul-x: ")


def test_colours_follow_no_color_and_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs.sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert logs.coloured()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not logs.coloured()
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("TERM", "dumb")
    assert not logs.coloured()


def test_lines_that_arrive_together_come_in_the_order_of_their_times() -> None:
    arrived: logs.queue.Queue = logs.queue.Queue()
    for item in (("a", line(3, "x")), ("b", line(1, "y")), ("a", line(4, "z"))):
        arrived.put(item)
    assert [item[1] for item in together(arrived, 0.05)] == [line(1, "y"), line(3, "x"), line(4, "z")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("10m", "2026-01-01T11:50:00.000000000Z"),
        ("1h30m", "2026-01-01T10:30:00.000000000Z"),
        ("1.5s", "2026-01-01T11:59:58.500000000Z"),
        ("2025-06-01T10:00:00Z", "2025-06-01T10:00:00.000000000Z"),
        ("2025-06-01T12:00:00.25+02:00", "2025-06-01T10:00:00.250000000Z"),
        ("1136073845", "2006-01-01T00:04:05.000000000Z"),
    ],
)
def test_since_is_a_duration_or_a_date_as_for_compose(text: str, expected: str) -> None:
    assert moment(text, datetime(2026, 1, 1, 12, tzinfo=UTC)) == expected


@pytest.mark.parametrize("text", ["yesterday", "10", "10 m", "m", "-10m", "2026-13-01", "9" * 30])
def test_any_other_since_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="neither a duration nor a date"):
        moment(text)
