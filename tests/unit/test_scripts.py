"""t.sh, .env and what is typed, of any shape: read, or not understood in words; never another exception than Problem."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as checked
from hypothesis import strategies as some
from support.programs import Programs

from boulder_k8s.commands import arguments, cli, logs
from boulder_k8s.host import docker_config
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import ROOT, Settings, parse_ports
from boulder_k8s.manifests import drift, harness, history
from boulder_k8s.manifests.checkout import name_for, path_of_command
from boulder_k8s.manifests.harness import TN, USUAL, T
from boulder_k8s.manifests.overrides import Overrides
from boulder_k8s.run.directory import Run

quickly = checked(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
PARTS = [
    "docker",
    "compose",
    "docker-compose",
    "run",
    "exec",
    "--rm",
    "-e",
    "-f",
    "--entrypoint",
    "boulder",
    "bsetup",
    '"$@"',
    "$@",
    "'",
    '"',
    "\\",
    "&&",
    "||",
    ";",
    "|",
    "if",
    "fi",
    "{",
    "}",
    "#",
    "=",
    "--",
    "-",
    "export",
    "A=b",
    "$A",
    "${A:-",
    "`",
    "$(",
    ")",
    "A(B",
    "--env",
    "--name",
    "[/]",
    "\x00",
    "up",
    "done",
]
scripts = some.lists(some.sampled_from([*PARTS, "\n", "\n"]), max_size=14).map(" ".join) | some.text(max_size=30)
cut = some.sampled_from([T, TN]).flatmap(
    lambda name: some.integers(0, len(USUAL[name])).map(lambda end: USUAL[name][:end])
)
DOCUMENT = {"services": {"boulder": {"image": "b"}, "bsetup": {"image": "b", "entrypoint": ["x"]}}}


@quickly
@given(scripts | cut | scripts.map(lambda text: f"{USUAL[T]}{text}"))
@example('docker compose run --rm --entrypoint "\'" bsetup\ndocker compose run -e \'A(B\' boulder ./test.sh "$@"')
@example('docker compose run --rm --entrypoint "a \'" bsetup\ndocker compose run boulder ./test.sh "$@"')
def test_a_script_of_any_shape_is_read(tmp_path: Path, programs: Programs, text: str) -> None:
    programs.answer("docker", "config", "echo A=1")
    (tmp_path / ".env").write_text("A=1\n")
    (tmp_path / T).write_text(text, errors="surrogatepass")
    script = harness.read(tmp_path, config_next=False)
    assert script.tests.service and script.command(["x"])
    document = harness.with_setup(DOCUMENT, script, {})
    script.tests.entrypoint(["entrypoint.sh"])
    script.passed(tmp_path, {"B": "1"})
    with suppress(Problem):
        drift.check_script(script, document, {})


SETTINGS = Settings(ROOT, "unit", "node:test", ())
TYPED = [
    lambda text: parse_ports(text),
    lambda text: Settings.from_environment({"KIND_CLUSTER": text}),
    lambda text: Settings.from_environment({"BOULDER_PORTS": text, "BOULDER_K8S_OFFLINE": text}),
    lambda text: arguments.timeout(text, {}),
    lambda text: arguments.number("--tail", text),
    lambda text: arguments.words("--args", text),
    lambda text: logs.moment(text),
    lambda text: history.date(text),
    lambda text: Overrides.read({"FAKE_DNS": text, "BOULDER_EXTRA_HOSTS": text, "BOULDER_CONFIG_OVERLAY": "/"}),
    lambda text: Overrides.read({}, config=text),
    lambda text: name_for(Path(f"/x/{text}")),
    lambda text: path_of_command(SETTINGS, {"BOULDER_DIR": text, "DOCKER_CONTEXT": text}),
    lambda text: docker_config.daemon_host({"DOCKER_CONTEXT": text, "DOCKER_CONFIG": "/x"}),
]
typed = some.text(max_size=12) | some.sampled_from(
    [
        "1e999",
        "-0",
        "9" * 30,
        "٣",
        "0001-01-01",
        "9999-12-31T23:59:59",
        "1" * 400 + "h",
        "4001:4001",
        "[::]:1:1",
        "[fe80::1%x]:1:1",
        "a:b",
        "x" * 300,
        "\udcff",
        "[/]",
        "",
        " ",
        "1_0",
        "inf",
        "nan",
        "99999999999999999999 years ago",
    ]
)


@quickly
@given(some.sampled_from(TYPED), typed.filter(lambda text: "\0" not in text))
def test_what_is_typed_is_taken_or_refused(read, text: str) -> None:
    try:
        read(text)
    except Problem:
        pass
    except OSError as error:  # commands/cli.py says in two lines what is wrong with a path
        assert error.errno in cli.PLACES and error.filename


@pytest.mark.parametrize("word", ["x" * 1000, "\udcff", "[/]", "a\nb", "../..", "-", ""])
def test_a_run_has_a_directory_whatever_its_arguments(settings: Settings, word: str) -> None:
    run = Run.create(settings, ["t", word], {"arguments": [word]})
    assert run.path.parent == settings.runs and (run.path / "run.json").exists()


def test_a_checkout_whose_path_is_not_utf_8_is_named() -> None:
    with pytest.raises(Problem, match="is not UTF-8"):
        path_of_command(SETTINGS, {"BOULDER_DIR": "/x/\udcff"})
