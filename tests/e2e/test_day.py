"""Between two test runs: README's table as it is typed in the checkout, an edit that is seen, services one by one, ports and SQL."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request

import pytest
from support.e2e import LIMIT, ROOT, Project, answers, directory, eventually, finish
from support.readme import commands

# What goes on until Ctrl-C, and what it says before.
GOES_ON = {
    "up": ("stderr", b"Ctrl-C stops all services"),
    "logs -f --since 10m bconsul": ("stdout", b"bconsul-1"),
    "run --use-aliases -e FAKE_DNS=172.17.0.1 --service-ports boulder ./start.py": ("stdout", b"servers running"),
}
# What the miniature cannot do: it has no Go module, and no registry may be in reach.
OTHER_CODES = {"run --use-aliases boulder go test ./va": 1, "pull": None, "build boulder": None}


def typed(project: Project, *words: str, stdin=subprocess.DEVNULL) -> subprocess.Popen:
    """A command as a user types it in the checkout, whose links lead here."""
    environment = {key: value for key, value in project.env().items() if key != "BOULDER_DIR"}
    return project.background(["./ck8s.sh", *words], cwd=project.checkout, env=environment, stdin=stdin)


@pytest.fixture
def linked(stack: Project) -> Project:
    """The stack, with ./ck8s.sh in its checkout."""
    link = subprocess.run([ROOT / "ck8s.sh", "link"], cwd=stack.checkout, env=stack.env(), capture_output=True)
    assert link.returncode == 0, link.stderr
    return stack


def git_status(project: Project) -> bytes:
    return subprocess.run(["git", "-C", project.checkout, "status", "--porcelain"], capture_output=True).stdout


def test_every_row_of_readmes_table_can_be_typed(linked: Project) -> None:
    assert git_status(linked) == b""
    for words in commands():
        row = " ".join(words)
        child = typed(linked, *words)
        if row in GOES_ON:
            stream, wanted = GOES_ON[row]
            text = b""
            while wanted not in text and (data := os.read(getattr(child, stream).fileno(), 4096)):
                text += data
            assert wanted in text, (row, text, child.communicate(timeout=LIMIT))
            child.send_signal(signal.SIGINT)
        result = finish(child)
        code = OTHER_CODES.get(row, 130 if row in GOES_ON else 0)
        assert code in (None, result.returncode), (row, result.returncode, result.stdout, result.stderr)
        assert b"Traceback" not in result.stderr, (row, result.stderr)
    assert git_status(linked) == b""


def test_an_edit_is_seen_after_up_and_nothing_is_started_again_without_one(linked: Project) -> None:
    assert finish(typed(linked, "up", "-d")).returncode == 0
    result = finish(typed(linked, "up", "-d"))
    assert (result.returncode, b"already up since" in result.stderr) == (0, True)
    start = linked.checkout / "start.py"
    start.write_text(start.read_text().replace('"newNonce"', '"edited": True, "newNonce"'))
    result = finish(typed(linked, "up", "-d"))
    assert (result.returncode, b": start.py; starting it again" in result.stderr) == (0, True)
    assert directory(linked)["edited"]
    start.write_text(start.read_text().replace('"edited"', '"again"'))
    begun = time.monotonic()
    assert finish(typed(linked, "restart", "boulder")).returncode == 0
    assert directory(linked)["again"]
    # `docker compose restart boulder` waits 10 s for rsyslogd to end, and then for Boulder.
    assert time.monotonic() - begun < 12


def test_databases_stay_when_services_are_stopped_and_restarted_and_rm_makes_them_anew(linked: Project) -> None:
    def sql(text: str) -> bytes:
        result = linked.invoke("sql", "-N", "-e", text)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    assert linked.invoke("up").returncode == 0
    sql("CREATE TABLE mine (id INT); INSERT INTO mine VALUES (42)")
    assert linked.invoke("restart", "bmariadb").returncode == 0
    assert sql("SELECT id FROM mine") == b"42"
    assert linked.invoke("stop", "bmariadb", "bredis_1").returncode == 0
    assert linked.kubectl("get", "pods", "-o", "name").count("bmariadb") == 0
    result = linked.invoke("exec", "bmariadb", "true")
    assert (result.returncode, b"bmariadb does not run" in result.stderr) == (2, True)
    assert linked.invoke("start").returncode == 0
    assert sql("SELECT id FROM mine") == b"42"
    assert linked.invoke("stop").returncode == 0
    assert linked.run("--exit=7").returncode == 7  # starts what tests need
    assert linked.invoke("rm", "bmariadb").returncode == 0
    assert linked.invoke("up").returncode == 0
    assert b"mine" not in sql("SHOW TABLES")


def test_port_forward_goes_on_when_the_pod_is_replaced(linked: Project) -> None:
    assert linked.invoke("up").returncode == 0
    child = linked.start_invoke("port-forward", "bconsul")
    try:
        line = child.stderr.readline()
        url = re.search(rb"http://localhost:(\d+)/ui/", line)
        assert url, line
        leader = f"http://localhost:{int(url[1])}/v1/status/leader"

        def consul() -> bool:
            try:
                return b"10.77.77.10" in urllib.request.urlopen(leader, timeout=5).read()
            except OSError:
                return False

        eventually(consul, "Consul on this machine")
        shown = json.loads(linked.invoke("status", "--json").stdout)
        opened = {link["service"]: link for link in shown["links"]}
        assert (opened["bconsul"]["command"], opened["bconsul"]["url"].encode()) == ("", url[0])
        assert opened["bjaeger"]["command"] == "invoke port-forward bjaeger"
        assert linked.invoke("restart", "bconsul").returncode == 0
        eventually(consul, "the next Consul on this machine")
    finally:
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=60)
    assert child.returncode == 130


def test_a_debuggers_port_in_a_run_is_reached(linked: Project) -> None:
    listen = "import socket; s = socket.create_server(('127.0.0.1', 2345)); s.accept()[0].sendall(b'dlv')"
    run = linked.start_invoke("run", "python3", "-c", listen)
    eventually(lambda: "boulder-tests" in linked.kubectl("get", "pods", "-o", "name"), "the run's pod")
    child = linked.start_invoke("port-forward", "boulder", "2345")
    try:
        said = b""
        while not (found := re.search(rb"localhost:(\d+)", said)):
            assert (line := child.stderr.readline()), said
            said += line
        port = int(found[1])

        def greets() -> bool:
            try:
                with socket_to(port) as debugger:
                    return debugger.recv(3) == b"dlv"
            except OSError:
                return False

        eventually(greets, "the debugger")
    finally:
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=60)
    assert finish(run).returncode == 0


def socket_to(port: int):
    import socket

    return socket.create_connection(("127.0.0.1", port), timeout=5)


def test_logs_of_boulder_while_tests_run_are_theirs(linked: Project) -> None:
    assert linked.invoke("up").returncode == 0
    run = linked.start_invoke("run", "sh", "-c", "echo said by a run; sleep 20")
    eventually(lambda: b"said by a run" in linked.invoke("logs", "boulder").stdout, "what the run says")
    assert finish(run).returncode == 0
    eventually(lambda: answers(linked), "Boulder again")


def test_exec_while_boulder_starts_again_waits_for_it(linked: Project) -> None:
    assert linked.invoke("up").returncode == 0
    child = typed(linked, "restart", "boulder")
    eventually(lambda: not answers(linked), "Boulder's end")
    result = finish(typed(linked, "exec", "-T", "boulder", "echo", "there"))
    assert (result.returncode, result.stdout) == (0, b"there\n"), result.stderr
    assert finish(child).returncode == 0
