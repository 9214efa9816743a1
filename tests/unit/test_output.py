"""The end of a failed run says what failed, and why, from what real programs wrote (tests/fixtures/outputs)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as checked
from hypothesis import strategies as some

from boulder_k8s.diagnose import ending, failure, output
from boulder_k8s.diagnose.findings import Failure, Findings
from boulder_k8s.host.settings import ROOT, Settings
from boulder_k8s.run.directory import Run

OUTPUTS = ROOT / "tests/fixtures/outputs"
ERROR_1045 = "Error 1045: Access denied for user 'sa'@'10.77.77.77'"


def findings(tmp_path: Path, **streams: str | bytes) -> Findings:
    """What is found in these streams."""
    for name in ("stdout", "stderr"):
        text = streams.get(name, "")
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return output.read(tmp_path)


def recorded(tmp_path: Path, name: str) -> Findings:
    """What is found in a recorded output."""
    streams = {kind: path for kind in ("stdout", "stderr") if (path := OUTPUTS / f"{name}.{kind}").exists()}
    return findings(tmp_path, **{kind: path.read_bytes() for kind, path in streams.items()})


def said(found: Findings) -> list[str]:
    return [str(group) for group in ending.groups(found)]


def test_every_failed_package_is_named_and_each_failure_has_its_own_words(tmp_path: Path) -> None:
    found = recorded(tmp_path, "unit")
    assert set(found.packages) == {"setup", "broken", "deps", "exits", "goro", "ra", "sa", "va", "vetted", "wfe2"}
    assert (found.packages["broken"], found.packages["setup"], found.packages["va"]) == (
        "build failed",
        "setup failed",
        "",
    )
    assert said(found) == [
        "setup/s_test.go:2: no required module provides package github.com/nowhere/missing; to add it:",
        'broken/broken.go:3: "os" imported and not used',
        "broken/broken.go:5: undefined: undefinedName",
        "broken/broken.go:6: cannot use 1 (untyped int constant) as string value in return statement",
        'vetted/v_test.go:3: fmt.Printf format %d has arg "x" of wrong type string',
        "goro/goro_test.go:6 goro.T.MarshalJSON: panic: runtime error: invalid memory address or nil pointer dereference",
        "ra/ra.go:3 ra.Count: panic: assignment to entry in nil map",
        f"sa/sa_test.go:5 TestA and 3 more: {ERROR_1045}",
        "va/va_test.go:14 TestWidgets: expected 3 widgets, got 2",
        "va/va_test.go:27 TestNested/one and 1 more: 1 != 3",
        "va/va_test.go:23 TestNested/deep/deeper: multi line message: dial tcp: lookup sa.service.consul: no such host",
        "deps: exit status 3, and no test says why",
        "exits: 2026/11/26 21:22:05 could not connect to the database: connection refused",
    ]
    assert found.most_repeated() == (4, ERROR_1045)


def test_with_v_the_same_is_found(tmp_path: Path) -> None:
    quiet, verbose = recorded(tmp_path, "unit"), recorded(tmp_path, "verbose")
    there = [line for line in said(quiet) if line.startswith(("goro", "ra/", "sa/", "va/"))]
    assert sorted(said(verbose)) == sorted([*there, "deps TestX: it ended, and no test says why"])


def test_a_race_has_the_test_and_the_first_own_line(tmp_path: Path) -> None:
    found = recorded(tmp_path, "race")
    assert said(found) == ["racy/racy.go:5 racy.Add: data race in TestRace"]
    assert list(found.packages) == ["racy"]


def test_a_test_that_is_too_slow_is_named(tmp_path: Path) -> None:
    assert said(recorded(tmp_path, "late")) == ["late/late_test.go:6 TestSlow/inner: test timed out after 2s"]


def test_what_linters_say_on_a_terminal(tmp_path: Path) -> None:
    found = recorded(tmp_path, "lints-terminal")
    assert found.stage == "lints"
    assert said(found)[0] == "goro/goro_test.go:8: Error return value of `json.Marshal` is not checked (errcheck)"
    assert len(said(found)) == 9
    assert said(recorded(tmp_path, "typos-terminal")) == ["ra/ra.go:5: `recieve` should be `receive` (typos)"]


def test_generated_code_that_differs_is_named_by_file(tmp_path: Path) -> None:
    found = recorded(tmp_path, "generate")
    assert (found.stage, said(found)) == (
        "generate",
        [f"{place}: differs from what is generated" for place in ("README.md:312", "va/va.go:229")],
    )


def test_the_service_that_died_comes_with_its_last_error(tmp_path: Path) -> None:
    why = "Couldn't load config: open test/config/nope.json: no such file or directory"
    started = recorded(tmp_path, "service-start")
    assert said(started) == [
        "service boulder-ra-1: did not start: Command '['false']' returned non-zero exit status 1.; " + why
    ]
    assert said(recorded(tmp_path, "service-check")) == [f"service boulder-ra: ended with 1 (--addr :9394); {why}"]


TRACEBACK = """Traceback (most recent call last):
  File "test/integration-test.py", line 130, in <module>
    main()
  File "/boulder/test/v2_integration.py", line 308, in test_http_challenge
    raise(Exception("Expected 2 events"))
  File "/usr/lib/python3.11/subprocess.py", line 413, in check_call
Exception: Expected 2 events
"""
PANICKED = (
    '21:22:06.123456 3 boulder-wfe2 8Gw0vA [AUDIT] Panic JSON={"panic":"\\"nil map\\"","stack":"goroutine 1 [running]:'
    "\\nruntime/debug.Stack()\\n\\t/usr/local/go/src/runtime/debug/stack.go:26 +0x5e\\n"
    'github.com/letsencrypt/boulder/wfe2.(*WebFrontEndImpl).Nonce(0xc000)\\n\\t/boulder/wfe2/wfe.go:99 +0x1f\\n"}\n'
)


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        (TRACEBACK, "test/v2_integration.py:308 test_http_challenge: Exception: Expected 2 events"),
        (PANICKED, 'wfe2/wfe.go:99 boulder-wfe2: panic: \\"nil map\\"'),
        ("Illegal option --unti\n", "test.sh: Illegal option --unti"),
        ("Boulder did not come up after 115 seconds during ./start.py.\n", "service boulder: Boulder did not come up"),
        ("Error querying DNS. Is consul running? `x`\n", "service bconsul: Error querying DNS."),
        ("Files need reformatting:\n\ttest/config/va.json\n", "test/config/va.json: needs reformatting"),
        ("fatal error: concurrent map writes\n\nexit status 2\n", "panic: fatal error: concurrent map writes"),
    ],
)
def test_other_words_of_boulders_programs(tmp_path: Path, stderr: str, line: str) -> None:
    (only,) = said(findings(tmp_path, stderr=stderr))
    assert only.startswith(line)


def test_a_run_that_passes_finds_nothing(tmp_path: Path) -> None:
    verbose = "=== RUN   TestX\n    x_test.go:1: error: expected\npanic: said by a test\n--- PASS: TestX (0.00s)\n"
    found = findings(tmp_path, stdout=f"{verbose}ok  \tgithub.com/letsencrypt/boulder/va\t0.1s\n")
    assert (bool(found), ending.lines(found), ending.page(found)) == (False, [], "")


def test_the_reason_that_stands_fifteen_times_is_said_once_and_early(tmp_path: Path) -> None:
    lines = []
    for package in "va", "ra", "sa":
        for number in range(5):
            lines += [
                f"--- FAIL: Test{number} (0.00s)",
                f"    x_test.go:{number + 1}: dial tcp 10.77.77.{number}: refused",
            ]
        lines.append(f"FAIL\tgithub.com/letsencrypt/boulder/{package}\t0.1s")
    assert ending.lines(findings(tmp_path, stdout="\n".join(lines))) == [
        "3 packages failed: va, ra, sa",
        "15 times: dial tcp 10.77.77.0: refused",
        "  va/x_test.go:1 Test0 and 14 more: dial tcp 10.77.77.0: refused",
    ]


def test_however_much_fails_the_terminal_gets_fifteen_lines(tmp_path: Path) -> None:
    lines = []
    for number in range(300):
        word = "".join(chr(97 + int(digit)) for digit in str(number))
        lines += [f"--- FAIL: Test{word} (0.00s)", f"    x_test.go:1: {word} is missing {'x' * 300}"]
        lines.append(f"FAIL\tgithub.com/letsencrypt/boulder/some/package/named/{word}\t0.1s")
    told = ending.lines(findings(tmp_path, stdout="\n".join(lines)))
    assert len(told) <= 15 and max(map(len, told)) <= 160
    assert told[0].startswith("300 packages failed: some/package/named/a")


def test_of_a_huge_output_the_end_is_read_and_what_is_not_is_said(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(output, "MOST", 4 << 10)
    found = findings(tmp_path, stdout=b"x" * (1 << 20) + b"\n" + b"y\n" * 9999 + b"--- FAIL: TestLast (0.00s)\n")
    assert said(found) == ["TestLast: failed"]
    assert "bytes in the middle of the output were not read" in ending.page(found)


PARTS = [line for path in sorted(OUTPUTS.glob("*.std*")) for line in path.read_bytes().splitlines(keepends=True)]


@checked(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=some.lists(some.sampled_from(PARTS) | some.binary(max_size=30), max_size=60))
def test_lines_in_any_order_and_bytes_of_any_kind_are_read(tmp_path: Path, parts: list[bytes]) -> None:
    found = findings(tmp_path, stdout=b"".join(parts), stderr=b"".join(reversed(parts)))
    assert len(ending.lines(found)) <= 15
    assert all(line.replace("\t", "").isprintable() for line in ending.page(found).splitlines())
    assert all(isinstance(failure, Failure) and failure.line >= 0 for failure in found.failures)


def test_an_output_that_cannot_be_read_is_one_line(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run.create(settings, ["t"], {})
    (run.path / "stdout").unlink()
    (run.path / "stdout").mkdir()
    failure.tell(settings, run)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("boulder-k8s: what failed is not said here") and line.endswith("Is a directory")
