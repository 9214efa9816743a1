"""The pod that is started ahead of the next run is as fresh as one that starts now, or is not used."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import pytest
from support.e2e import CLUSTER, Project, eventually

LABEL = "app.kubernetes.io/name"
# What Consul meets that checks a Boulder which has just ended: were it not told so, it would hang and miss the next Boulder.
NOBODY = """python3 -c '
import socket
try:
    socket.create_connection(("10.244.255.250", 9395), 8)
except OSError as error:
    print(error.strerror or error)
'"""


def waiting(stack: Project) -> bool:
    shown = stack.kubectl(
        "get", "pods", f"--selector={LABEL}=boulder-standby", "-o", "jsonpath={.items[*].status.phase}"
    )
    return shown == "Running"


@pytest.fixture
def ahead(stack: Project) -> Project:
    """The project, and a pod that waits for the next run with test/config."""
    assert stack.run("--exit=0").returncode == 0
    eventually(lambda: waiting(stack), "the pod that waits")
    return stack


def inside(stack: Project, script: str, **env: str) -> str:
    """What a script says in the next run's pod."""
    result = stack.invoke("run", "--", "bash", "-c", script, **env)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout.decode()


def test_a_run_takes_it_and_finds_nothing_of_an_earlier_one(ahead: Project) -> None:
    inside(ahead, "for directory in /tmp /var/log; do echo left > $directory/left; done")
    assert ahead.record()["standby"] is True
    eventually(lambda: waiting(ahead), "the next one")
    shown = inside(ahead, "ls /tmp/left /var/log/left 2>&1 | grep -c 'No such file'; hostname; id -u")
    assert ahead.record()["standby"] is True
    assert shown.split() == ["2", "boulder-tests", "0"]
    assert inside(ahead, NOBODY) == "No route to host\n"
    # Boulder's own address, from inside and through its Service: Consul finds the pod as it finds one that has just started.
    assert ahead.run("--integration").returncode == 0


def test_the_run_after_it_need_not_wait_until_it_is_there(ahead: Project) -> None:
    for code in (3, 4, 5):
        assert ahead.run(f"--exit={code}").returncode == code
        assert ahead.record()["standby"] is True


def test_no_service_leads_to_it_while_it_waits(ahead: Project) -> None:
    assert ahead.kubectl("get", "endpoints", "boulder", "-o", "jsonpath={.subsets}") == ""
    assert ahead.invoke("up").returncode == 0
    shown = ahead.kubectl("get", "endpoints", "boulder", "-o", "jsonpath={.subsets[*].addresses[*].targetRef.name}")
    assert shown.startswith("boulder-") and "boulder-tests" not in shown and " " not in shown
    assert b"tests" not in ahead.invoke("status").stdout
    ahead.kubectl("delete", "deployment", "boulder")


def configuration(stack: Project) -> None:
    (stack.checkout / "test/config/changed.json").write_text("{}\n")


def environment(stack: Project) -> None:
    stack.environment["USE_VITESS"] = "true"


def tokens(stack: Project) -> None:
    """`git clean -fdx` and generate.sh make them anew, and a mount stays with the old directory."""
    path = stack.checkout / "test/certs/.softhsm-tokens"
    moved = path.with_name("moved")
    path.rename(moved)
    shutil.copytree(moved, path)
    shutil.rmtree(moved)
    (path / "changed").touch()


def config_directory(stack: Project) -> None:
    """Another branch and back: git removes the directory that the configuration is mounted on."""
    path = stack.checkout / "test/config"
    shutil.rmtree(path)
    subprocess.run(["git", "-C", str(stack.checkout), "checkout", "-q", "test/config"], check=True)


def pod(stack: Project) -> None:
    stack.kubectl("delete", "pod", "boulder-tests")


def its_process(stack: Project) -> None:
    stack.node("pkill", "-9", "-f", "pod/supervisor.py")


def node(stack: Project) -> None:
    subprocess.run(["docker", "restart", "--time=1", f"{CLUSTER}-control-plane"], check=True, capture_output=True)


CHANGES = {
    configuration: ("ls test/config/changed.json", "test/config/changed.json\n"),
    environment: ("echo $USE_VITESS", "true\n"),
    tokens: ("ls /var/lib/softhsm/tokens/changed", "/var/lib/softhsm/tokens/changed\n"),
    config_directory: ("grep -c ' /boulder/test/config ' /proc/mounts", "1\n"),
    pod: ("echo well", "well\n"),
    its_process: ("echo well", "well\n"),
    node: (NOBODY, "No route to host\n"),
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_changed_since_it_was_started_is_not_missed(ahead: Project, change: Callable[[Project], None]) -> None:
    script, expected = CHANGES[change]
    try:
        change(ahead)
        assert inside(ahead, script) == expected
    finally:
        ahead.environment.pop("USE_VITESS", None)
    assert ahead.record()["standby"] is False
