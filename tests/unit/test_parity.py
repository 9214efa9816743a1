"""Parity's own judgement: what counts as a difference, and what a report says of it."""

from __future__ import annotations

import json
import os
import socket
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.programs import Programs

from boulder_k8s.host.settings import ROOT
from boulder_k8s.manifests import differences
from boulder_k8s.manifests.checkout import Checkout
from boulder_k8s.manifests.differences import Difference, Intended
from boulder_k8s.parity import command, dependencies, in_container, orchestrators, probe, results, terminal, times
from boulder_k8s.parity.report import Part, Report
from boulder_k8s.parity.results import Outcome

VERBOSE = """\
\x1b[34m\x1b[1mRunning Unit Tests\x1b[0m
=== RUN   TestA
--- PASS: TestA (0.00s)
    --- SKIP: TestA/sub (0.00s)
--- FAIL: TestB (0.10s)
FAIL
FAIL\tgithub.com/letsencrypt/boulder/va\t0.123s
ok  \tgithub.com/letsencrypt/boulder/sa\t(cached)
?   \tgithub.com/letsencrypt/boulder/test\t[no test files]
FAIL\tgithub.com/letsencrypt/boulder/ra [build failed]
Starting service boulder-ca-1
Traceback (most recent call last):
  File "/boulder/test/v2_integration.py", line 12, in test_wildcard
    raise Exception()
\x1b[31mFAILURE\x1b[0m while running \x1b[31munit\x1b[0m
"""
VA = "github.com/letsencrypt/boulder/va"


def test_what_go_and_python_print_is_understood() -> None:
    outcome = results.parse(VERBOSE, Outcome(1, 2.0))
    assert outcome.tests == {
        VA: "failed",
        f"{VA} TestA": "passed",
        f"{VA} TestA/sub": "skipped",
        f"{VA} TestB": "failed",
        "github.com/letsencrypt/boulder/sa": "passed",
        "github.com/letsencrypt/boulder/test": "no tests",
        "github.com/letsencrypt/boulder/ra": "failed to build",
        "python test_wildcard": "failed",
    }
    assert outcome.markers == {"Unit Tests", "Starting service boulder-ca-1", "FAILURE"}
    assert outcome.cached == 1


@pytest.mark.parametrize(
    ("planted", "aspect"),
    [
        ("--- FAIL: TestA (0.00s)", f"{VA} TestA"),
        ("--- SKIP: TestA (0.00s)", f"{VA} TestA"),
        ("", f"{VA} TestA"),
    ],
)
def test_a_test_that_fails_is_skipped_or_missing_on_one_side_is_found(planted: str, aspect: str) -> None:
    one = results.parse(VERBOSE, Outcome(1, 2.0))
    other = results.parse(VERBOSE.replace("--- PASS: TestA (0.00s)", planted), Outcome(1, 9.0))
    assert [item.aspect for item in results.compare(one, other)] == [aspect]
    assert results.compare(one, one) == []


def test_a_dependency_that_was_started_again_is_a_difference() -> None:
    one = Outcome(0, 1.0)
    other = Outcome(0, 1.0, restarts={"bredis-1": "exit code 137"})
    (found,) = results.compare(one, other)
    assert (found.subject, found.aspect, found.compose) == ("restarted", "bredis-1", "not restarted")
    assert found.kubernetes == "exit code 137"


def test_an_exit_code_and_a_marker_are_found() -> None:
    one = results.parse("SUCCESS\n", Outcome(0, 1.0))
    other = results.parse("", Outcome(1, 1.0))
    assert [(item.aspect, item.compose, item.kubernetes) for item in results.compare(one, other)] == [
        ("exit code", "0", "1"),
        ("SUCCESS", "seen", "not run"),
    ]


# Boulder's own output, shortened; the seconds are those in which the lines came.
TIMED = [
    (3.0, "Connected to boulder-mariadb:3306"),
    (3.1, "Connected to boulder-proxysql:6033"),
    (4.0, "\x1b[34m\x1b[1mBoulder Test Suite CLI\x1b[0m"),
    (4.5, "\x1b[34m\x1b[1mRunning Unit Tests\x1b[0m"),
    (6.0, "--- PASS: TestLimiter (1.10s)"),
    (6.1, "ok  \tgithub.com/letsencrypt/boulder/ratelimits\t1.606s"),
    (6.2, "ok  \tgithub.com/letsencrypt/boulder/sa\t(cached)"),
    (7.0, "\x1b[34m\x1b[1mRunning Integration Tests\x1b[0m"),
    (7.5, "GOBIN=/boulder/bin go install -mod=vendor  ./..."),
    (12.0, "chall-test-srv - 2026/11/25 17:31:18 Creating HTTP-01 challenge server on 64.112.117.122:80"),
    (12.1, "chall-test-srv - 2026/11/25 17:31:18 Creating TCP and UDP DNS server on :8053"),
    (90.0, "=== RUN   TestNewAccount"),
    (91.0, "Connected to what a test has started"),
    (100.0, "\x1b[32mSUCCESS\x1b[0m"),
]


def test_the_seconds_of_every_phase_package_and_test_are_read() -> None:
    integration = "phase Integration Tests"
    package = "github.com/letsencrypt/boulder/ratelimits"
    assert times.taken(TIMED, 101.0) == {
        "whole run": 101.0,
        "phase generate.sh and start of the container": 3.0,
        "phase entrypoint.sh": 1.0,
        "phase settings": 0.5,
        "phase Unit Tests": 2.5,
        integration: 93.0,
        f"{integration}: build": 4.5,
        f"{integration}: start of the services, Python's tests": 78.0,
        f"{integration}: Go's tests": 10.0,
        "phase end of the container": 1.0,
        f"package {package}": 1.606,
        f"test {package} TestLimiter": 1.1,
    }


@pytest.mark.parametrize(
    ("compose", "kubernetes", "side"),
    [
        (1.6, 51.6, "Kubernetes"),
        (51.6, 1.6, "Compose"),
        (0.1, 2.1, None),  # not more than 2 s
        (0.1, 2.2, "Kubernetes"),
        (30.0, 60.0, None),  # not more than twice
        (30.0, 60.1, "Kubernetes"),
        (107.0, 83.0, None),
    ],
)
def test_a_time_counts_if_it_is_more_than_twice_and_2_s_longer(
    compose: float, kubernetes: float, side: str | None
) -> None:
    assert times.slower(compose, kubernetes) == side


def test_a_slow_package_is_found_and_one_that_is_slow_on_the_other_side_later_is_flaky() -> None:
    fast = Outcome(0, 9.0, times={"package ratelimits": 1.6, "package va": 7.0})
    slow = Outcome(0, 60.0, times={"package ratelimits": 51.6, "package va": 7.5})
    here, there = results.compare(fast, slow), results.compare(slow, fast)
    assert [(item.subject, item.aspect, item.compose, item.kubernetes) for item in here] == [
        ("slower under Kubernetes", "package ratelimits", "1.6 s", "51.6 s")
    ]
    assert differences.partition(here, differences.read_intended()) == (here, [])
    assert results.flaky(here, [here]) == []
    assert results.flaky(here, [there]) == here


def test_a_temporary_directory_in_the_name_of_a_test_is_no_difference() -> None:
    line = "    --- PASS: TestTLSConfigLoad//tmp/TestTLSConfigLoad{0}/001/a.pem_/tmp/TestTLSConfigLoad{0}/001/b.pem (0.00s)\nok  \ta/b\t1.0s\n"
    one, other = (results.parse(line.format(number), Outcome(0, 1.0)) for number in (2807587825, 3778595128))
    assert results.compare(one, other) == []
    (name,) = set(one.tests) - {"a/b"}
    assert name == "a/b TestTLSConfigLoad//tmp/TestTLSConfigLoad*/001/a.pem_/tmp/TestTLSConfigLoad*/001/b.pem"


class Wrapper:
    """An orchestrator whose test.sh is a small script on this machine; its package takes each of `delays` in turn.

    A tenth of that, so that the test is short.
    """

    checkout = Checkout(ROOT)
    environ = None

    def __init__(self, name: str, delays: list[float]) -> None:
        self.name, self.delays, self.calls = name, delays, []

    def restarts(self) -> list[dict]:
        return []

    def tests(self, arguments: list[str]) -> list[str]:
        if not arguments:
            return ["sh"]
        self.calls.append(arguments)
        delay = 0.0 if arguments == ["--help"] else self.delays.pop(0)
        script = "echo Boulder Test Suite CLI; echo Running Unit Tests; sleep $1; printf 'ok  \\ta/b\\t%ss\\n' $0; echo SUCCESS"
        return ["sh", "-c", script, f"{delay:.3f}", f"{delay / 10}"]


def test_a_package_that_is_really_slow_on_one_side_is_a_difference_and_one_that_is_slow_once_is_flaky(tmp_path) -> None:
    fast = Wrapper("Compose", [0.0, 0.0])
    part = command.results_part([fast, Wrapper("Kubernetes", [2.3, 2.3])], ["--unit"], 1, tmp_path, [])
    assert [(item.subject, item.aspect) for item in part.different] == [("slower under Kubernetes", "package a/b")]
    assert fast.calls == [["--help"], ["--unit"], ["--unit"]]  # the first starts what tests need, and is not timed
    came = {line[10:]: float(line[:9]) for line in (tmp_path / "round-1/kubernetes.times").read_text().splitlines()}
    assert came["SUCCESS"] - came["Running Unit Tests"] > 0.2
    part = command.results_part(
        [Wrapper("Compose", [2.3, 0.0]), Wrapper("Kubernetes", [0.0, 0.0])], ["--unit"], 1, tmp_path, []
    )
    assert part.different == []
    assert [(item.subject, item.aspect) for item in part.flaky] == [("slower under Compose", "package a/b")]


def test_a_difference_that_goes_away_is_flaky_and_one_that_stays_is_not() -> None:
    steady = Difference("results", "test", "TestA", "passed", "failed")
    shaky = replace(steady, aspect="TestB")
    assert results.flaky([steady, shaky], [[steady]]) == [shaky]
    assert results.flaky([steady, shaky], []) == []
    assert results.flaky([steady], [[replace(steady, compose="failed", kubernetes="passed")]]) == []


REPORT = {
    "environment": {"HOSTNAME": "c8608905afec", "FAKE_DNS": "64.112.117.122"},
    "names": {"boulder-mariadb": "10.77.77.128/25", "bredis_1": "10.77.77.4"},
    "listening": {"*:4001": "listens"},
    "from bconsul": {"10.77.77.77:9395": "answers"},
    "files": {"/boulder/test/config/sa.json": "-rw-r--r-- 0:0 0123456789abcdef"},
    "sysctls": {"net.ipv4.ip_unprivileged_port_start": "0"},
    "addresses": {"10.77.77.77": "local"},
    "srv": {"_sa._tcp.service.consul": "0a4d4d4d.addr.dc1.consul:9395"},
    "connect": {"64.112.117.254:80": "times out"},
    "limits": {"NOFILE": "1024 524288"},
    "process": {"CapEff": "00000000a80425fb"},
    "write": {"/var/log": "can be written"},
    "nobody listens": {"10.77.77.4:1337": "ECONNREFUSED"},
    "seconds: nobody listens": {"10.77.77.4:1337": "0.001", "10.77.77.99:1337": "3.071"},
    "seconds: names": {"example.com": "0.004"},
    "inside bmariadb": {"Seccomp": "2", "limit of open files": "1024 524288", "proxy HTTP_PROXY": "absent"},
    "terminal": {"TERM": "xterm"},
}


def changed(subject: str, aspect: str, value: str | None) -> dict:
    copy = json.loads(json.dumps(REPORT))
    if value is None:
        del copy[subject][aspect]
    else:
        copy[subject][aspect] = value
    return copy


@pytest.mark.parametrize(
    ("subject", "aspect", "value"),
    [
        ("environment", "FAKE_DNS", "64.112.117.1"),
        ("environment", "USE_VITESS", "true"),
        ("names", "boulder-mariadb", "EAI_NONAME"),
        ("listening", "*:4001", None),
        ("from bconsul", "10.77.77.77:9395", "does not"),
        ("files", "/boulder/test/config/sa.json", "-rw-r--r-- 0:0 fedcba9876543210"),
        ("files", "/boulder/test/config/sa.json", "-rw------- 0:0 0123456789abcdef"),
        ("files", "/boulder/test/config/sa.json", None),
        ("sysctls", "net.ipv4.ip_unprivileged_port_start", "1024"),
        ("addresses", "10.77.77.77", None),
        ("srv", "_sa._tcp.service.consul", "no answer (code 3)"),
        ("connect", "64.112.117.254:80", "ECONNREFUSED"),
        ("limits", "NOFILE", "1024 1024"),
        ("process", "CapEff", "0000000000000000"),
        ("write", "/var/log", "EACCES"),
        ("nobody listens", "10.77.77.4:1337", "times out"),
        ("seconds: nobody listens", "10.77.77.4:1337", "2.1"),
        ("seconds: nobody listens", "10.77.77.99:1337", "0.001"),
        ("seconds: nobody listens", "10.77.77.99:1337", None),
        ("seconds: names", "example.com", "5.01"),
        ("inside bmariadb", "Seccomp", "0"),
        ("inside bmariadb", "limit of open files", "1048576 1048576"),
        ("inside bmariadb", "proxy HTTP_PROXY", "http://proxy.example:3128"),
        ("terminal", "TERM", "absent"),
    ],
)
def test_a_planted_difference_is_found_and_on_no_list(subject: str, aspect: str, value: str | None) -> None:
    found, listed = differences.partition(
        probe.compare(REPORT, changed(subject, aspect, value)), differences.read_intended()
    )
    assert [(item.subject, item.aspect) for item in found] == [(subject, aspect)]
    assert listed == []


def test_an_intended_difference_keeps_its_reason_and_covers_no_other_part() -> None:
    names = probe.compare(REPORT, changed("environment", "HOSTNAME", "boulder-tests"))
    found, listed = differences.partition(names, differences.read_intended())
    assert found == []
    assert "pod by its name" in listed[0][1].reason
    entry = Intended("static", "environment", "HOSTNAME", "elsewhere")
    assert differences.partition(names, [entry]) == (names, [])


def test_every_intended_difference_has_a_reason() -> None:
    for entry in differences.read_intended():
        assert len(entry.reason) > 20


def report() -> Report:
    one = Difference("probe", "sysctls", "net|x", "a\nb", "c" * 1000)
    flaky = Difference("results", "test", "TestB", "passed", "failed")
    entry = Intended("probe", "environment", "HOSTNAME", "the pod's name")
    meant = Difference("probe", "environment", "HOSTNAME", "x", "y")
    return Report(
        "abc",
        "config",
        [
            Part("static", 10),
            Part("probe", 100, [one], [(meant, entry)]),
            Part("results", 5, flaky=[flaky], notes=["t.sh: 3 s"]),
        ],
    )


def test_every_form_of_the_report_names_every_difference() -> None:
    made = report()
    assert made.exit_code == 1
    for text in (made.as_text(), made.as_json(), made.as_markdown(), made.as_junit()):
        for name in ("sysctls", "TestB", "HOSTNAME"):
            assert name in text
    document = json.loads(made.as_json())
    assert (document["same"], document["parts"][1]["different"][0]["kubernetes"]) == (False, "c" * 1000)
    suites = ElementTree.fromstring(made.as_junit())
    assert [(suite.get("failures"), suite.get("skipped")) for suite in suites] == [("0", "0"), ("1", "1"), ("0", "1")]
    assert "| sysctls: net\\|x | a b | c" in made.as_markdown()


def test_flaky_and_intended_differences_alone_end_with_0() -> None:
    made = report()
    made.parts[1].different.clear()
    assert made.exit_code == 0


def test_the_markdown_stays_small_enough_for_a_ci_summary() -> None:
    many = [
        Difference("results", "test", f"Test{number}" * 20, "passed" * 100, "failed" * 100) for number in range(20000)
    ]
    text = Report(
        "abc", "config", [Part(name, 1, many, flaky=many) for name in ("static", "probe", "results")]
    ).as_markdown()
    assert len(text.encode()) < 1 << 20
    assert "19800 more" in text


def test_the_docs_show_the_list_as_it_is() -> None:
    text = (ROOT / "docs/parity.md").read_text()
    shown = text.partition("<!-- python -m boulder_k8s.manifests.differences -->\n")[2].partition("<!-- end -->")[0]
    assert shown == differences.as_markdown(differences.read_intended())


class Here:
    """An orchestrator whose containers are this machine."""

    name = "here"
    environ = None
    checkout = Checkout(ROOT)

    def exec(self, service: str, command: list[str]) -> list[str]:
        return command

    def boulder(self, command: list[str], terminal: bool = False) -> list[str]:
        return command


def test_seconds_below_the_rule_are_the_same() -> None:
    for seconds in ("1.9", "0.0"):
        assert probe.compare(REPORT, changed("seconds: names", "example.com", seconds)) == []
    assert probe.compare(REPORT, changed("seconds: nobody listens", "10.77.77.99:1337", "4.9")) == []


def test_what_nobody_listens_on_is_tried_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(address: tuple[str, int], seconds: float) -> str:
        if address[0] == "10.77.77.99":
            time.sleep(0.2)
            return "EHOSTUNREACH"
        return in_container.outcome(lambda: socket.create_connection(("127.0.0.1", closed), seconds))

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound, and nobody listens
        closed = silent.getsockname()[1]
        monkeypatch.setattr(in_container, "connected", slow)
        monkeypatch.setattr(in_container, "NOBODY", ("10.77.77.99",))
        found = in_container.timed_facts("nobody listens", in_container.nobody_listens(["bmariadb"]))
    for endpoint in ("bmariadb:1337", "10.77.77.4:1337", "64.112.117.1:1337"):
        assert found["nobody listens"][endpoint] == "ECONNREFUSED"
    assert found["nobody listens"]["10.77.77.99:1337"] == "EHOSTUNREACH"
    assert float(found["seconds: nobody listens"]["10.77.77.99:1337"]) >= 0.2
    assert set(found["nobody listens"]) == set(found["seconds: nobody listens"])


def test_endpoints_are_names_and_addresses() -> None:
    text = '"serverAddress": "bconsul.service.consul:9301", "addrs": ["10.77.77.4:4218"], "listen": ":8000", "1.2.3.4.5:80"'
    assert in_container.endpoints(text) == [("10.77.77.4", 4218), ("bconsul.service.consul", 9301)]


def test_the_first_process_of_a_dependency_is_read() -> None:
    facts = dependencies.take(Here(), ["bmariadb"])["inside bmariadb"]
    assert facts["limit of open files"].split()[0].isdigit()
    assert facts["Seccomp"] in ("0", "2") and facts["Uid"].split()[0] == "0"
    assert facts["oom_score_adj"] == open("/proc/1/oom_score_adj").read().strip()
    for line in open("/proc/1/status"):
        if line.startswith("CapBnd:"):
            assert facts["CapBnd"] == line.split()[1]


def test_a_proxy_in_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    facts = dependencies.take(Here(), ["bmariadb"])["inside bmariadb"]
    assert (facts["proxy HTTP_PROXY"], facts["proxy ALL_PROXY"]) == ("http://proxy.example:3128", "absent")


def test_a_container_without_a_shell_has_one_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Here, "exec", lambda *_: ["false"])
    assert dependencies.take(Here(), ["bpkimetal"]) == {"inside bpkimetal": {"container": "cannot be asked: no shell"}}


def test_a_program_sees_the_terminal_and_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    facts = terminal.take(Here())
    assert facts["TERM"] == "xterm"
    assert facts["size"] == "133 columns, 41 rows"
    assert facts["stdin is a terminal"] == facts["stderr is a terminal"] == "True"
    script = (
        "import os; print('foreground' if os.tcgetpgrp(0) == os.getpgrp() else 'background')"  # the wrapper asks so
    )
    monkeypatch.setattr(Here, "boulder", lambda *_, **__: ["python3", "-c", script])
    assert terminal.take(Here())["container"] == "ended with 0: foreground"
    monkeypatch.setattr(Here, "boulder", lambda *_, **__: ["sh", "-c", "echo no such image; exit 3"])
    assert terminal.take(Here()) == {"container": "ended with 3: no such image"}


def test_an_interrupted_parity_leaves_no_container_of_the_tests(programs: Programs) -> None:
    programs.answer("docker", "ps --all --quiet", ":")
    programs.answer("docker", "container inspect boulder_tests", """echo '[{"Id": "left"}]'""")
    programs.answer("docker", "rm --force --volumes boulder_tests", ":")
    programs.answer("docker", "down --volumes", ":")
    compose = orchestrators.Compose(Checkout(ROOT), False, dict(os.environ))
    with pytest.raises(KeyboardInterrupt), compose.left_as_found():
        raise KeyboardInterrupt
    assert programs.called("docker", "rm --force --volumes boulder_tests") == 1
    assert programs.called("docker", "down --volumes") == 1


def test_ports_are_really_tried_from_a_service() -> None:
    with socket.socket() as listener, socket.socket() as silent:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        silent.bind(("127.0.0.1", 0))  # bound, and nobody listens
        opened, closed = (f"127.0.0.1:{item.getsockname()[1]}" for item in (listener, silent))
        assert probe.reached(Here(), "bconsul", [opened, closed]) == {opened: "answers", closed: "does not"}
        # Where nothing answers it is not said that nothing is reached.
        assert "cannot be asked" in probe.reached(Here(), "bconsul", [closed])["container"]


def test_a_service_without_a_pod_has_one_fact() -> None:
    """Such as one that nobody has started yet, or whose pod has just been deleted."""
    nothing = SimpleNamespace(api=SimpleNamespace(list=lambda *_, **__: []))
    side = orchestrators.Kubernetes(None, nothing, SimpleNamespace(path=Path("/")), False, {})
    for facts in (probe.reached(side, "bnew", ["x:1"]), dependencies.asked(side, "bnew")):
        assert facts == {"container": "cannot be asked: The service bnew has no pod."}
