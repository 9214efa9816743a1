"""A verdict that cannot lie: what goes wrong while tests run changes neither their output nor their exit code, and what ends them is named."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable

import pytest
from support.e2e import CLUSTER, LIMIT, ROOT, Project, eventually, finish, seen

TICKS = 400  # of 20 ms and a little, each a line on stdout and one on stderr
TICKING = (f"--ticks={TICKS}", "--exit=42")
NODE = f"{CLUSTER}-control-plane"


@pytest.fixture(scope="module", autouse=True)
def running(project: Project) -> None:
    assert project.run("--exit=0").returncode == 0


def expect_all_ticks(result: subprocess.CompletedProcess[bytes], ticks: int = TICKS, code: int = 42) -> None:
    """Everything arrived, in order and once, and the code is the tests' own."""
    assert result.stdout == b"".join(b"tick %d\n" % number for number in range(1, ticks + 1))
    assert [line for line in result.stderr.splitlines() if line.startswith(b"err ")] == [
        b"err %d" % number for number in range(1, ticks + 1)
    ]
    assert result.returncode == code


def execs(wrapper: subprocess.Popen) -> list[int]:
    """The wrapper's `kubectl exec` processes."""
    found = subprocess.run(
        ["pgrep", "-P", str(wrapper.pid), "-f", "exec boulder-tests"], capture_output=True, text=True
    )
    return [int(pid) for pid in found.stdout.split()]


def test_fifty_cuts_of_the_exec_stream_change_nothing(stack: Project) -> None:
    chance = random.Random(os.urandom(4))
    child = stack.start("--ticks=2000", "--exit=42")
    seen(child, stack, b"tick 1\n")
    cuts = 0
    while cuts < 50 and child.poll() is None:
        time.sleep(chance.uniform(0.05, 0.6))
        if cuts % 2:  # the far end: the follower in the pod dies, kubectl ends with a code of its own
            cut = subprocess.run(["docker", "exec", NODE, "pkill", "-9", "-f", "pod/follow.py"]).returncode == 0
        else:  # the near end
            cut = bool(processes := execs(child))
            for process in processes:
                os.kill(process, signal.SIGKILL)
        cuts += cut
    assert cuts == 50
    expect_all_ticks(finish(child), 2000)
    # Not 50: a follower in the pod may be killed whose kubectl is gone already.
    assert stack.record()["reconnects"] >= 20


def restart_kubelet(project: Project) -> None:
    project.node("systemctl", "restart", "kubelet")


def kill_api_server(project: Project) -> None:
    project.node("pkill", "-9", "kube-apiserver")


def restart_dns_and_proxy(project: Project) -> None:
    project.kubectl(
        "--namespace=kube-system", "delete", "pod", "--selector=k8s-app in (kube-dns,kube-proxy)", "--wait=false"
    )


@pytest.mark.parametrize(
    "fault", [restart_kubelet, kill_api_server, restart_dns_and_proxy], ids=lambda fault: fault.__name__
)
def test_a_restarting_component_changes_nothing(stack: Project, fault: Callable[[Project], None]) -> None:
    child = stack.start(*TICKING)
    seen(child, stack, b"tick 20\n")
    fault(stack)
    expect_all_ticks(finish(child))


def test_every_kubectl_killed_changes_nothing(stack: Project) -> None:
    child = stack.start(*TICKING)
    seen(child, stack, b"tick 20\n")
    for _ in range(5):
        subprocess.run(["pkill", "-9", "-P", str(child.pid)])
        time.sleep(0.4)
    expect_all_ticks(finish(child))


def test_no_output_for_long_is_not_an_end(stack: Project) -> None:
    result = stack.run("--long-line=3", "--sleep=40", "--long-line=4", "--exit=42")
    assert (result.returncode, result.stdout) == (42, b"xxx\nsleeping\nxxxx\n")


def test_background_children_with_stdout_open_end_with_the_tests(stack: Project) -> None:
    result = stack.run("--background", "--long-line=2", "--exit=3")
    assert (result.returncode, result.stdout) == (3, b"xx\n")
    eventually(lambda: "sleep 1000" not in stack.node("ps", "-eo", "args"), "the end of what the tests left behind")


def test_a_deleted_pod_is_a_failure_that_is_named(stack: Project) -> None:
    child = stack.start("--ticks=100000")
    seen(child, stack, b"tick 20\n")
    stack.kubectl("delete", "pod", "boulder-tests", "--wait=false")
    result = finish(child)
    assert result.returncode == 137
    assert b"deleted" in result.stderr
    assert "exit_code" in stack.record() and "deleted" in stack.record()["failure"]


def test_a_pod_out_of_memory_is_a_failure_that_is_named(stack: Project) -> None:
    child = stack.start("--sleep=5", "--crowd=100", "--sleep=600")
    seen(child, stack, b"sleeping")
    pid = stack.node("pgrep", "-nf", "pod/supervisor.py").split()[0]
    groups = [line.split(":", 2) for line in stack.node("cat", f"/proc/{pid}/cgroup").splitlines()]
    path = next((path for _, names, path in groups if names in ("memory", "")), "")
    stack.node("bash", "-c", LIMIT_MEMORY, "bash", path)
    result = finish(child)
    assert (result.returncode, b"OOMKilled" in result.stderr) == (137, True), result.stderr


# A limit just above what the container uses (cgroup v1's file, and v2's; the kernel refuses what it cannot reclaim). Then a
# crowd of small processes needs more, and the kernel ends the largest one, which is the supervisor.
LIMIT_MEMORY = """
for file in /sys/fs/cgroup/memory$1/memory.limit_in_bytes /sys/fs/cgroup$1/memory.max; do
  [ ! -e $file ] || for size in 32M 24M 20M 18M 16M 14M 12M 11M 10M; do echo $size > $file || break; done
done 2>/dev/null
"""


def test_a_restarted_node_is_a_failure_and_the_next_run_works(stack: Project) -> None:
    child = stack.start("--ticks=100000")
    seen(child, stack, b"tick 20\n")
    subprocess.run(["docker", "restart", "--time=1", NODE], check=True, capture_output=True)
    result = finish(child)
    assert result.returncode in (2, 137), result.stderr
    assert b"the tests did not end" in result.stderr
    assert stack.run(*TICKING).returncode == 42


def test_a_stopped_node_is_a_failure_and_the_next_run_starts_it(stack: Project) -> None:
    child = stack.start("--ticks=100000")
    seen(child, stack, b"tick 20\n")
    subprocess.run(["docker", "stop", "--time=1", NODE], check=True, capture_output=True)
    result = finish(child)
    assert (result.returncode, b"node has stopped" in result.stderr) == (137, True), result.stderr
    assert stack.run("--exit=4").returncode == 4


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)]
)
def test_a_signal_reaches_the_tests_and_gives_its_code(stack: Project, number: signal.Signals, code: int) -> None:
    name = number.name.removeprefix("SIG")
    child = stack.start(f"--trap={name}")
    seen(child, stack, b"trapping")
    child.send_signal(number)
    result = finish(child)
    assert (result.returncode, result.stdout) == (code, b"trapping\ngot %s\n" % name.encode())
    nothing_left(stack)


def test_a_second_signal_ends_tests_that_ignore_the_first(stack: Project) -> None:
    child = stack.start("--ignore=")
    seen(child, stack, b"ignoring")
    child.send_signal(signal.SIGINT)
    time.sleep(2)
    assert child.poll() is None
    child.send_signal(signal.SIGTERM)
    result = finish(child)
    assert result.returncode == 130
    nothing_left(stack)


def test_a_second_signal_ends_it_within_2_seconds_although_the_node_is_paused(stack: Project) -> None:
    child = stack.start("--ignore=")
    seen(child, stack, b"ignoring")
    subprocess.run(["docker", "pause", NODE], check=True)
    try:
        child.send_signal(signal.SIGINT)
        time.sleep(8)  # long enough to have noticed that nobody answers
        assert child.poll() is None
        begun = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert child.wait(LIMIT) == 130
        assert time.monotonic() - begun < 2
    finally:
        subprocess.run(["docker", "unpause", NODE], check=True)
    expect_all_ticks(stack.run(*TICKING))
    nothing_left(stack)


def test_a_ci_system_that_cancels_finds_the_wrapper_gone_in_time(stack: Project) -> None:
    """SIGINT, 7.5 s later SIGTERM, 2.5 s later SIGKILL: tests that ignore the first two do not keep the wrapper."""
    child = stack.start("--ignore=")
    seen(child, stack, b"ignoring")
    child.send_signal(signal.SIGINT)
    time.sleep(7.5)
    child.send_signal(signal.SIGTERM)
    time.sleep(2.5)
    child.kill()  # does nothing to a process that has ended
    assert finish(child).returncode == 130
    nothing_left(stack)


def test_a_killed_wrapper_is_cleaned_up_by_the_next_command(stack: Project) -> None:
    child = stack.start("--ignore=")
    seen(child, stack, b"ignoring")
    child.kill()
    child.wait()
    result = stack.run(*TICKING)
    expect_all_ticks(result)
    nothing_left(stack)


def test_a_killed_wrapper_does_not_keep_boulder_down(stack: Project) -> None:
    assert stack.invoke("up").returncode == 0
    child = stack.start("--ignore=")
    seen(child, stack, b"ignoring")
    child.kill()
    child.wait()
    assert stack.run("--exit=0").returncode == 0
    assert stack.kubectl("get", "deployment", "boulder", "-o", "jsonpath={.spec.replicas}") == "1"
    stack.kubectl("delete", "deployment", "boulder")


def test_a_second_wrapper_is_told_who_runs(stack: Project) -> None:
    child = stack.start("--ticks=200", "--exit=42")
    seen(child, stack, b"tick 1\n")
    second = stack.run("--exit=0")
    assert second.returncode == 2
    assert f"process {child.pid}".encode() in second.stderr and b"--ticks=200" in second.stderr
    expect_all_ticks(finish(child), 200)


def test_output_that_nobody_reads_ends_the_run(stack: Project) -> None:
    child = stack.start("--ticks=100000")
    seen(child, stack, b"tick 5\n")
    child.stdout.close()
    assert child.wait(60) == 141
    child.stderr.close()
    nothing_left(stack)


def nothing_left(project: Project) -> None:
    selector = (
        "app.kubernetes.io/name=boulder,!pod-template-hash"  # the pod that waits for the next run has another name
    )
    eventually(
        lambda: not project.kubectl("get", "pods", f"--selector={selector}", "-o", "name"), "the end of the test pod"
    )
    eventually(lambda: not working(project), "the end of its processes")
    eventually(lambda: not of_ours(), "the end of what deletes the pod behind the wrapper")


def working(project: Project) -> list[str]:
    """The processes of runs on the node, but for the one that waits for the next run."""
    found = project.node("pgrep", "-af", "boulder-k8s/pod/", check=False).splitlines()
    waiting = [line for line in found if line.endswith(" standby")]
    return [line for line in found if line not in waiting] + waiting[1:]


def of_ours() -> list[str]:
    """The processes on this machine that work on the cluster."""
    shown = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True).stdout
    return [line for line in shown.splitlines() if f"{ROOT}/.venv" in line and f"kind-{CLUSTER}" in line]


def test_a_dependency_that_crashes_is_named_and_the_tests_decide(stack: Project) -> None:
    """Under Compose it stays down; here the kubelet starts it again."""
    child = stack.start("--sleep=8", "--exit=3")
    seen(child, stack, b"sleeping")
    stack.node("bash", "-c", KILL_BREDIS_1)
    result = finish(child)
    assert result.returncode == 3
    lines = [line for line in result.stderr.decode().splitlines() if "bredis-1 ended" in line]
    assert len(lines) == 1 and "exit code 137" in lines[0], result.stderr
    (found,) = stack.record()["restarts"]
    assert (found["service"], found["exit_code"], bool(found["reason"])) == ("bredis-1", 137, True)
    assert found["began"] < found["ended"]
    assert b"bredis-1 ended" in stack.invoke("status").stdout


KILL_BREDIS_1 = """
for pid in $(pgrep redis-server); do
  if [ "$(cat /proc/$pid/root/etc/hostname)" = bredis-1-0 ]; then kill -9 "$pid"; exit; fi
done
exit 1
"""
