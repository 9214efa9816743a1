"""What the checkout's own t.sh and tn.sh do: which `docker compose run` they end in, and what they run before it.

The scripts are read, not run. A line that is not understood becomes a note, and what Boulder's scripts did when this was written
(USUAL) takes its place. What a script does and we cannot is `refused`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..host import process
from ..host.names import BOULDER, SETUP
from . import shell
from .compose_run import Step, steps_of
from .shell import Unclear

T, TN = "t.sh", "tn.sh"
CONTAINER = "boulder_tests"
USUAL = {
    T: """docker compose run --rm bsetup
exec docker compose run -e USE_VITESS --rm --name boulder_tests boulder ./test.sh "$@"
""",
    TN: """docker compose run --rm bsetup
exec docker compose -f docker-compose.yml -f docker-compose.next.yml run -e USE_VITESS --rm --name boulder_tests boulder ./test.sh -n "$@"
""",
}
INSTEAD = "what Boulder's usually does takes its place"


@dataclass(frozen=True)
class Harness:
    """What a script does. tests: the step that runs the tests. before: the steps before it. exported: variables that it sets, each with a
    value for shell.expanded. notes, refused: what is not followed, and what must not be left out, a line each.
    """

    script: str
    tests: Step
    before: tuple[Step, ...] = ()
    exported: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def container(self) -> str:
        """The name that the script gives to the tests' container; the usual one if it gives none."""
        return next((name for name in self.tests.values("name") if "$" not in name), CONTAINER)

    @property
    def files(self) -> list[str]:
        """The Compose files that the script names; empty if Compose chooses them."""
        return self.following("--file")

    @property
    def profiles(self) -> list[str]:
        """The profiles that the script makes active."""
        return self.following("--profile")

    def following(self, option: str) -> list[str]:
        """Returns the values of an option of `docker compose` itself."""
        words = self.tests.options
        return [words[number + 1] for number, word in enumerate(words) if word == option]

    def compose(self, *arguments: str) -> list[str]:
        """Returns `docker compose ARGUMENTS` with the files and options that the script gives; to be run in the checkout."""
        return ["docker", "compose", *self.tests.options, *arguments]

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Returns the variables that `docker compose` gets of the script. environ: the caller's."""
        return {**environ, **{name: shell.expanded(value, environ) for name, value in self.exported.items()}}

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Returns what runs behind the entrypoint in the tests' container if the script gets these arguments."""
        return [word for part in self.tests.words for word in (arguments if part in shell.ARGUMENTS else [part])]

    def passed(self, checkout: Path, environ: Mapping[str, str]) -> dict[str, str]:
        """Returns the variables that the script passes with -e. A name alone has the caller's value, or that of .env, and is left out
        if there is none.

        environ: the caller's variables. Raises process.Failed if Compose cannot read .env.
        """
        entries = [entry.partition("=") for entry in self.tests.values("env")]
        known = self.environment(environ)
        known = {**self.of_dotenv(checkout, {name for name, _, _ in entries} - {*known}), **known}
        return {
            name: shell.expanded(value, known) if equals else known[name]
            for name, equals, value in entries
            if equals or name in known
        }

    def of_dotenv(self, checkout: Path, names: set[str]) -> dict[str, str]:
        """Returns those of the variables that the checkout's .env sets, as Compose reads it. Asks it only if one is named there."""
        path = checkout / ".env"
        text = path.read_text(errors="replace") if path.is_file() else ""
        if not any(re.search(rf"^\s*(export\s+)?{re.escape(name)}\s*[=:]", text, re.MULTILINE) for name in names):
            return {}
        answer = process.run(self.compose("config", "--environment"), cwd=checkout, timeout=60)
        given = dict(line.partition("=")[::2] for line in answer.splitlines())
        return {name: given[name] for name in names if name in given}


def read(checkout: Path, config_next: bool) -> Harness:
    """Returns what the checkout's t.sh does, or tn.sh if `config_next`. If there is no such script, it does what is usual."""
    script = TN if config_next else T
    try:
        text = (checkout / script).read_text(errors="replace")
    except OSError as error:
        return replace(usual(script), notes=(f"{script}: {error.strerror}; {INSTEAD}",))
    return of_text(script, text)


def usual(script: str) -> Harness:
    """Returns what the script usually does. Its steps stand nowhere."""
    found = of_text(script, USUAL[script])
    return replace(
        found, tests=replace(found.tests, where=""), before=tuple(replace(step, where="") for step in found.before)
    )


def of_text(script: str, text: str) -> Harness:
    """Returns what a script does. script: t.sh or tn.sh."""
    steps: list[Step] = []
    notes, unclear = [], []
    lines, exported = shell.read(text)
    for line in lines:
        where = f"{script}:{line.number}"
        try:
            found = steps_of(line, where)
        except Unclear as error:
            unclear.append(line.number)
            notes.append(f"{where} is not understood ({error}); {INSTEAD}")
            continue
        if found is None:
            notes.append(f"{where} is not followed: {line.text}")
        else:
            steps += found
    tests = next((step for step in reversed(steps) if set(step.words) & {*shell.ARGUMENTS}), None)
    if tests is None:
        otherwise = usual(script)
        if not unclear:
            notes.append(f'{script} has no `docker compose run` with "$@"; {INSTEAD}')
        others = tuple(step for step in steps if step.service != BOULDER)
        return replace(otherwise, before=others or otherwise.before, notes=tuple(notes))
    before = tuple(steps[: steps.index(tests)])
    if not before and any(number < int(tests.where.rpartition(":")[2]) for number in unclear):
        before = usual(script).before
    notes += [f"{step.where} is not followed: it comes after the tests" for step in steps[steps.index(tests) + 1 :]]
    names = {entry.partition("=")[0] for entry in tests.values("env")}
    for name, value in exported.items():
        if name not in names or not shell.is_simple(value):
            notes.append(f"{script} sets {name}, which is not followed")
    exported = {name: value for name, value in exported.items() if name in names and shell.is_simple(value)}
    refused = tests.unlike() + [text for step in before for text in step.unlike(but="no-deps")]
    if tests.service != BOULDER:
        refused.append(f"{tests.where} runs the tests in the service {tests.service}")
    refused += [f"{step.where} runs {BOULDER} before the tests" for step in before[:1] if step.service == BOULDER]
    refused += [f"{step.where} runs {step.service}, a second service before the tests" for step in before[1:]]
    return Harness(script, tests, before, exported, tuple(notes), tuple(refused))


def with_setup(document: dict, script: Harness, environ: Mapping[str, str]) -> dict:
    """Returns the resolved Compose file with the service that the script runs first under the name bsetup, as it runs it.

    A service that others depend on stays where it is: it runs anyway. `document` itself stays as it is.
    """
    services = dict(document["services"])
    for step in script.before[:1]:
        depended = any(step.service in (one.get("depends_on") or ()) for one in services.values())
        if step.service not in services or step.service == BOULDER or depended:
            continue
        service = services.pop(step.service)
        given = dict(entry.partition("=")[::2] for entry in step.values("env") if "=" in entry)
        given |= {name: environ[name] for name in step.values("env") if name in environ}
        changed = {"environment": {**(service.get("environment") or {}), **given}} if given else {}
        if step.words or step.values("entrypoint"):
            changed |= {"entrypoint": step.entrypoint(service.get("entrypoint") or []), "command": list(step.words)}
        services[SETUP] = {**service, **changed}
    return {**document, "services": services}
