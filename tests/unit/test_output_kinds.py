"""What the rarer kinds of failures look like at the end of a run, from real outputs and from what two programs wrote at a time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from boulder_k8s.diagnose import ending, output

from .test_output import findings, recorded, said

CYCLE = "imports github.com/letsencrypt/boulder/cyc1 from a.go: import cycle not allowed"


def starting(lines: list[str], start: str) -> str:
    """The only line that starts so."""
    (only,) = [line for line in lines if line.startswith(start)]
    return only


def test_every_failed_package_has_a_reason(tmp_path: Path) -> None:
    found = recorded(tmp_path, "kinds")
    dependents = {"usesbroken"}  # its reason is broken2's
    packages = {failure.package or Path(failure.file).parts[0] for failure in found.failures}
    assert set(found.packages) - dependents == packages


@pytest.mark.parametrize(
    "line",
    [
        f"cyc1 and 1 more: {CYCLE}",
        "twopkg: found packages twopkg (a.go) and other (b.go) in /boulder/twopkg",
        "doublepanic/a_test.go:13 doublepanic.TestDouble: panic: (doublepanic.myErr) 0x5946e0",
        "overflow/a_test.go:5 overflow.again: panic: fatal error: stack overflow",
        "goexit TestParent/sub: test executed panic(nil) or runtime.Goexit",
        "multi/a_test.go:23 TestPrints: harmless",
        "multi TestNoWords: failed",
        "testi/a_test.go:16 TestEqual: Not equal: expected: testi.pt{X:1, Y:2, S:",
        "tmainfatal: 2026/11/27 01:05:00 setting up the database: dial tcp",
        "vett/a_test.go:9: fmt.Printf format %d has arg",
        "killed: signal: killed",
    ],
)
def test_go_says_why_in_many_ways(tmp_path: Path, line: str) -> None:
    starting(said(recorded(tmp_path, "kinds")), line)


def test_the_same_ways_with_v(tmp_path: Path) -> None:
    lines = said(recorded(tmp_path, "kinds-verbose"))
    starting(lines, "multi/a_test.go:23 TestPrints: harmless")
    starting(lines, "examp ExampleA: got: hello --- not a result want: hello, world")
    starting(lines, "examp ExampleB: got: 2 1 want")
    assert not [line for line in lines if "only printed" in line]


def test_what_counts_nothing_is_left_out(tmp_path: Path) -> None:
    page = ending.page(recorded(tmp_path, "kinds"))
    assert "too many errors" not in page and "runtime stack" not in page and "repanicked" not in page


def test_the_terminal_names_a_failure_of_each_package_before_a_second_one_of_any(tmp_path: Path) -> None:
    shown = [line for line in ending.lines(recorded(tmp_path, "kinds")) if line.startswith("  ")]
    packages = [line.strip().partition("/")[0].partition(":")[0] for line in shown if ".go" in line or "cyc" in line]
    assert len(packages) >= 7 and len(set(packages[-8:])) == len(packages[-8:])


def test_a_race_is_said_of_the_test_whose_it_is(tmp_path: Path) -> None:
    found = recorded(tmp_path, "races-many")
    assert said(found) == [
        "mapwrites/a_test.go:10 mapwrites.write: panic: fatal error: concurrent map writes",
        "race2/a_test.go:10 race2.(*counter).inc and 2 more: data race in TestSub",
        "mapwrites/a_test.go:10 mapwrites.write: data race in TestMap",
        "race2/a_test.go:18 TestSub/one: counter: got 2, want 3",
    ]


def test_a_package_that_does_not_exist(tmp_path: Path) -> None:
    assert said(recorded(tmp_path, "missing")) == [
        "./nope: stat /boulder/nope: directory not found",
        "github.com/nobody/none: module github.com/nobody/none: reading https://proxy.golang.org/github.com/nobody/none/@v/list:"
        " 403 Forbidden",
    ]


def test_linters_whose_output_is_no_terminal(tmp_path: Path) -> None:
    assert said(recorded(tmp_path, "lints"))[-3:] == [
        "broken2/a.go:3: undefined: y (typecheck)",
        "syntax/a.go:3: syntax error: unexpected {, expected ) (typecheck)",
        "syntax/a.go:3: expected ')', found '{' (typecheck)",
    ]
    assert said(recorded(tmp_path, "lints-refused")) == [
        "golangci-lint: [linters_context] typechecking error: stat /boulder/nope: directory not found"
    ]
    assert said(recorded(tmp_path, "typos")) == [
        "va/va.go:888: `recieve` should be `receive` (typos)",
        "va/va.go:888: `teh` should be `the` (typos)",
        "recieve.txt and 1 more: `recieve` should be `receive` (typos)",
    ]


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        ("./test.sh: illegal option -- z\n", "test.sh: ./test.sh: illegal option -- z"),
        ("./test.sh: option requires an argument -- p\n", "test.sh: ./test.sh: option requires an argument -- p"),
        (
            "go: inconsistent vendoring in /boulder:\n\tgithub.com/x/y@v1.0.0: is explicitly required in go.mod\n",
            "test.sh: go: inconsistent vendoring in /boulder: github.com/x/y@v1.0.0: is explicitly required in go.mod",
        ),
        ("gotip: not downloaded. Run 'gotip download' to install\n", "test.sh: gotip: not downloaded."),
    ],
)
def test_what_ends_a_run_before_its_tests(tmp_path: Path, stderr: str, line: str) -> None:
    ended = "" if "test.sh" in stderr else "FAILURE while running unit\n"
    (only,) = said(findings(tmp_path, stdout=ended, stderr=stderr))
    assert only.startswith(line)


LOG = "21:22:06.123456 6 boulder-ra 8Gw0vA [AUDIT] Certificate request - successful JSON={}\n"
DIES = """panic: runtime error: index out of range [3] with length 3

goroutine 231 [running]:
github.com/letsencrypt/boulder/ra.(*RegistrationAuthorityImpl).issue(0xc0001, {0x1, 0x2})
LOG	/boulder/ra/ra.go:1201 +0x1f
created by google.golang.org/grpc.(*Server).serve in goroutine 12
	/boulder/vendor/google.golang.org/grpc/server.go:1030 +0x8d
"""
TESTS = """=== RUN   TestIssuance
LOG    issuance_test.go:40: creating order: Post "http://boulder.service.consul:4001/": EOF
--- FAIL: TestIssuance (1.20s)
FAIL
FAIL	github.com/letsencrypt/boulder/test/integration	3.120s
"""


@pytest.mark.parametrize("between", ["", LOG])
def test_a_service_that_panics_takes_no_lines_of_the_tests_with_it(tmp_path: Path, between: str) -> None:
    head = "Running Integration Tests\n=== RUN   TestIssuance\n"
    text = head + (DIES + LOG + TESTS.partition("\n")[2]).replace("LOG", between)
    assert said(findings(tmp_path, stdout=text)) == [
        "ra/ra.go:1201 ra.(*RegistrationAuthorityImpl).issue: panic: runtime error: index out of range [3] with length 3",
        "test/integration/issuance_test.go:40 TestIssuance: creating order: Post "
        '"http://boulder.service.consul:4001/": EOF',
    ]


def test_a_service_that_logs_in_the_middle_of_a_traceback_does_not_change_its_words(tmp_path: Path) -> None:
    text = (
        'Traceback (most recent call last):\n  File "test/v2_integration.py", line 308, in test_http\n'
        f"    raise(Exception('x'))\n{LOG}Exception: Expected 2 events\n\n"
        "These processes exited early (check above for their output):\n"
        "\t'['./bin/boulder', 'boulder-ra', '--addr', ':9394']' with pid 12 exited 2\n"
    )
    assert said(findings(tmp_path, stderr=text)) == [
        "service boulder-ra: ended with 2 (--addr :9394)",
        "test/v2_integration.py:308 test_http: Exception: Expected 2 events",
    ]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "unit",
    [b"\n", b"    x_test.go:1: \n", b" " * 4000 + b"\n"],
)
def test_fifty_megabytes_of_anything_are_read_in_some_seconds(tmp_path: Path, unit: bytes) -> None:
    (tmp_path / "stdout").write_bytes(unit * ((50 << 20) // len(unit)))
    began = time.process_time()
    output.read(tmp_path)
    assert time.process_time() - began < 15
