"""What is read in t.sh and tn.sh: every shape that Boulder's history has, and some that it may get."""

from __future__ import annotations

from pathlib import Path

import pytest

from boulder_k8s.host.errors import Problem
from boulder_k8s.manifests import compose, compose_key, drift, harness, staging, written
from boulder_k8s.manifests.checkout import Checkout
from boulder_k8s.manifests.harness import TN, T

NEXT = ["docker-compose.yml", "docker-compose.next.yml"]
FILES = "-f docker-compose.yml -f docker-compose.next.yml"
HEAD = """#!/usr/bin/env bash
# Outer wrapper for test.sh inside docker-compose: not a command.
set -o errexit
if type realpath >/dev/null 2>&1 ; then
  cd "$(realpath -- $(dirname -- "$0"))"
fi
"""


@pytest.mark.parametrize(
    ("script", "text", "files", "command", "passed", "before"),
    [
        # July 2026: -n is tn.sh's; from January to then it was the Compose file's variable alone
        (TN, f'docker compose run --rm bsetup\nexec docker compose {FILES} run -e USE_VITESS --rm --name boulder_tests boulder ./test.sh -n "$@"', NEXT, ["-n"], ["USE_VITESS"], ["bsetup"]),
        (TN, f'docker compose run --rm bsetup\nexec docker compose {FILES} run -e USE_VITESS --rm --name boulder_tests boulder ./test.sh "$@"', NEXT, [], ["USE_VITESS"], ["bsetup"]),
        (T, 'docker compose run --rm bsetup\nexec docker compose run -e USE_VITESS --rm --name boulder_tests boulder ./test.sh "$@"', [], [], ["USE_VITESS"], ["bsetup"]),
        # January 2025
        (T, 'docker compose run --rm bsetup\nexec docker compose run --rm --name boulder_tests boulder ./test.sh "$@"', [], [], [], ["bsetup"]),
        # May 2024
        (T, 'docker compose run bsetup\ndocker rm boulder_tests || true\nexec docker compose run --name boulder_tests boulder ./test.sh "$@"', [], [], [], ["bsetup"]),
        (TN, f'docker compose up bsetup\ndocker rm boulder_tests\nexec docker compose {FILES} run boulder ./test.sh "$@"', NEXT, [], [], ["bsetup"]),
        # before: no bsetup, and docker-compose in one word
        (T, 'exec docker compose run --name boulder_tests boulder ./test.sh "$@"', [], [], [], []),
        (TN, f'exec docker-compose {FILES} run boulder ./test.sh "$@"', NEXT, [], [], []),
    ],
)  # fmt: skip
def test_every_shape_that_history_has(
    script: str, text: str, files: list[str], command: list[str], passed: list[str], before: list[str]
) -> None:
    found = harness.of_text(script, HEAD + text + "\n")
    assert found.files == files
    assert found.command(["--unit", "a b"]) == ["./test.sh", *command, "--unit", "a b"]
    assert found.passed(Path("/nowhere"), {"USE_VITESS": "", "OTHER": "1"}) == dict.fromkeys(passed, "")
    assert found.passed(Path("/nowhere"), {}) == {}
    assert [step.service for step in found.before] == before
    assert found.container == "boulder_tests"
    assert (found.notes, found.refused) == ((), ())


RUN = 'docker compose run boulder ./test.sh "$@"'


@pytest.mark.parametrize(
    ("line", "environ", "passed"),
    [
        ("-e FOO", {"FOO": "a b"}, {"FOO": "a b"}),
        ("-eFOO --env BAR --env=BAZ=1", {"FOO": "1", "BAR": ""}, {"FOO": "1", "BAR": "", "BAZ": "1"}),
        ("-e FOO=", {"FOO": "1"}, {"FOO": ""}),
        ('-e FOO="${BAR:-none} $BAZ"', {"BAR": "", "BAZ": "z"}, {"FOO": "none z"}),
        ("-e FOO=${BAR-none}", {"BAR": ""}, {"FOO": ""}),
        ("-e FOO=a#b", {}, {"FOO": "a#b"}),
        ("\\\n  -e FOO \\\n  --rm", {"FOO": "1"}, {"FOO": "1"}),
        ("-T --rm --quiet-pull -it", {"FOO": "1"}, {}),
    ],
)
def test_e_passes_what_compose_passes(line: str, environ: dict[str, str], passed: dict[str, str]) -> None:
    found = harness.of_text(T, RUN.replace("run", f"run {line}"))
    assert (found.notes, found.refused) == ((), ())
    assert found.passed(Path("/nowhere"), environ) == passed


def test_what_the_script_exports_is_passed_too() -> None:
    text = f'export FOO="${{FOO:-yes}}"\nexport TAG=x\nexport BAR=$(date)\n{RUN.replace("run", "run -e FOO -e BAR")}'
    found = harness.of_text(T, text)
    assert found.passed(Path("/nowhere"), {}) == {"FOO": "yes"}
    assert found.passed(Path("/nowhere"), {"FOO": "no"}) == {"FOO": "no"}
    assert [note.split()[2] for note in found.notes] == ["TAG,", "BAR,"]


def test_a_name_alone_has_dotenvs_value_as_under_compose(docker_compose: None, tmp_path: Path) -> None:
    (tmp_path / "docker-compose.yml").write_text("services: {boulder: {image: i}}\n")
    (tmp_path / ".env").write_text("FOO='from .env' # comment\n")
    (tmp_path / T).write_text(RUN.replace("run", "run -e FOO -e BAR"))
    found = harness.read(tmp_path, config_next=False)
    assert found.passed(tmp_path, {}) == {"FOO": "from .env"}
    assert found.passed(tmp_path, {"FOO": "mine"}) == {"FOO": "mine"}


@pytest.mark.parametrize(
    "line",
    [
        'docker compose run boulder ./test.sh "$*"',
        'docker compose run "$SERVICE" ./test.sh "$@"',
        'docker compose run boulder bash -c \'./test.sh "$@"\' -- "$@"',
        'docker compose run --no-such-option boulder ./test.sh "$@"',
        'docker compose run boulder ./test.sh "$@" | tee log',
        'if [ -n "$CI" ]; then docker compose run boulder ./test.sh "$@"; fi',
        'if true\nthen\n  exec docker compose run boulder ./test.sh "$@"\nfi',
        'dc() {\n  docker compose "$@"\n}\ndc run boulder ./test.sh "$@"',
        'DC="docker compose"\n$DC run boulder ./test.sh "$@"',
        'docker compose run boulder ./test.sh "$@',
        'docker compose run $(tty -s || echo -T) boulder ./test.sh "$@"',
        'FOO=1 docker compose run -e FOO boulder ./test.sh "$@"',
    ],
)
def test_what_is_not_understood_is_a_note_and_the_usual_takes_its_place(line: str) -> None:
    found = harness.of_text(TN, HEAD + line + "\n")
    assert len(found.notes) == 1
    assert "tn.sh:" in found.notes[0] and "takes its place" in found.notes[0] and "\n" not in found.notes[0]
    assert found.command(["-u"]) == ["./test.sh", "-n", "-u"]
    assert found.files == NEXT
    assert [step.service for step in found.before] == ["bsetup"]


def test_a_script_that_is_missing_does_the_usual(tmp_path: Path) -> None:
    found = harness.read(tmp_path, config_next=False)
    assert found.command([]) == ["./test.sh"]
    assert found.notes == ("t.sh: No such file or directory; what Boulder's usually does takes its place",)


def test_what_cannot_be_done_names_file_and_line_and_may_be_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    text = HEAD + RUN.replace("run", "run --user nobody --workdir=/tmp")
    found = harness.of_text(T, text)
    with pytest.raises(Problem) as caught:
        drift.check_script(found, {"services": {"boulder": {}}}, {})
    assert caught.value.message == "t.sh:7 has --user; that has no counterpart here."
    assert "./t.sh" in caught.value.fix and caught.value.detail == "t.sh:7 has --workdir"
    drift.check_script(found, {"services": {"boulder": {}}}, {"BOULDER_K8S_DRIFT": "note"})
    assert capfd.readouterr().err.count("boulder-k8s: t.sh:7 has --") == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RUN.replace("boulder", "btests"), "t.sh:1 runs the tests in the service btests"),
        (f"docker compose run a\ndocker compose run b\n{RUN}", "t.sh:2 runs b, a second service before the tests"),
        (f"docker compose run --rm bsetup\n{RUN}", "t.sh:1 runs the service bsetup, which the Compose file does not have"),
    ],
)  # fmt: skip
def test_services_that_cannot_be_run(text: str, said: str) -> None:
    with pytest.raises(Problem, match=said):
        drift.check_script(harness.of_text(T, text), {"services": {"boulder": {}}}, {})


def test_boulders_own_container_is_never_taken_for_bsetup() -> None:
    alone = harness.of_text(T, "docker compose run boulder ./test.sh --unit\n")
    assert [step.service for step in alone.before] == ["bsetup"]
    assert "no `docker compose run` with" in alone.notes[0]
    first = harness.of_text(T, f"docker compose run --rm boulder make\n{RUN}\nif x; then docker compose stop; fi\n")
    assert first.refused == ("t.sh:1 runs boulder before the tests",)
    assert set(harness.with_setup({"services": {"boulder": {}}}, first, {})["services"]) == {"boulder"}


def test_a_line_after_the_tests_is_no_reason_for_bsetup() -> None:
    found = harness.of_text(T, f"{RUN}\nif x; then docker compose stop; fi\n")
    assert (found.before, len(found.notes)) == ((), 1)


def test_what_is_left_out_is_said_and_what_changes_nothing_is_not() -> None:
    text = f"docker compose pull\ndocker compose build\ndocker compose up --detach bx\n{RUN}\ndocker compose down\n"
    assert [note.partition(" is")[0] for note in harness.of_text(T, text).notes] == ["t.sh:3", "t.sh:5"]


def test_what_the_script_runs_first_is_bsetup_whatever_its_name() -> None:
    script = harness.of_text(T, f"docker compose run --rm -e A=1 -e B bprepare certs --all\n{RUN}")
    services = {"boulder": {"depends_on": {}}, "bprepare": {"entrypoint": ["make"], "command": ["x"]}, "bsetup": {}}
    document = compose.for_tests({"services": services}, script, {"B": "2"})
    assert document["services"] == {
        "boulder": {"depends_on": {}},
        "bsetup": {"entrypoint": ["make"], "command": ["certs", "--all"], "environment": {"A": "1", "B": "2"}},
    }
    # Boulder waits for it: it is started with everything else.
    services["boulder"] = {"depends_on": {"bprepare": {"condition": "service_completed_successfully"}}}
    assert set(compose.for_tests({"services": services}, script, {})["services"]) == {"boulder", "bprepare", "bsetup"}


def test_the_files_and_profiles_of_the_script_are_composes(tmp_path: Path) -> None:
    (tmp_path / T).write_text(RUN.replace("run", "-f a.yml --file=b.yml --profile p --compatibility run"))
    script = harness.read(tmp_path, config_next=False)
    options = ["--file", "a.yml", "--file", "b.yml", "--profile", "p", "--compatibility"]
    assert script.compose("config") == ["docker", "compose", *options, "config"]
    (tmp_path / "a.yml").write_text("services: {boulder: {image: mine}}\n")
    assert written.source(tmp_path, False, "boulder", "image") == ("a.yml", "mine")
    needs_profile = {"boulder": {"depends_on": {"b": {"required": False}}}, "b": {"profiles": ["p"]}}
    assert "b" in compose.for_tests({"services": needs_profile}, script, {})["services"]


def test_a_change_of_a_file_that_only_the_script_names_is_seen(tmp_path: Path) -> None:
    (tmp_path / T).write_text(RUN.replace("run", "-f docker-compose.yml -f test/ci.yml run"))
    (tmp_path / "docker-compose.yml").write_text("services: {}\n")
    (tmp_path / "test").mkdir()
    (tmp_path / "test/ci.yml").write_text("services: {}\n")
    before = compose_key.of(tmp_path, False, {})
    (tmp_path / "test/ci.yml").write_text("services: {a: {}}\n")
    assert before and compose_key.of(tmp_path, False, {}) != before
    (tmp_path / T).write_text(RUN.replace("run", "--env-file test/env run"))
    assert compose_key.of(tmp_path, False, {}) == ""


GENERATE = """
if ! [ -d test/certs/ipki ]; then
  ipki
fi
mtpki() { mkdir -p ./test/certs/mtpki; }
ipki() { mkdir -p test/certs/ipki; mkdir "$OTHER"; }
if [ ! -d "test/certs/mtpki" ]; then mtpki; fi
if ! [ -d /usr/local/go ]; then echo "no Go"; fi
"""


def test_bsetup_runs_if_its_script_would_make_a_directory(checkout: Path) -> None:
    command = ["test/certs/generate.sh"]
    (checkout / command[0]).write_text(GENERATE)
    assert staging.setup_is_due(Checkout(checkout), command)
    (checkout / "test/certs/mtpki").mkdir()
    assert not staging.setup_is_due(Checkout(checkout), command)
    (checkout / command[0]).write_text(
        "cd $(dirname $0)\nif ! [ -d mtpki ]; then\ncd ../..\nmkdir ./test/certs/mtpki\nfi\n"
    )  # before June 2026
    assert not staging.setup_is_due(Checkout(checkout), command)
    (checkout / "test/certs/mtpki").rmdir()
    assert staging.setup_is_due(Checkout(checkout), command)
    assert not staging.setup_is_due(Checkout(checkout), ["make", "certs"])  # what that makes nobody can read
    (checkout / "test/certs/ipki/minica.pem").unlink()
    assert staging.setup_is_due(Checkout(checkout), ["make", "certs"])
    with pytest.raises(Problem, match="no test/certs/ipki/minica.pem, and docker-compose.yml has no service bsetup"):
        staging.setup_is_due(Checkout(checkout), None)
