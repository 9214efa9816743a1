"""Parity's own judgement: what counts as a difference, and what a report says of it."""

from __future__ import annotations

import json
import socket
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from boulder_k8s.host.settings import ROOT
from boulder_k8s.manifests import differences
from boulder_k8s.manifests.checkout import Checkout
from boulder_k8s.manifests.differences import Difference, Intended
from boulder_k8s.parity import probe, results
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


def test_every_intended_difference_has_a_reason_and_none_covers_everything() -> None:
    for entry in differences.read_intended():
        assert len(entry.reason) > 20
        assert (entry.subject, entry.aspect) != ("*", "*")


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


def test_ports_are_really_tried_from_a_service() -> None:
    with socket.socket() as listener, socket.socket() as silent:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        silent.bind(("127.0.0.1", 0))  # bound, and nobody listens
        opened, closed = (f"127.0.0.1:{item.getsockname()[1]}" for item in (listener, silent))
        assert probe.reached(Here(), "bconsul", [opened, closed]) == {opened: "answers", closed: "does not"}
        # Where nothing answers it is not said that nothing is reached.
        assert "cannot be asked" in probe.reached(Here(), "bconsul", [closed])["container"]
