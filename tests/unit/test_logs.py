"""`invoke logs`: Compose's prefixes, and each line once whatever becomes of the streams."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.programs import Programs

from boulder_k8s.cluster import container_log
from boulder_k8s.cluster.container_log import Position, Reader, Target
from boulder_k8s.cluster.kubectl import Kubectl
from boulder_k8s.commands import logs
from boulder_k8s.commands.logs import Printer, Wanted, moment, together
from boulder_k8s.host.errors import Problem


def line(second: int, text: str, fraction: str = "000000000") -> bytes:
    return f"2026-01-01T00:00:{second:02}.{fraction}Z {text}\n".encode()


def taken(position: Position, *lines: bytes) -> list[bytes]:
    return [item for item in lines if position.new(item)]


def test_a_stream_taken_up_again_brings_no_line_twice_and_leaves_none_out() -> None:
    position = Position()
    assert position.arguments() == []
    said = [line(second, f"line {second}") for second in range(10)]
    assert taken(position, *said[:7]) == said[:7]
    assert position.arguments() == ["--since-time=2026-01-01T00:00:04Z"]
    assert taken(position, *said[4:]) == said[7:]


def test_equal_lines_of_one_moment_are_counted() -> None:
    position = Position()
    same = line(5, "same")
    assert taken(position, same, same) == [same, same]
    position.arguments()
    assert taken(position, same, same, same) == [same]


def test_a_line_that_was_written_out_of_order_is_not_lost() -> None:
    """stdout and stderr of a container have a writer each; their times may lie in the log the wrong way round."""
    position = Position()
    late, early = line(5, "late", "000000900"), line(5, "early", "000000100")
    assert taken(position, late) == [late]
    position.arguments()
    assert taken(position, late, early) == [early]


def test_what_is_older_than_since_or_than_the_tail_is_never_printed() -> None:
    position = Position(since="2026-01-01T00:00:03.500000000Z")
    assert position.arguments() == ["--since-time=2026-01-01T00:00:03Z"]
    assert taken(position, line(3, "old"), line(4, "new")) == [line(4, "new")]
    position = Position(tail=1)
    assert position.arguments() == ["--tail=1"]
    assert taken(position, line(5, "last")) == [line(5, "last")]
    assert position.arguments() == ["--since-time=2026-01-01T00:00:03Z"]  # which is before the tail's first
    assert taken(position, line(4, "before"), line(5, "last"), line(6, "next")) == [line(6, "next")]
    assert Position(tail=0).new(line(1, "before it began")) is False


def test_little_is_remembered() -> None:
    position = Position()
    for second in range(60):
        taken(position, *(line(second, f"{number}", f"{number:09}") for number in range(100)))
    assert len(position.recent) == 300


@pytest.fixture
def kubectl(programs: Programs, tmp_path: Path) -> Kubectl:
    (tmp_path / "status").write_text("0")
    return Kubectl(programs.directory / "kubectl", tmp_path / "kubeconfig", "kind-unit")


def test_a_container_is_read_across_cut_streams_and_restarts(
    programs: Programs, kubectl, tmp_path, monkeypatch
) -> None:
    """The first stream is cut within a line, the second before the run's last line; then the container has restarted."""
    monkeypatch.setattr(container_log, "AGAIN", 0.05)
    monkeypatch.setattr(container_log, "GONE", 1.0)
    said = [line(second, f"line {second}") for second in range(1, 7)]
    (tmp_path / "first").write_bytes(said[0] + said[1][:-4])
    (tmp_path / "second").write_bytes(b"".join(said[0:3]))
    (tmp_path / "previous").write_bytes(b"".join(said[1:4]))
    (tmp_path / "third").write_bytes(b"unable to retrieve container logs\n" + b"".join(said[4:6]))
    programs.answer(
        "kubectl",
        "--follow",
        f"""cd {tmp_path}; [ -e 1 ] || {{ touch 1; exec cat first; }}
            [ -e 2 ] || {{ touch 2; cat second; echo 1 > status; exit 0; }}
            cat third; rm -f status""",
    )
    programs.answer("kubectl", "--previous", f"cat {tmp_path}/previous")

    def status() -> dict | None:
        try:
            count = int((tmp_path / "status").read_text() or 0)
            last = {"lastState": {"terminated": {"exitCode": 137}}} if count else {}
            return {"restartCount": count, "state": {"running": {}}, **last}
        except FileNotFoundError:
            return None

    read: list[bytes] = []
    codes: list[int] = []
    reader = Reader(kubectl, Target("p", "u", "c", "p-1"), Position(), status, read.append, codes.append)
    reader.start()
    reader.join(20)
    assert not reader.is_alive()
    assert (read, codes) == (said, [137])
    assert [call[5:7] for call in programs.calls("kubectl")][0] == ["p", "--container=c"]


def test_a_run_that_has_ended_is_read_once_and_its_end_is_told(programs: Programs, kubectl, monkeypatch) -> None:
    monkeypatch.setattr(container_log, "AGAIN", 0.02)
    programs.answer("kubectl", "logs p", f"echo '{line(1, 'last words').decode().strip()}'")
    crashed = {"restartCount": 3, "state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": 7}}}
    read: list[bytes] = []
    codes: list[int] = []
    ended = threading.Event()
    reader = Reader(
        kubectl,
        Target("p", "u", "c", "p-1"),
        Position(),
        lambda: None if ended.is_set() else crashed,
        read.append,
        codes.append,
    )
    monkeypatch.setattr(container_log, "GONE", 0.2)
    reader.start()
    time.sleep(1)
    ended.set()
    reader.join(20)
    assert (read, codes, programs.called("kubectl", "logs p")) == ([line(1, "last words")], [7], 1)
    assert programs.called("kubectl", "--follow") == 0  # what has begun since would be read in its place


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


def test_a_log_that_cannot_be_read_is_said(programs: Programs, kubectl, monkeypatch, capfd) -> None:
    """The kubelet says so on stdout, with exit code 0."""

    class Cluster:
        pass

    cluster = Cluster()
    cluster.kubectl = kubectl
    pods = json.dumps({"items": [pod("bconsul-x", "bconsul"), pod("bminio-x", "bminio")]})
    programs.answer("kubectl", "get pods", f"echo '{pods}'")
    programs.answer("kubectl", "logs bconsul-x", "echo unable to retrieve container logs for containerd://x")
    programs.answer("kubectl", "logs bminio-x", f"echo '{line(1, 'hello').decode().strip()}'")
    assert logs.once(cluster, Wanted(), Printer(False, False), previous=False) == 1
    out, err = capfd.readouterr()
    assert out == "bminio-1   | hello\n"
    assert err == "boulder-k8s: bconsul-1: unable to retrieve container logs for containerd://x\n"


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
