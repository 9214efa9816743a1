"""`invoke logs` on a real cluster: each line once, in order, whatever becomes of the container that says it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path

from support.e2e import ROOT, Project, eventually

BOULDER = "--selector=app.kubernetes.io/name=boulder"


def say(project: Project, *numbers: int) -> None:
    """Lets Boulder's container write lines to its log."""
    text = "".join(f"line {number}\n" for number in numbers)
    eventually(lambda: attempt(project, text), "a container to write to", 90)


def attempt(project: Project, text: str) -> bool:
    words = ["exec", "deployment/boulder", "--", "sh", "-c", f"printf '{text}' > /proc/1/fd/1"]
    try:
        project.kubectl(*words)
    except subprocess.CalledProcessError:
        return False
    return True


def lines(text: bytes) -> list[int]:
    return [int(number) for number in re.findall(rb"^boulder-1 +\| line (\d+)$", text, re.MULTILINE)]


def children(pid: int) -> list[int]:
    return [
        int(word) for task in Path(f"/proc/{pid}/task").iterdir() for word in (task / "children").read_text().split()
    ]


def restart_container(project: Project) -> None:
    path = "jsonpath={.items[0].status.containerStatuses[0].containerID}"
    container = project.kubectl("get", "pods", BOULDER, "-o", path).removeprefix("containerd://")
    project.node("ctr", "--namespace=k8s.io", "tasks", "kill", "--signal=SIGKILL", container)


def test_follow_goes_on_when_the_container_restarts_and_when_its_pod_is_replaced(stack: Project) -> None:
    assert stack.invoke("up").returncode == 0
    stack.kubectl("delete", "pod", BOULDER)  # a log of its own, whatever ran before
    say(stack, *range(3))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(
            [ROOT / ".venv/bin/invoke", "logs", "--follow", "--since", "1m", "--", "boulder", "bconsul"],
            env=stack.env(),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )

        def printed() -> bytes:
            out.seek(0)
            return out.read()

        try:
            eventually(lambda: lines(printed()) == [0, 1, 2], "the lines from before")
            say(stack, *range(3, 6))
            restart_container(stack)
            say(stack, *range(6, 9))
            eventually(lambda: lines(printed()) == list(range(9)), "the lines after the restart")
            assert b"boulder-1 exited with code 137\n" in printed()

            def before_the_restart() -> list[int]:
                result = stack.invoke("logs", "--previous", "--", "boulder")
                print(result)  # pytest shows it when the test fails
                return lines(result.stdout)

            eventually(lambda: before_the_restart() == list(range(6)), "the first run's lines")
            stack.kubectl("delete", "pod", BOULDER)
            say(stack, *range(9, 12))
            eventually(lambda: lines(printed()) == list(range(12)), "the lines of the new pod")
            # The stream itself is cut: lines before, during and after come once.
            for stream in children(child.pid):
                os.kill(stream, signal.SIGKILL)
            say(stack, *range(12, 15))
            eventually(lambda: lines(printed()) == list(range(15)), "the lines after a cut")
        finally:
            child.send_signal(signal.SIGINT)
            assert child.wait(30) == 130
            err.seek(0)
            print(err.read().decode(), printed().decode()[-3000:])
        assert b"\x1b" not in printed()


def test_logs_are_compose_like_in_the_order_of_time_and_as_many_as_asked_for(stack: Project) -> None:
    result = stack.invoke("logs", "--timestamps", "--", "bconsul", "bredis_1")
    assert result.returncode == 0, result.stderr
    shown = result.stdout.decode(errors="replace").splitlines()
    assert {line.split("|")[0] for line in shown} == {"bconsul-1   ", "bredis-1-1  "}
    times = [line.split("| ", 1)[1].split(" ")[0] for line in shown]
    assert times == sorted(times)
    tail = stack.invoke("logs", "--tail", "2", "--", "bconsul", "bredis_1").stdout.decode(errors="replace").splitlines()
    assert sorted(line.split("|")[0] for line in tail) == ["bconsul-1   "] * 2 + ["bredis-1-1  "] * 2
    assert stack.invoke("logs", "--since", "2099-01-01").stdout == b""
    assert stack.invoke("logs", "--services", "nonsense").returncode == 2
