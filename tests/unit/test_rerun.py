"""`invoke rerun`: what of test.sh's arguments stays, and what failed takes the place of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from boulder_k8s.commands import rerun
from boulder_k8s.diagnose.findings import Findings
from boulder_k8s.diagnose.output import parse
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import Settings
from boulder_k8s.run.directory import Run

BOULDER = "github.com/letsencrypt/boulder"
HEADING = {"unit": "Running Unit Tests", "integration": "Running Integration Tests", "lints": "Running Lints"}


def found(stage: str, *lines: str) -> Findings:
    return parse([HEADING.get(stage, ""), *lines, f"FAILURE while running {stage}"], Findings()).finish()


VA = [
    "--- FAIL: TestB (0.00s)",
    "    --- FAIL: TestB/sub (0.00s)",
    "        v_test.go:1: no",
    f"FAIL\t{BOULDER}/va\t1s",
]
FILES = ["--- FAIL: TestB (0.00s)", "    v_test.go:1: no", "FAIL\tcommand-line-arguments\t1s"]
SA = ["--- FAIL: TestA (0.00s)", "    s_test.go:1: no", f"FAIL\t{BOULDER}/sa\t1s"]
BUILD = [f"FAIL\t{BOULDER}/ra [build failed]"]
PANIC = ["panic: no", "", "goroutine 1 [running]:", f"FAIL\t{BOULDER}/va\t1s"]
GO = ["--- FAIL: TestA (0.00s)", "    a_test.go:1: no", f"FAIL\t{BOULDER}/test/integration\t1s"]
CALLED = ["Traceback (most recent call last):", "subprocess.CalledProcessError: go test", ""]
PYTHON = ["Traceback (most recent call last):", '  File "x.py", line 3, in test_b', "Exception: no", ""]


@pytest.mark.parametrize(
    ("typed", "stage", "lines", "words"),
    [
        ([], "unit", VA + SA, "--unit --unit-test-package=./va --unit-test-package=./sa --filter=^(TestA|TestB)$"),
        (["-uvep./x", "-f", "TestX"], "unit", SA, "--unit --verbose --enable-race-detection -p=./sa -f=^(TestA)$"),
        (["--unit", "--filter=TestX"], "unit", SA + BUILD, "--unit -p=./sa -p=./ra -f=TestX"),
        (["-u", "-p", "./va", "-p./sa"], "unit", PANIC, "--unit -p=./va"),
        (["-u", "-p", "./va", "-p./sa"], "unit", [], "--unit -p=./va -p=./sa"),
        (["-u", "-p", "./va/v_test.go"], "unit", FILES, "--unit -p=./va/v_test.go -f=^(TestB)$"),
        (["-i", "-n"], "integration", GO + CALLED, "--integration --config-next -f=^(TestA)$"),
        (["-i"], "integration", PYTHON, "--integration -f=^(test_b)$"),
        (["-i"], "integration", ["Error starting service sfe: no"], "--integration"),
        (["-lg"], "lints", ["va/va.go:1:1: no (unused)"], "--lints"),
        (["-l", "--generate"], "generate", [], "--generate"),
        (["-d", "dir", "--start-py", "-c", "x"], "start", [], "--start-py --coverage-dir=dir --coverage"),
        (["--unti"], "starting", [], "--unti"),
    ],
)
def test_what_failed_takes_the_place_of_what_was_chosen(tmp_path: Path, typed, stage, lines, words: str) -> None:
    for name in "va", "sa", "ra":
        (tmp_path / name).mkdir()
    expected = words.replace(" -p=", " --unit-test-package=").replace(" -f=", " --filter=").split(" ")
    assert rerun.chosen(typed, found(stage, *lines), tmp_path) == expected


@given(typed=some.lists(some.text(alphabet="-luvwecisgnhbdpf=. /aü", max_size=8), max_size=6))
def test_whatever_was_typed_the_words_are_options_of_test_sh(typed: list[str]) -> None:
    words = rerun.chosen(typed, found("unit", *SA), Path("/nowhere"))
    assert words[0] == "--unit" and words[-1] == "--filter=^(TestA)$"
    assert all(word.startswith("--") for word in words)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list:
    """What would have been run: words, configuration, environment."""
    seen: list = []

    def test(settings, signals, words, options) -> int:
        seen.append((words, options.config_next, dict(options.environ)))
        return 3

    monkeypatch.setattr(rerun, "test", test)
    return seen


def ended(settings: Settings, what: str, **record: object) -> Path:
    """The directory of a run that has ended."""
    run = Run.create(settings, [what], {"arguments": ["-u"], "checkout": "/boulder", "exit_code": 1, **record})
    with run.recorded():
        run.record["phases"] = {"tests": 1.0}
    (run.path / "stdout").write_text("\n".join(["Running Unit Tests", *SA]))
    return run.path


def test_the_last_run_is_repeated_as_it_was(settings: Settings, started: list, capsys) -> None:
    ended(settings, "first", config_next=True, environment={"USE_VITESS": "true"})
    ended(settings, "up", arguments=["up"])
    environ = {"BOULDER_DIR": "/elsewhere", "USE_VITESS": "false"}
    assert rerun.rerun(settings, None, False, "", "", environ) == 3
    assert started == [(["-u"], True, {"BOULDER_DIR": "/boulder", "USE_VITESS": "true"})]
    assert "./tnk8s.sh -u" in capsys.readouterr().err


def test_what_failed_is_that_of_the_last_run_whose_tests_began(settings: Settings, started: list) -> None:
    ended(settings, "first", environment={})
    with pytest.raises(KeyError), Run.create(settings, ["refused"], {"arguments": ["-i"]}).recorded():
        raise KeyError
    environ = {"USE_VITESS": "true"}
    assert rerun.rerun(settings, None, True, "", "", environ) == 3
    words = ["--unit", "--unit-test-package=sa", "--filter=^(TestA)$"]
    assert started == [(words, False, {"BOULDER_DIR": "/boulder"})]


def test_another_run_is_named(settings: Settings, started: list) -> None:
    first = ended(settings, "first", arguments=["-l"])
    ended(settings, "second")
    rerun.rerun(settings, None, False, first.name, "", {})
    rerun.rerun(settings, None, False, f".runs/{first.name}/", "", {})
    rerun.rerun(settings, None, False, "latest", "", {})
    assert [words for words, *_ in started] == [["-l"], ["-l"], ["-u"]]


def test_nothing_to_repeat_is_said(settings: Settings, started: list) -> None:
    with pytest.raises(Problem, match="There is no run of the tests to repeat"):
        rerun.rerun(settings, None, True, "", "", {})
    up = ended(settings, "up", arguments=["up"])
    for name in "nonsense", up.name, "..", "/":
        with pytest.raises(Problem, match="is no run of the tests") as caught:
            rerun.rerun(settings, None, True, name, "", {})
        assert caught.value.exit_code == 2
    ended(settings, "well", exit_code=0)
    with pytest.raises(Problem, match="Nothing failed in "):
        rerun.rerun(settings, None, True, "", "", {})
    assert not started
