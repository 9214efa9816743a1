"""What failed, from further real outputs of go (tests/fixtures/outputs), and words of Python, golangci-lint and Boulder's panics."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as checked
from hypothesis import strategies as some
from unit.test_output import findings, recorded, said

from boulder_k8s.diagnose import ending, github, output

# What both forms of `go test` say, with and without -v.
BOTH = {
    "asserted/a_test.go:7 asserted.(*deep).Crash: panic: (map[string]int)",  # where it began, not where it was thrown again
    "gor/g.go:11 gor.Work: panic: code",
    "logp/l_test.go:18 logp.TestConcurrentMap.func1: panic: fatal error: concurrent map writes",
    "nilmap/n.go:3 nilmap.Put: panic: assignment to entry in nil map",
    "subp/s_test.go:10 subp.TestOuter.func1: panic: runtime error: index out of range",
    "tmain/t_test.go:10 tmain.setup: panic: runtime error: invalid memory address",
    "late/l_test.go:11 TestSlow/inner_one, TestSlow2: test timed out after 2s",
    'diff/d_test.go:9 TestTestify: Not equal: expected: map[string]int{"a":1} actual : map[string]int{"a":2}',
    "diff/d_test.go:15 TestCmp: Diff() mismatch (-want +got): map[string]int{ - ",
    "diff/d_test.go:22 TestPrinted: expected 1, got 2",
    "ex ExampleHello: got: hello world want: hello you",
    "ex ExampleUnordered: got: b a want (unordered): a c",
    'fuzzy/f_test.go:10 FuzzX/seed#1: input "bad" is bad',
    "helper/helpers_test.go:7 TestMust: open x: no such file or directory",
    "helper/h_test.go:10 TestMarked: unexpected error: file does not exist",
    "helper TestFailOnly: failed",
    "helper/h_test.go:16 TestCleanup: cleanup failed: file is left",
    "logp/l_test.go:11 TestLog: wrong serial",
    'sub/s_test.go:9 TestTable/a_b: "a b" is wrong second line',
    "tmainexit: 2026/11/27 02:03:",
}
PACKAGES = "asserted diff ex exitmid fuzzy gor helper late logp nilmap sub subp syn tmain tmainexit"


@pytest.mark.parametrize("name", ["go", "go-verbose"])
def test_each_failure_is_said_as_it_is_and_none_is_invented(tmp_path: Path, name: str) -> None:
    found = recorded(tmp_path, name)
    assert sorted(found.packages) == PACKAGES.split()
    told = [" ".join(line.split()) for line in said(found)]
    assert [start for start in sorted(BOTH) if not any(line.startswith(start.rstrip()) for line in told)] == []
    assert len([line for line in told if line.startswith("exitmid") and line.endswith("fatal: giving up")]) == 1
    assert len([line for line in told if "syn/s.go:3:" in line and "found '{'" in line or "unexpected {" in line]) == 1
    assert not [line for line in told if "about to put" in line or "hello" in line and "Example" not in line]
    assert ending.repeated(found) == ""


@pytest.mark.parametrize("name", ["races", "races-verbose"])
def test_a_race_is_said_of_its_own_test(tmp_path: Path, name: str) -> None:
    told = said(recorded(tmp_path, name))
    assert "racy/r.go:5 racy.Add: data race in TestRace" in told
    assert "racy/r_test.go:20 racy.TestSubRace.func1.1: data race in TestSubRace/in" in told
    assert "racy/r_test.go:23 TestSubRace/in: and it is wrong: got 2, want 1" in told


def test_a_package_that_cannot_be_set_up_says_why(tmp_path: Path) -> None:
    told = said(recorded(tmp_path, "setup"))
    assert "./nowhere: stat /boulder/nowhere: directory not found" in told
    assert "syn/s.go:3: syntax error: unexpected {, expected )" in told
    (cycle,) = [line for line in told if line.startswith("cyc/a: ")]
    assert "import cycle not allowed" in cycle


ASSERTED = """Running Lints
Traceback (most recent call last):
  File "/boulder/test/grafana/lint.py", line 22, in <module>
    assert(pa["datasource"] == "$datasource")
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
AssertionError
"""
AUDITED = (
    '21:22:06.123456 3 boulder-wfe2 8Gw0vA [AUDIT] Panic JSON={"panic":"\\"nil map\\"","stack":"goroutine 1 [running]:'
    "\\nruntime/debug.Stack()\\n\\t/usr/local/go/src/runtime/debug/stack.go:26 +0x5e\\n"
    "github.com/letsencrypt/boulder/cmd.AuditPanic()\\n\\t/boulder/cmd/shell.go:379 +0x2f\\n"
    "panic({0x1?, 0x2?})\\n\\t/usr/local/go/src/runtime/panic.go:860 +0x13a\\n"
    'github.com/letsencrypt/boulder/wfe2.(*WebFrontEndImpl).Nonce(0xc000)\\n\\t/boulder/wfe2/wfe.go:99 +0x1f\\n"}\n'
)


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        (ASSERTED, 'test/grafana/lint.py:22: AssertionError: assert(pa["datasource"] == "$datasource")'),
        (AUDITED, 'wfe2/wfe.go:99 boulder-wfe2: panic: \\"nil map\\"'),
        ("Running Lints\nva/va.go:1:2: no tab (wsl_v5)\n", "va/va.go:1: no tab (wsl_v5)"),
        (
            'Running Lints\nlevel=error msg="Timeout exceeded: try --timeout"\n',
            "golangci-lint: Timeout exceeded: try --timeout",
        ),
        (
            "Running Lints\nError: can't load config: unsupported version\n",
            "golangci-lint: can't load config: unsupported",
        ),
        ("Running Lints\nERRO[0012] Running error: context loading failed\n", "golangci-lint: Running error: context"),
    ],
)
def test_words_of_other_programs(tmp_path: Path, stderr: str, line: str) -> None:
    (only,) = said(findings(tmp_path, stderr=stderr))
    assert only.startswith(line)


BAD = "21:22:06.123456 3 cert-checker 8Gw0vA [AUDIT] Certificate has an unexpected validity JSON={}\n"
STAGE = {
    "unit": "Running Unit Tests",
    "lints": "Running Lints",
    "integration": "Running Integration Tests",
    "generate": "Running Generate",
}


@pytest.mark.parametrize(
    ("stage", "text", "lines"),
    [
        # test.sh ends, and no test, compiler or linter has said anything (flushredis, go list, make).
        (
            "unit",
            "while flushing redis shards: dial tcp 10.77.77.4:4218: connection refused\nexit status 1\n",
            ["test.sh: while flushing redis shards: dial tcp 10.77.77.4:4218: connection refused"],
        ),
        (
            "unit",
            "go: downloading x v1\ngo: updates to go.mod needed; to update it:\n\tgo mod tidy\n",
            ["test.sh: go: updates to go.mod needed; to update it: go mod tidy"],
        ),
        (
            "unit",
            "all is well\n./test.sh: line 249: gotip: command not found\n",
            ["test.sh: ./test.sh: line 249: gotip: command not found"],
        ),
        (
            "integration",
            "make: *** No rule to make target 'x'.  Stop.\nTraceback (most recent call last):\n  File \"test/integration-test.py\", line 77, in main\nException: failed to build\n",
            ["test.sh: make: *** No rule to make target 'x'.  Stop."],
        ),
        (
            "integration",
            BAD
            + 'Traceback (most recent call last):\n  File "test/integration-test.py", line 154, in run_cert_checker\nException: cert-checker found 3 bad certs\n',
            [
                "test/integration-test.py:154: Exception: cert-checker found 3 bad certs; Certificate has an unexpected validity"
            ],
        ),
        (
            "unit",
            "# github.com/letsencrypt/boulder/va.test\n/usr/local/go/pkg/tool/linux_amd64/link: mapping output file failed: no space left on device\nFAIL\tgithub.com/letsencrypt/boulder/va [build failed]\n",
            ["va: /usr/local/go/pkg/tool/linux_amd64/link: mapping output file failed: no space left on device"],
        ),
        (
            "unit",
            "SIGQUIT: quit\nPC=0x1 m=0 sigcode=0\n\ngoroutine 1 [chan receive]:\ngithub.com/letsencrypt/boulder/va.F()\n\t/boulder/va/va.go:3 +0x1\n\n*** Test killed with quit: ran too long (11m0s).\nexit status 2\nFAIL\tgithub.com/letsencrypt/boulder/va\t660.0s\n",
            ["va/va.go:3: Test killed with quit: ran too long (11m0s)."],
        ),
        (
            "unit",
            "runtime: goroutine stack exceeds 1000000000-byte limit\nfatal error: stack overflow\n\nruntime stack:\nruntime.throw({0x1, 0x2})\n\t/usr/local/go/src/runtime/panic.go:1101 +0x4\n\ngoroutine 7 gp=0xc0 m=6 mp=0xc1 [running]:\ngithub.com/letsencrypt/boulder/va.F(0x1)\n\t/boulder/va/va.go:3 +0x1 fp=0x1 sp=0x2 pc=0x3\nFAIL\tgithub.com/letsencrypt/boulder/va\t1.0s\n",
            ["va/va.go:3 va.F: panic: fatal error: stack overflow"],
        ),
        (
            "lints",
            "va/va.go:12:1: SA1019: x is deprecated:\nuse y (staticcheck)\n\tx()\n\t^\nra/ra.go:1: no (lll)\n2 issues:\n* lll: 1\n",
            ["va/va.go:12: SA1019: x is deprecated: use y (staticcheck)", "ra/ra.go:1: no (lll)"],
        ),
        (
            "generate",
            'git diff --exit-code .\ndiff --git "a/a\\303\\251.go" "b/a\\303\\251.go"\nindex 1..2 100644\n@@ -1 +1 @@\n-a\n+b\ndiff --git a/x b/x.bin\nBinary files a/x.bin and b/x.bin differ\ndiff --git a/c.go b/c.go\nold mode 100644\n',
            [
                "a\u00e9.go:1: differs from what is generated",
                "x.bin: differs from what is generated",
                "c.go: differs from what is generated",
            ],
        ),
    ],
)
def test_what_test_sh_ends_with(tmp_path: Path, stage: str, text: str, lines: list[str]) -> None:
    found = findings(
        tmp_path, stdout=f"{STAGE[stage]}\n{text}\x1b[31mFAILURE\x1b[0m while running \x1b[31m{stage}\x1b[0m\n"
    )
    assert said(found) == lines
    assert ending.repeated(found) == ""


STARTS = [
    b"Running Generate\ngit diff --exit-code .\ndiff --git a/b b/c\n",
    b"Running Generate\ngo generate ./...\n",
    b"Running Lints\nva/va.go:1:2: no\n",
    b"# a/b\n",
    b"FAIL\t",
    b"--- FAIL: ",
    b"panic: no\n\ngoroutine 1 [",
    b"WARNING: DATA RACE\n",
    b"Traceback (most recent call last):\n",
    b"    x_test.go:1: ",
    b"=== RUN   T\n",
    b"@@ -1 +1",
    b"\r",
    b"\n",
]


@checked(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=some.lists(some.sampled_from(STARTS) | some.binary(max_size=8), max_size=40))
def test_any_bytes_are_read_without_a_traceback(tmp_path: Path, parts: list[bytes]) -> None:
    found = findings(tmp_path, stdout=b"".join(parts), stderr=b"".join(reversed(parts)))
    for line in ending.page(found).splitlines() + github.marks(found):
        assert line.replace("\t", "").isprintable()


EVERYTHING = b"""--- FAIL: TestX (0.00s)
    x_test.go:1: error no
=== RUN   TestY
panic: a

goroutine 1 [running]:
f(
=== RUN   TestZ
# a/b
x/y.go:1:2: undefined: z
Traceback (most recent call last):
  File "x.py", line 3, in test_b
Exception: no

error: connection refused \x1b[31m
"""


@pytest.mark.parametrize("pattern", [EVERYTHING, b"x"], ids=["everything", "one line"])
def test_fifty_megabytes_take_seconds(tmp_path: Path, pattern: bytes) -> None:
    (tmp_path / "stdout").write_bytes(pattern * ((50 << 20) // len(pattern)))
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ending.page(output.read(tmp_path))
    assert time.process_time() - began < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10


def test_a_diff_with_an_empty_line_is_read(tmp_path: Path) -> None:
    diff = "Running Generate\ngit diff --exit-code .\ndiff --git a/x.go b/x.go\n\n@@ -1,3 +1,3 @@\n\n-a\n+b\n"
    assert said(findings(tmp_path, stdout=diff)) == ["x.go:2: differs from what is generated"]


def test_a_line_of_gos_own_testing_go_is_no_place_of_the_package(tmp_path: Path) -> None:
    text = "--- FAIL: TestX (0.00s)\n    testing.go:1913: subtest may have called FailNow on a parent test\nFAIL\tgithub.com/letsencrypt/boulder/va\t0.1s\n"
    (failure,) = findings(tmp_path, stdout=text).failures
    assert (failure.place, failure.package) == ("", "va")
