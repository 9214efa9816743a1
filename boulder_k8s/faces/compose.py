"""ck8s.sh: Docker Compose's words, turned into a task of invoke's. Wrong words are two lines and exit code 2."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from difflib import get_close_matches

from ..commands import typed
from ..commands.cli import told
from ..host.errors import Problem
from ..host.progress import note
from .options import Given, apart
from .verbs import ALWAYS, GLOBAL, VERBS, WITHOUT, Verb

NEXT = "docker-compose.next.yml"
FILES = ("docker-compose.yml", "compose.yaml", "docker-compose.override.yml", NEXT)
HELP = """Usage: ck8s.sh [-f docker-compose.yml -f docker-compose.next.yml] VERB [FLAGS] [WORDS]

Docker Compose's words for Boulder on a local Kubernetes cluster; README.md of boulder-k8s has a table.
"""


def main(words: list[str]) -> int:
    """Does what is typed behind ck8s.sh; returns the exit code. Without words, or with --help, it prints the verbs."""
    if not words or words[0] in ("-h", "--help", "help"):
        verbs = "".join(f"    {name:10} invoke {verb.task}\n" for name, verb in sorted(VERBS.items()))
        sys.stdout.write(f"{HELP}\n{verbs}\n`invoke --help TASK` shows what a task takes.\n")
        return 0
    try:
        task = turned(words, os.environ)
    except Problem as problem:
        return told(problem.message, problem.advice(), problem.exit_code)
    return typed.main(task)


def turned(words: list[str], environ: MutableMapping[str, str]) -> list[str]:
    """Returns the words for invoke. environ: gets BOULDER_DIR if --project-directory says so. Raises Problem if something is mistyped, or
    has no counterpart.
    """
    given, rest = apart(words, GLOBAL, "ck8s.sh", stops=True)
    config_next = False
    for flag, value in given:
        if flag == "--project-directory":
            environ["BOULDER_DIR"] = value
        elif os.path.basename(value) not in FILES:
            raise Problem(
                f"ck8s.sh reads the checkout's own Compose files, not {value}.",
                f"-f docker-compose.yml -f {NEXT} means config-next; put other changes into docker-compose.override.yml.",
            )
        else:
            config_next |= os.path.basename(value) == NEXT
    if not rest:
        raise Problem("ck8s.sh has got no verb.", "Type one, such as `up`; `ck8s.sh --help` shows all.")
    name, *left = rest
    if name in WITHOUT:
        raise Problem(f"{name} has no counterpart on Kubernetes.", WITHOUT[name])
    if name not in VERBS:
        meant = get_close_matches(name, [*VERBS, *WITHOUT], 1)
        raise Problem(
            f"There is no {name} in Docker Compose.",
            f"Did you mean `{meant[0]}`? `ck8s.sh --help` shows all." if meant else "`ck8s.sh --help` shows all.",
        )
    verb = VERBS[name]
    if verb.takes == "words":
        given, left = [], left
    else:
        given, left = apart(left, {**ALWAYS, **(verb.flags or {})}, name, stops=verb.takes == "command")
    if ("--help", "") in given:
        return [verb.task.split()[0], "--help"]
    found = SPECIAL.get(name, usual)(verb, given, left, environ)
    return with_next(found) if config_next else found


def flags(given: Given) -> list[str]:
    """Returns flags and their values as words for invoke."""
    return [f"{name}={value}" if value else name for name, value in given]


def with_next(found: list[str]) -> list[str]:
    """Returns words for invoke with --next. Tasks that take no such flag use what runs."""
    return [found[0], "--next", *found[1:]] if found[0] in ("up", "run", "render", "certificates") else found


def usual(verb: Verb, given: Given, words: list[str], _: Mapping[str, str]) -> list[str]:
    """Returns the words for invoke of a verb that only has other names there. Raises Problem if it takes no words and got some."""
    if not verb.takes and words:
        name = next(name for name, other in VERBS.items() if other is verb)
        raise Problem(f"{name} is about all services, not {words[0]} alone.", "Leave the name out.")
    task, *more = verb.task.split()
    own = [word for word in more if word.startswith("--")]
    behind = [*(word for word in more if word not in own), *words]
    return [task, *own, *flags(given), *(["--", *behind] if behind else [])]


def ps(verb: Verb, given: Given, words: list[str], environ: Mapping[str, str]) -> list[str]:
    """As `usual`. Raises Problem for a format other than a table and JSON."""
    for _, value in given:
        if value not in ("table", "json"):
            raise Problem(f"ps --format {value} has no counterpart on Kubernetes.", "There are `table` and `json`.")
    return usual(verb, [("--json", "") for _, value in given if value == "json"], words, environ)


def port(verb: Verb, given: Given, words: list[str], environ: Mapping[str, str]) -> list[str]:
    """As `usual`. Raises Problem for a protocol other than TCP."""
    for _, value in given:
        if value.lower() != "tcp":
            raise Problem(
                f"port --protocol {value} has no counterpart on Kubernetes.",
                "Boulder's ports are TCP ports: leave it out.",
            )
    return usual(verb, [], words, environ)


def exec(verb: Verb, given: Given, words: list[str], _: Mapping[str, str]) -> list[str]:
    """Returns the words for invoke of `exec [FLAGS] SERVICE COMMAND`. Raises Problem if one is missing."""
    if len(words) < 2:
        raise Problem("exec needs a service and a command.", "Write both: `exec bconsul consul members`.")
    return ["exec", *flags(given), "--service", words[0], "--", *words[1:]]


def run(verb: Verb, given: Given, words: list[str], environ: Mapping[str, str]) -> list[str]:
    """Returns the words for invoke of `run [FLAGS] SERVICE COMMAND`. Raises Problem if that cannot be done here."""
    if not words:
        raise Problem("run needs a service and a command.", "Write both: `run --rm boulder go version`.")
    service, *command = words
    if service == "bsetup":
        return ["certificates"]
    if service != "boulder":
        raise Problem(
            f"run starts a container of boulder or bsetup here, not of {service}.",
            "Did you mean `boulder`?"
            if get_close_matches(service, ["boulder"], cutoff=0.8)
            else f"`exec {service} COMMAND` runs one beside the service.",
        )
    found = of_variables(given, environ)
    names = dict(given)
    if "--detach" in names:
        if "--service-ports" not in names or command not in ([], ["./start.py"], ["start.py"]):
            raise Problem(
                "run --detach has no counterpart on Kubernetes.", "`up -d` starts Boulder; end other commands with &."
            )
        if lost := [name for name, _ in found if name not in ("--fake-dns", "--next", "--no-tty")]:
            raise Problem(
                f"run --detach takes no {lost[0].removeprefix('--')} here.",
                "It is `up`: docs/acme-clients.md has its flags.",
            )
        note("run --detach is `up` here: Boulder answers when it ends, and `stop boulder` ends it")
        return ["up", *flags([item for item in found if item[0] != "--no-tty"])]
    if not command and "--entrypoint" not in names:
        command = ["python3", "./start.py"]  # as test/entrypoint.sh does without words
    return ["run", *flags(found), "--", *command]


def of_variables(given: Given, environ: Mapping[str, str]) -> Given:
    """Returns the flags with those variables that have a flag of their own here, and without what means `up`."""
    found: Given = []
    for name, value in given:
        variable, equals, text = value.partition("=")
        text = text if equals else environ.get(variable, "")
        if name == "--env" and variable == "FAKE_DNS":
            found += [("--fake-dns", text)] if text else []
        elif name == "--env" and variable == "BOULDER_CONFIG_DIR":
            found += [("--next", "")] if text.rstrip("/") == "test/config-next" else []
        elif name != "--detach":
            found.append((name, value))
    detached = any(name == "--detach" for name, _ in given)
    return [item for item in found if not (detached and item[0] == "--service-ports")]


def up(verb: Verb, given: Given, words: list[str], environ: Mapping[str, str]) -> list[str]:
    """Returns the words for invoke of `up [FLAGS] [SERVICE...]`. Raises Problem if others than Boulder are to be made anew."""
    if words == ["bsetup"]:
        return ["certificates"]
    names = {name for name, _ in given}
    if "--anew" in names and "boulder" not in words:
        raise Problem(
            "up --force-recreate is about boulder alone here.",
            "Write `up --force-recreate boulder`; `restart` starts every service again, or those that are named.",
        )
    kept = [item for item in given if item[0] != "--detach"]
    shown = [] if "--detach" in names else ["=".join(["--attach", *filter(None, [",".join(words)])])]
    return ["up", *flags(kept), *shown, *([] if words in ([], ["boulder"]) else ["--", *words])]


def rm(verb: Verb, given: Given, words: list[str], environ: Mapping[str, str]) -> list[str]:
    """Returns the words for invoke of `rm --stop --force SERVICE`. Raises Problem without the two: Compose would leave what runs, and ask."""
    if {"--stop", "--force"} - {name for name, _ in given}:
        raise Problem(
            "rm removes a service with its databases, without a question.", "Write it so: `rm -sfv bmariadb`."
        )
    return usual(verb, [], words, environ)


SPECIAL: dict[str, Callable[[Verb, Given, list[str], Mapping[str, str]], list[str]]] = {
    "exec": exec,
    "port": port,
    "ps": ps,
    "rm": rm,
    "run": run,
    "up": up,
}
