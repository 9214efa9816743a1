"""The wrapper's side of a run: whatever becomes of `kubectl exec`, the output is complete and the code is the record's."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.pods import Pod, eventually

from boulder_k8s.cluster.kubectl import Kubectl
from boulder_k8s.host.signals import CAUGHT, OTHERS, Signals, name_of
from boulder_k8s.run import follower as module
from boulder_k8s.run import result as results
from boulder_k8s.run import streams
from boulder_k8s.run.directory import Run
from boulder_k8s.run.fate import ending
from boulder_k8s.run.follower import Follower
from boulder_k8s.run.streams import Attachment, Outlet, record_window

# A kubectl whose exec runs the follower here and misbehaves as told.
FAKE = """#!{python}
import os, random, subprocess, sys, time
run, mode = {run!r}, open({run!r} + "/mode").read()
words = sys.argv[1:]
offsets = words[-2:]
if mode == "ends with 0 at once":
    sys.exit(0)
if mode == "fails at once":
    sys.exit("error: connection refused")
if mode == "hangs":
    time.sleep(1000)
if mode == "works":
    os.execv(sys.executable, [sys.executable, run + "/pod/follow.py", run, *offsets])
child = subprocess.Popen([sys.executable, run + "/pod/follow.py", run, *offsets], stdout=subprocess.PIPE, )
left = random.randint(1, 30000) if mode == "cut" else None
while True:
    data = os.read(child.stdout.fileno(), min(4096, left) if left else 4096)
    os.write(1, data)
    if left is not None:
        left -= len(data)
        if left <= 0 or not data:
            child.kill()
            print("command terminated with exit code 137", file=sys.stderr, flush=True)
            os._exit(random.choice([0, 1, 137]))
    if not data:
        sys.exit(child.wait())
"""
LIVING = {
    "metadata": {"name": "boulder-tests"},
    "status": {"phase": "Running", "containerStatuses": [{"name": "boulder", "state": {"running": {}}}]},
}


class Following:
    """A Follower of a run, its two output streams being files."""

    def __init__(self, pod: Pod, mode: str, state: dict | None = LIVING) -> None:
        kubectl = pod.path / "kubectl"
        kubectl.write_text(FAKE.format(python=sys.executable, run=str(pod.path)))
        kubectl.chmod(0o755)
        self.pod = pod
        self.set(mode, state)
        self.signals = SimpleNamespace(received=[])
        cluster = SimpleNamespace(
            api=SimpleNamespace(find=self.find),
            kubectl=Kubectl(kubectl, Path("/nonexistent"), "none"),
            settings=SimpleNamespace(node="no-such-node"),
        )
        self.follower = Follower(cluster, self.signals, pod.run, "boulder-tests")
        self.files = [pod.path / "delivered-out", pod.path / "delivered-err"]
        for outlet, path in zip(self.follower.outlets, self.files, strict=True):
            outlet.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)

    def set(self, mode: str, state: dict | None) -> None:
        (self.pod.path / "mode").write_text(mode)
        self.state = state

    def find(self, kind: str, name: str, **_: object) -> dict | None:
        """What the API server knows of the pod."""
        assert (kind, name) == ("Pod", "boulder-tests")
        return self.state

    def send(self, number: int) -> None:
        self.signals.received.append(number)

    def later(self, action: Callable[[], object], after: bytes) -> None:
        """Does something once the tests have said `after`."""

        def wait() -> None:
            eventually(lambda: after in self.pod.read("stdout"), repr(after))
            action()

        threading.Thread(target=wait, daemon=True).start()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALL", 0.3)
    monkeypatch.setattr(module, "RESCUE", 4.0)


LINES = [
    "bash",
    "-c",
    "for i in $(seq 3000); do echo a line on stdout $i; done; sleep 0.5; echo on stderr >&2; printf end; exit 42",
]


@pytest.mark.parametrize("mode", ["works", "cut", "hangs", "ends with 0 at once", "fails at once"])
def test_whatever_the_stream_does_output_and_code_are_right(make_pod, mode: str) -> None:
    pod = make_pod().start(LINES)
    following = Following(pod, mode)
    assert following.follower.follow() == 42
    assert following.files[0].read_bytes() == pod.read("stdout")
    assert following.files[1].read_bytes() == b"on stderr\n" == pod.read("stderr")
    assert pod.read("stdout").endswith(b"3000\nend")


def test_the_first_words_after_a_silence_are_no_stall(tmp_path: Path) -> None:
    outlet = Outlet(1, tmp_path / "stdout")
    outlet.recorded.touch()
    outlet.moved -= 60
    assert not outlet.stalled(30)
    outlet.recorded.write_bytes(b"at last\n")
    assert not outlet.stalled(30)
    outlet.moved -= 60
    assert outlet.stalled(30)


def terminated(**facts: object) -> dict:
    return {
        "metadata": {"name": "boulder-tests"},
        "status": {"phase": "Failed", "containerStatuses": [{"name": "boulder", "state": {"terminated": facts}}]},
    }


@pytest.mark.parametrize(
    ("state", "code", "reason"),
    [
        (None, 137, "deleted"),
        (terminated(exitCode=137, reason="OOMKilled"), 137, "OOMKilled"),
        (terminated(exitCode=0, reason="Completed"), 2, "without a result"),
        (terminated(exitCode=74, reason="Error"), 2, "disk is full"),
        (terminated(exitCode=74, reason="Error", message="stdout: I/O error\n"), 2, "recorded: stdout: I/O error"),
        (terminated(exitCode=255, reason="Unknown"), 137, "255"),
        ({"metadata": {"deletionTimestamp": "now"}, "status": {}}, 137, "being deleted"),
        (
            {"metadata": {}, "status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}},
            137,
            "Evicted",
        ),
    ],
)
def test_without_a_record_the_run_failed_and_the_reason_is_named(
    make_pod, capfd, state: dict | None, code: int, reason: str
) -> None:
    following = Following(make_pod(), "ends with 0 at once", state)
    assert following.follower.follow() == code
    assert reason in capfd.readouterr().err
    assert reason in following.pod.run.record["failure"]


def recorded(pod: Pod, code: int = 0) -> None:
    """Runs tests that write 3 MB and some words, and end with `code`."""
    pod.start(["bash", "-c", f"head -c 3000000 /dev/zero; echo on stderr >&2; exit {code}"])
    assert pod.code() == code


def removed(path: Path) -> None:
    path.unlink()


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def shorter(path: Path) -> None:
    os.truncate(path, 2_999_990)


def looped(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("fault", "mode", "code"),
    [(removed, "works", 0), (a_directory, "fails at once", 42), (shorter, "works", 42), (looped, "hangs", 0)],
)
def test_there_is_no_verdict_without_every_byte_that_the_tests_wrote(
    make_pod, capfd, quickly, mode: str, fault: Callable[[Path], None], code: int
) -> None:
    pod = make_pod()
    recorded(pod, code)
    fault(pod.path / "stdout")
    following = Following(pod, mode)
    assert following.follower.follow() == 2
    said = capfd.readouterr().err
    assert "of 3000000 bytes of stdout" in said and f"ended with {code}" in said, said
    assert "not all that they wrote" in pod.run.record["failure"]
    assert following.files[1].read_bytes() == b"on stderr\n"


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "READ_PATIENCE", 0.1)


def test_bytes_that_are_not_the_tests_are_no_verdict(make_pod, capfd, quickly) -> None:
    pod = make_pod()
    recorded(pod)
    with open(pod.path / "stdout", "ab") as file:
        file.write(b"more")
    assert Following(pod, "works").follower.follow() == 2
    assert "4 bytes of stdout are not the tests'" in capfd.readouterr().err


@pytest.mark.parametrize("mode", ["cut", "fails at once"])
def test_a_file_that_gives_an_io_error_here_comes_through_another_stream(
    make_pod, quickly, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    def fails(outlet: Outlet) -> None:
        following.set("works", LIVING)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Outlet, "deliver_recorded", fails)
    pod = make_pod()
    recorded(pod, 42)
    following = Following(pod, mode)
    assert following.follower.follow() == 42
    assert following.files[0].read_bytes() == pod.read("stdout")


def test_a_kubectl_that_is_gone_changes_no_verdict(make_pod) -> None:
    """As while a second command makes .venv anew."""
    following = Following(make_pod().start(LINES), "cut")
    following.later((following.pod.path / "kubectl").unlink, b"stdout 10\n")
    assert following.follower.follow() == 42
    assert following.files[0].read_bytes() == following.pod.read("stdout")


def gone(path: Path) -> None:
    path.unlink()


def not_executable(path: Path) -> None:
    path.chmod(0o644)


def another_machines(path: Path) -> None:
    path.unlink()  # it may be running
    path.write_bytes(b"\x7fELF of another machine")
    path.chmod(0o755)


def no_program(path: Path) -> None:
    path.unlink()
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)


@pytest.mark.parametrize("between", [False, True])
@pytest.mark.parametrize("fault", [gone, not_executable, a_directory, another_machines, no_program, "fails at once"])
def test_without_kubectl_the_output_comes_all_the_same_and_it_is_said(make_pod, capfd, fault, between: bool) -> None:
    """Also while the tests run: they wait here for somebody who has seen their first words."""
    script = 'echo first; until [ -e "$0" ]; do sleep 0.02; done; printf second; echo err >&2; sleep 2; exit 42'
    pod = make_pod()
    pod.start(["bash", "-c", script, str(pod.path / "seen")])
    following = Following(pod, "works" if between else "fails at once")

    def breaks() -> None:
        if callable(fault):
            fault(pod.path / "kubectl")
        following.set("fails at once", LIVING)
        for child in (Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")).read_text().split():
            if "follow.py" in Path(f"/proc/{child}/cmdline").read_text():
                os.kill(int(child), signal.SIGKILL)

    def sees(word: bytes) -> None:
        eventually(lambda: word in following.files[0].read_bytes(), repr(word), 20)
        if between:
            breaks()
        (pod.path / "seen").touch()

    if not between:
        breaks()
    threading.Thread(target=sees, args=[b"first"], daemon=True).start()
    threading.Timer(25, (pod.path / "seen").touch).start()
    began = time.monotonic()
    assert following.follower.follow() == 42
    assert time.monotonic() - began < 15, "nobody has seen the first words while the tests ran"
    assert following.files[0].read_bytes() == b"first\nsecond" and following.files[1].read_bytes() == b"err\n"
    said = capfd.readouterr().err
    assert said.count("kubectl cannot be started (") == callable(fault), said


def test_a_kubectl_that_works_again_goes_on_where_the_files_were(make_pod) -> None:
    pod = make_pod().start(["bash", "-c", "for i in $(seq 400); do echo line $i; sleep 0.01; done; exit 7"])
    following = Following(pod, "works")
    kubectl, away = pod.path / "kubectl", pod.path / "away"
    kubectl.rename(away)
    following.later(lambda: away.rename(kubectl), b"line 100\n")
    assert following.follower.follow() == 7
    assert following.files[0].read_bytes() == pod.read("stdout")


def test_a_file_that_arrives_late_is_waited_for(make_pod) -> None:
    pod = make_pod()
    recorded(pod, 3)
    (pod.path / "stdout").rename(pod.path / "later")
    following = Following(pod, "fails at once")
    threading.Timer(0.5, (pod.path / "later").rename, [pod.path / "stdout"]).start()
    assert following.follower.follow() == 3
    assert following.files[0].read_bytes() == pod.read("stdout")


def test_a_run_directory_that_is_removed_meanwhile_ends_the_run_without_a_result(make_pod, quickly, capfd) -> None:
    following = Following(make_pod().start(["bash", "-c", "echo ready; sleep 1000"]), "works")

    following.later(lambda: shutil.rmtree(following.pod.path), b"ready")
    assert following.follower.follow() == 2
    assert "was removed. There is no result" in capfd.readouterr().err


def test_stdin_that_cannot_be_passed_on_is_no_verdict(make_pod, capfd) -> None:
    following = Following(make_pod().start(["cat"]), "works")
    following.follower.feeder = SimpleNamespace(failure="they were not given all of stdin: No space left on device")
    assert following.follower.follow() == 2
    assert "not given all of stdin: No space left on device. There is no result" in capfd.readouterr().err


@settings(max_examples=100, deadline=None)
@given(
    written=st.tuples(st.binary(max_size=300), st.binary(max_size=300)),
    size=st.integers(1, 90),
    cuts=st.lists(st.integers(0, 700), max_size=6),
)
def test_a_stream_that_is_cut_anywhere_loses_and_doubles_nothing(written, size: int, cuts: list[int]) -> None:
    """Also within the header of a frame. size: bytes in a frame, as pod/follow.py sends them from an offset."""
    pipes = [os.pipe() for _ in written]
    outlets = [Outlet(writing, Path("/nowhere")) for _, writing in pipes]
    for cut in [*cuts, None]:
        frames = b"".join(
            streams.FRAME.pack(number, len(part)) + part
            for number, (data, outlet) in enumerate(zip(written, outlets, strict=True), 1)
            for at in range(outlet.offset, len(data), size)
            if (part := data[at : at + size])
        )
        attachment = Attachment.__new__(Attachment)
        attachment.child = SimpleNamespace(stdout=io.BufferedReader(io.BytesIO(frames[:cut])))
        attachment.outlets = dict(enumerate(outlets, 1))
        attachment.pump()
    for (reading, writing), data in zip(pipes, written, strict=True):
        os.close(writing)
        with open(reading, "rb") as file:
            assert file.read() == data


# Half a record, however it came about, is never a verdict; a whole one is what it says.
WHOLE = {"exitcode": b"42\n", "record.json": b'{"exit_code": 42, "stdout": 5, "stderr": 0}\n'}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
records = st.fixed_dictionaries(
    {
        name: st.one_of(
            st.just(whole),
            st.integers(0, len(whole)).map(lambda end, whole=whole: whole[:end]),
            st.binary(max_size=40),
            json_values.map(lambda value: json.dumps(value).encode()),
            st.fixed_dictionaries(
                {}, optional={"exit_code": json_values | st.just(42), "stdout": json_values, "stderr": json_values}
            ).map(lambda value: json.dumps(value).encode()),
        )
        for name, whole in WHOLE.items()
    }
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records)
def test_a_record_that_ends_anywhere_is_whole_or_none(tmp_path: Path, found: dict[str, bytes]) -> None:
    for name, content in found.items():
        (tmp_path / name).write_bytes(content)
    run = Run(tmp_path, {})
    assert run.has_ended()
    try:
        result = results.read(tmp_path)
    except results.Damaged as damaged:
        assert run.exit_code() is None and str(damaged)
    else:
        # Whoever wrote it, both files agree.
        document = json.loads(found["record.json"])
        assert result.code == int(found["exitcode"]) == document["exit_code"] == run.exit_code()
        assert result.lengths == {name: document[name] for name in ("stdout", "stderr")}
        if found["exitcode"] != WHOLE["exitcode"] and WHOLE["exitcode"].startswith(found["exitcode"]):
            assert found["exitcode"] == b"42" or document["exit_code"] == 4


@pytest.mark.parametrize(
    "content", [b"", b"4", b"-1\n", b"256\n", b"0x0\n", b"\xff", b" 0\n", b"0\n0\n", "٤٢".encode()]
)
def test_a_damaged_record_is_no_verdict(make_pod, capfd, content: bytes) -> None:
    pod = make_pod()
    recorded(pod)
    (pod.path / "exitcode").write_bytes(content)
    assert Following(pod, "works").follower.follow() == 2
    assert "the record is damaged" in capfd.readouterr().err


def test_a_record_counts_even_if_the_pod_is_gone(make_pod) -> None:
    pod = make_pod().start(["bash", "-c", "echo done; exit 3"])
    assert pod.code() == 3
    following = Following(pod, "fails at once", None)
    assert following.follower.follow() == 3
    assert following.files[0].read_bytes() == b"done\n"


def test_a_record_that_appears_while_the_pod_vanishes_counts(make_pod, monkeypatch: pytest.MonkeyPatch) -> None:
    following = Following(make_pod(), "fails at once", None)

    def dead() -> str:
        (following.pod.path / "stdout").write_bytes(b"done\n")
        (following.pod.path / "exitcode").write_text("3\n")
        return "deleted: its pod is gone"

    monkeypatch.setattr(following.follower, "dead", dead)
    assert following.follower.follow() == 3
    assert following.files[0].read_bytes() == b"done\n"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)]
)
def test_a_signal_is_passed_on_and_decides_the_code(make_pod, number: int, code: int) -> None:
    name = signal.Signals(number).name.removeprefix("SIG")
    following = Following(make_pod(), "works")
    following.pod.start(["bash", "-c", f"trap 'echo got it; exit 0' {name}; echo ready; while :; do sleep 0.02; done"])
    following.later(lambda: following.send(number), b"ready")
    assert following.follower.follow() == code
    assert following.files[0].read_bytes() == b"ready\ngot it\n"


# As a Go test: after SIGQUIT it prints what all its goroutines do, and ends with 2. 5 MB, and slowly.
DUMPS = """
import os, signal, sys, time
def dump(number, frame):
    for number in range(500):
        os.write(2, b"goroutine %06d [running]:" % number + b"." * 9974 + b"\\n")
        time.sleep(0.004)
    os.write(2, b"the end\\n")
    os._exit(2)
signal.signal(signal.SIGQUIT, dump)
os.write(1, b"ready\\n")
time.sleep(1000)
"""
STARTERS = {
    "test.sh": '"$0" -c "$1"; exit 7',
    "a script that SIGQUIT ends": '"$0" -c "import subprocess, sys; subprocess.run(sys.argv[1:])" "$0" -c "$1"; exit 7',
    "a background job": '"$0" -c "$1" & wait; exit 7',
}


@pytest.mark.parametrize(
    ("mode", "starter"), [*(("works", starter) for starter in STARTERS), ("cut", "test.sh"), ("hangs", "test.sh")]
)
def test_the_goroutines_that_sigquit_asks_for_arrive_to_their_end(make_pod, mode: str, starter: str) -> None:
    following = Following(make_pod(), mode)
    following.pod.start(["bash", "-c", STARTERS[starter], sys.executable, DUMPS])
    following.later(lambda: following.send(signal.SIGQUIT), b"ready")
    assert following.follower.follow() == 131
    delivered = following.files[1].read_bytes()
    assert delivered == following.pod.read("stderr")
    assert delivered.count(b"goroutine") == 500 and b"the end\n" in delivered[-200:], delivered[-200:]


def test_what_ignores_sigquit_is_not_waited_for(make_pod) -> None:
    """A job of a script in the background ignores it."""
    following = Following(make_pod(), "works")
    following.pod.start(["bash", "-c", "sleep 1000 & exec sleep 1000"])
    began = time.monotonic()
    eventually(lambda: (following.pod.path / "started").exists(), "the start")
    following.send(signal.SIGQUIT)
    assert following.follower.follow() == 131 and following.pod.code() == 131
    assert time.monotonic() - began < 8


def test_a_second_signal_does_not_wait_for_the_goroutines(make_pod) -> None:
    following = Following(make_pod(), "works")
    following.pod.start(
        ["bash", "-c", STARTERS["a script that SIGQUIT ends"], sys.executable, DUMPS.replace("0.004", "1")]
    )
    following.later(lambda: following.send(signal.SIGQUIT), b"ready")
    begun = []

    def again() -> None:
        eventually(lambda: b"goroutine" in following.files[1].read_bytes(), "the first goroutine")
        begun.append(time.monotonic())
        following.send(signal.SIGINT)

    threading.Thread(target=again, daemon=True).start()
    assert following.follower.follow() == 131
    assert time.monotonic() - begun[0] < 2


def test_a_second_signal_does_not_wait_for_the_tests(make_pod) -> None:
    following = Following(make_pod(), "works")
    following.pod.start(["bash", "-c", "trap 'echo ignored' INT TERM; echo ready; while :; do sleep 0.02; done"])
    following.later(lambda: following.send(signal.SIGINT), b"ready")
    following.later(lambda: following.send(signal.SIGTERM), b"ignored")
    assert following.follower.follow() == 130
    assert following.pod.code() == 137  # and they are ended, whatever the API server does


def test_every_other_signal_is_passed_on_and_the_tests_decide(make_pod) -> None:
    following = Following(make_pod(), "works")
    passed = [*OTHERS, *OTHERS, signal.SIGRTMIN + 3]
    names = " ".join(name_of(number) for number in OTHERS)
    following.pod.start(
        ["bash", "-c", f"for name in {names}; do trap \"echo $name\" $name; done; trap 'exit 7' RTMIN+3; echo ready; "
         "while :; do sleep 0.01; done"]
    )  # fmt: skip

    def send() -> None:
        for count, number in enumerate(passed, 1):
            following.send(number)
            if number in OTHERS:
                eventually(lambda count=count: following.pod.read("stdout").count(b"\n") > count, f"{number}")

    following.later(send, b"ready")
    assert following.follower.follow() == 7
    assert sorted(following.files[0].read_text().split()[1:]) == sorted(names.split() * 2)


def test_a_signal_is_passed_on_although_the_api_server_does_not_answer(make_pod) -> None:
    following = Following(make_pod(), "fails at once")
    never = threading.Event()
    following.follower.api.find = lambda *_, **__: never.wait()
    following.pod.start(["bash", "-c", "trap 'echo got it; exit 0' QUIT; echo ready; while :; do sleep 0.02; done"])
    following.later(lambda: following.send(signal.SIGQUIT), b"ready")
    assert following.follower.follow() == 131
    assert following.files[0].read_bytes() == b"ready\ngot it\n"
    never.set()


def test_a_signal_that_the_run_directory_does_not_take_decides_the_code(make_pod) -> None:
    following = Following(make_pod().start(["bash", "-c", "echo ready; sleep 1"]), "works")
    shutil.rmtree(following.pod.path / "signals")
    following.later(lambda: following.send(signal.SIGTERM), b"ready")
    assert following.follower.follow() == 143


def test_a_signal_never_meets_a_lock_of_the_main_thread(make_pod) -> None:
    """As threading.Event would: its `set` in the handler waits for ever for what `wait` holds."""
    before = {number: signal.getsignal(number) for number in (*CAUGHT, *OTHERS)}
    following = Following(make_pod().start(["bash", "-c", "trap '' USR1; echo ready; sleep 3; exit 7"]), "works")
    following.follower.signals = signals = Signals()
    over = threading.Event()

    def storm() -> None:
        while not over.wait(0.0005):
            os.kill(os.getpid(), signal.SIGUSR1)

    sender = threading.Thread(target=storm, daemon=True)
    try:
        with signals.collecting():
            sender.start()
            code = following.follower.follow()
            over.set()
            sender.join()  # before its signals have another effect
        assert code == 7
    finally:
        over.set()
        sender.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_reader_that_leaves_ends_the_run(make_pod) -> None:
    following = Following(make_pod().start(["bash", "-c", "while :; do echo more; done"]), "works")
    reading, writing = os.pipe()
    following.follower.outlets[0].descriptor = writing
    os.close(reading)
    assert following.follower.follow() == 141


def test_a_full_disk_behind_stdout_is_said_and_is_no_success(make_pod, capfd) -> None:
    following = Following(make_pod().start(["bash", "-c", "echo one; sleep 0.3; echo two; echo err >&2"]), "works")
    following.follower.outlets[0].descriptor = os.open("/dev/full", os.O_WRONLY)
    assert following.follower.follow() == 2
    assert following.follower.reconnects == 0
    said = capfd.readouterr().err
    assert "stdout was not written whole: No space left on device" in said
    assert "not written whole" in following.pod.run.record["failure"]
    assert str(following.pod.path / "stdout") in said
    assert following.files[1].read_bytes() == b"err\n"


def test_tests_that_failed_have_their_own_code_on_a_full_disk_too(make_pod) -> None:
    following = Following(make_pod().start(["bash", "-c", "echo one; exit 42"]), "works")
    following.follower.outlets[0].descriptor = os.open("/dev/full", os.O_WRONLY)
    assert following.follower.follow() == 42


def test_the_last_of_many_window_sizes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a signal arrives while the handler of another one works."""
    sizes = [os.terminal_size((80, 24))]
    replace = Path.replace

    def interrupted(path: Path, target: Path) -> Path:
        if len(sizes) == 1:
            sizes.append(os.terminal_size((100, 40)))
            record_window(tmp_path)
        return replace(path, target)

    monkeypatch.setattr(os, "get_terminal_size", lambda _: sizes[-1])
    monkeypatch.setattr(Path, "replace", interrupted)
    record_window(tmp_path)
    assert (tmp_path / "window").read_text() == "40 100"
    assert [path.name for path in tmp_path.iterdir()] == ["window"]


def test_a_reader_that_does_not_read_does_not_keep_a_second_signal(make_pod) -> None:
    following = Following(make_pod().start(["bash", "-c", "echo ready; head -c 1000000 /dev/zero; exit 0"]), "works")
    reading, writing = os.pipe()  # takes 64 KiB, then nothing
    following.follower.outlets[0].descriptor = writing
    following.pod.code()
    for _ in range(2):
        threading.Timer(0.5, following.send, [signal.SIGTERM]).start()
    assert following.follower.follow() == 143
    os.close(reading)  # lets the writing thread end


def test_endings_are_told_apart() -> None:
    assert ending({"exitCode": 1, "reason": "Error"}) == "its container ended with 1 (Error) without a result"
