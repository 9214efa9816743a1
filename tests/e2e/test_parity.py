"""Compose and Kubernetes side by side on the miniature checkout: the same, until a difference is planted."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.e2e import NEW, Project, override

PLANTED = {
    "services": {
        "boulder": {"sysctls": {"net.ipv4.tcp_keepalive_time": "1234"}},
        "bmariadb": {"networks": {"bouldernet": {"aliases": ["boulder-followed", "boulder_planted"]}}},
    }
}


@pytest.fixture(autouse=True)
def without_compose(stack: Project) -> Iterator[None]:
    yield
    subprocess.run(["docker", "compose", "ps", "--all"], cwd=stack.checkout, check=True)
    left = subprocess.run(["docker", "compose", "ps", "--all", "--quiet"], cwd=stack.checkout, capture_output=True)
    assert left.stdout == b"", "parity left Compose's containers behind"


def parity(project: Project, output: Path, *arguments: str, **environment: str) -> tuple[int, dict[str, dict]]:
    """Runs it; returns its exit code and the parts of its report by name."""
    result = project.invoke("parity", "--output", str(output), *arguments, **environment)
    assert (output / "report.json").exists(), result.stderr.decode()
    report = json.loads((output / "report.json").read_text())
    return result.returncode, {part["name"]: part for part in report["parts"]}


def test_both_show_the_tests_the_same(stack: Project, tmp_path: Path) -> None:
    code, parts = parity(stack, tmp_path, "--part", "static,probe")
    assert [part["different"] for part in parts.values()] == [[], []]
    assert code == 0
    assert parts["probe"]["compared"] > 300
    for side in ("compose", "kubernetes"):
        seen = json.loads((tmp_path / f"probe-{side}.json").read_text())
        assert seen["boulder"]["start.py"] == "answers"
        assert seen["connect"]["64.112.117.254:80"] == "times out"
        assert seen["nobody listens"]["64.112.117.1:1337"] == "ECONNREFUSED"  # the host
        assert 2 < float(seen["seconds: nobody listens"]["10.77.77.99:1337"]) < 6
        assert seen["terminal"]["TERM"] == "xterm"
        assert seen["inside bmariadb"]["Seccomp"] == "2"
        assert seen["from bconsul"]["10.77.77.77:4001"] == "answers"


def test_both_show_a_service_that_the_base_does_not_know_the_same(stack: Project, tmp_path: Path) -> None:
    """One that serves and one that runs to its end before Boulder starts; the client that nobody needs is on neither side."""
    override(stack, NEW)
    code, parts = parity(stack, tmp_path, "--part", "static,probe")
    assert [part["different"] for part in parts.values()] == [[], []]
    assert code == 0
    for side in ("compose", "kubernetes"):
        seen = json.loads((tmp_path / f"probe-{side}.json").read_text())
        assert seen["inside bnew"]["Seccomp"] == "2"
        assert "inside client" not in seen


def test_a_planted_sysctl_and_alias_are_found(stack: Project, tmp_path: Path) -> None:
    (stack.checkout / "docker-compose.override.yml").write_text(json.dumps(PLANTED))
    code, parts = parity(stack, tmp_path, "--part", "static,probe", BOULDER_K8S_DRIFT="note")
    found = {(part, item["subject"], item["aspect"]) for part in parts for item in parts[part]["different"]}
    assert found == {
        ("static", "boulder", "key sysctls"),
        ("static", "bmariadb", "alias boulder_planted"),
        ("probe", "sysctls", "net.ipv4.tcp_keepalive_time"),
        ("probe", "names", "boulder_planted"),
        ("probe", "time to resolve", "boulder_planted"),
        ("probe", "nobody listens", "boulder_planted:1337"),
    }
    assert code == 1


def test_a_package_that_is_slow_under_kubernetes_alone_is_found(stack: Project, tmp_path: Path) -> None:
    (stack.checkout / "test/slow").write_text("TestPlanted is slow in the pod boulder-tests\n")
    code, parts = parity(stack, tmp_path, "--part", "results", "--args", "--unit")
    found = {(item["subject"], item["aspect"]) for item in parts["results"]["different"]}
    assert ("slower under Kubernetes", "package example.test/boulder") in found
    assert {subject for subject, _ in found} == {"slower under Kubernetes"}
    assert code == 1


def test_a_test_that_fails_under_kubernetes_alone_is_found(stack: Project, tmp_path: Path) -> None:
    code, parts = parity(stack, tmp_path / "same", "--part", "results", "--args", "--unit")
    assert (code, parts["results"]["different"]) == (0, [])
    (stack.checkout / "test/planted").write_text("TestPlanted fails in the pod boulder-tests\n")
    code, parts = parity(stack, tmp_path / "planted", "--part", "results", "--args", "--unit")
    assert code == 1
    found = {(item["aspect"], item["compose"], item["kubernetes"]) for item in parts["results"]["different"]}
    assert ("exit code", "0", "1") in found
    assert ("example.test/boulder TestPlanted", "passed", "failed") in found
    assert len([note for note in parts["results"]["notes"] if "run 2" in note]) == 2  # it was run again
