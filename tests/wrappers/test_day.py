"""Between two test runs, on a machine of fakes: what is typed without dashes, and services that are started again."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.machine import Machine, told


class Directory(BaseHTTPRequestHandler):
    """Boulder, as the host sees it."""

    def do_GET(self) -> None:  # noqa: N802
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def up(machine: Machine) -> Iterator[Machine]:
    """A cluster on which Boulder is up, from a checkout that is a repository."""
    for words in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", "-C", machine.checkout, *words], check=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), Directory) as server:
        machine.port = server.server_port
    assert machine.run("-h").returncode == 0  # makes the cluster, which needs the port
    with ThreadingHTTPServer(("127.0.0.1", machine.port), Directory) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        result = machine.invoke("up")
        assert (result.returncode, "Boulder is up: http" in result.stderr) == (0, True), result.stderr
        yield machine
        server.shutdown()


def pods(machine: Machine) -> dict[str, str]:
    """The uids of the workloads' pods, by service."""
    found = [
        pod["metadata"] for pod in machine.api.store.list("Pod", "boulder") if "ownerReferences" in pod["metadata"]
    ]
    return {item["labels"]["app.kubernetes.io/name"]: item["uid"] for item in found}


def anew(machine: Machine, before: dict[str, str]) -> set[str]:
    return {name for name, uid in pods(machine).items() if before.get(name) != uid}


def test_up_starts_boulder_again_if_the_checkout_has_changed_and_says_so(up: Machine) -> None:
    before = pods(up)
    result = up.invoke("up")
    assert (result.returncode, anew(up, before)) == (0, set())
    assert "Boulder is already up since " in result.stderr
    (up.checkout / "start.py").write_text("# changed\n")
    result = up.invoke("up")
    assert (result.returncode, anew(up, before)) == (0, {"boulder"})
    assert ": start.py; starting it again" in result.stderr and "Boulder is up: http" in result.stderr


def test_up_of_some_services_starts_them_and_what_they_need_alone(machine: Machine) -> None:
    result = machine.run("up", "-d", "bproxysql", wrapper="ck8s.sh")
    assert (result.returncode, set(pods(machine))) == (0, {"bproxysql", "bmariadb"}), result.stderr
    assert "boulder-k8s: bmariadb, bproxysql are up" in result.stderr
    before = pods(machine)
    assert machine.invoke("stop", "bmariadb").returncode == 0
    result = machine.invoke("up", "bconsul")  # leaves alone what is stopped, and what runs
    assert (result.returncode, set(pods(machine))) == (0, {"bproxysql", "bconsul"}), result.stderr
    assert machine.invoke("up", "bmariadb").returncode == 0
    assert anew(machine, before) == {"bconsul", "bmariadb"}
    assert machine.run("-h").returncode == 0  # a run starts all
    assert {"bredis-1", "bredis-2", "bvitess"} <= set(pods(machine))


@pytest.mark.parametrize(
    ("words", "message", "advice"),
    [
        (["up", "bmariabd"], "There is no service bmariabd.", "bmariadb"),
        (["up", "bsetup"], "bsetup does not go on running in this checkout.", "`invoke certificates`"),
        (["up", "--watch", "bmariadb"], "--watch is about Boulder, not bmariadb.", "Leave the names out"),
        (["up", "--anew", "bmariadb"], "--anew is about Boulder, not bmariadb.", "Leave the names out"),
    ],
)
def test_up_of_what_does_not_go_on_is_two_lines(machine: Machine, words, message, advice) -> None:
    result = machine.invoke(*words)
    lines = told(result)
    assert (result.returncode, message in lines[-2], advice in lines[-1]) == (2, True, True), result.stderr


def test_what_up_of_some_services_refuses_is_done_as_its_advice_says(machine: Machine) -> None:
    assert machine.invoke("up", "bconsul").returncode == 0
    for words in (["--anew", "bconsul"], ["bsetup"]):
        told = machine.invoke("up", *words).stderr.splitlines()[-1]
        (command, *_) = re.findall(r"`invoke ([^`]*)`", told)
        before = pods(machine)
        assert (command.split()[0], machine.invoke(*command.split()).returncode) in {
            ("restart", 0),
            ("certificates", 0),
        }
        assert anew(machine, before) == ({"bconsul"} if "bconsul" in words else set())


def test_restart_stop_and_start(up: Machine) -> None:
    before = pods(up)
    assert up.invoke("restart", "bconsul").returncode == 0
    assert anew(up, before) == {"bconsul"}
    assert up.invoke("restart", "boulder").returncode == 0
    assert anew(up, before) == {"bconsul", "boulder"}
    assert up.invoke("stop", "bredis_1", "boulder").returncode == 0
    assert before.keys() - pods(up).keys() == {"bredis-1", "boulder"}
    assert up.run("-h").returncode == 0  # as `docker compose run`: it starts what Boulder depends on
    assert before.keys() - pods(up).keys() == {"boulder"}
    assert up.invoke("start").returncode == 0
    assert pods(up).keys() == before.keys()


def test_a_restart_keeps_what_up_was_told(up: Machine) -> None:
    assert up.invoke("up", "--next", "--fake-dns", "10.77.0.80").returncode == 0
    assert up.invoke("restart", "boulder").returncode == 0
    (container,) = up.api.find("Deployment", "boulder")["spec"]["template"]["spec"]["containers"]
    environment = {item["name"]: item.get("value") for item in container["env"]}
    assert environment["BOULDER_CONFIG_DIR"] == "test/config-next"
    assert environment["FAKE_DNS"] == "64.112.117.1"


def test_words_need_no_dashes(machine: Machine) -> None:
    def command() -> list[str]:
        return json.loads((machine.project / ".runs/latest/command.json").read_text())["commands"][-1]

    assert machine.invoke("run", "go", "version").returncode == 0
    assert command() == ["test/entrypoint.sh", "go", "version"]
    assert machine.invoke("run", "--next", "sh", "-c", "--next", "--", "x").returncode == 0
    assert command() == ["test/entrypoint.sh", "sh", "-c", "--next", "--", "x"]
    assert machine.invoke("test", "--unit", "-p", "./va").returncode == 0
    assert command() == ["test/entrypoint.sh", "./test.sh", "--unit", "-p", "./va"]
    assert machine.invoke("test", "-p", "./va", "-i").returncode == 0
    assert command() == ["test/entrypoint.sh", "./test.sh", "-p", "./va", "-i"]
    assert machine.invoke("test", "--args", "--unit", "--", "-p", "./va").returncode == 0
    assert command() == ["test/entrypoint.sh", "./test.sh", "--unit", "-p", "./va"]

    machine.invoke("sql", "-e", "show tables")
    assert machine.calls("kubectl")[-1][-4:] == ["-D", "boulder_sa", "-e", "show tables"]
    assert "Usage:" in machine.invoke("sql", "--help").stdout


@pytest.mark.parametrize(
    ("words", "message", "advice"),
    [
        (["logs", "bconsull"], "There is no service bconsull.", "the nearest first: bconsul,"),
        (["restart", "bouldr"], "There is no service bouldr.", "the nearest first: boulder,"),
        (["exec", "bconsull", "ls"], "There is no service bconsull.", "the nearest first: bconsul,"),
        (["logs", "bconsul", "--folow"], "logs has no flag --folow.", "Did you mean `--follow`?"),
        (["rm"], "rm needs the name of a service.", "`invoke rm bmariadb`"),
        (["exec", "--usr", "x", "bconsul", "ls"], "exec has no flag --usr.", "Did you mean `--user`?"),
        (["shell", "--servic", "bconsul"], "shell has no flag --servic.", "Did you mean `--service`?"),
        (["run", "--nxet", "ls"], "run has no flag --nxet.", "Did you mean `--next`?"),
        (["images", "--pull"], "images has no flag --pull.", "`invoke --help images`"),
        (["down", "bconsul"], "down takes no word such as bconsul.", "`invoke --help down`"),
        (["up", "bouldr"], "There is no service bouldr.", "the nearest first: boulder,"),
        (["up", "--fresh", "bmariadbb"], "There is no service bmariadbb.", "the nearest first: bmariadb,"),
    ],
)
def test_what_is_wrong_is_two_lines_with_what_may_be_meant(machine: Machine, words, message, advice) -> None:
    machine.run("-h")
    result = machine.invoke(*words)
    lines = told(result)
    assert result.returncode == 2 and len(lines) == 2, result.stderr
    assert message in lines[0] and advice in lines[1]
