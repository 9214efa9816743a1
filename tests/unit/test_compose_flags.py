"""ck8s.sh: every flag of `docker compose VERB --help` (2.40) is taken, or refused with what to do; none means something else."""

from __future__ import annotations

import pytest
from unit.test_compose_words import invoke_takes

from boulder_k8s.faces import compose
from boulder_k8s.host.errors import Problem

# Verb, with the words that it needs: its flags. = stands behind one that has a value.
FLAGS = {
    "run boulder ls": "--build --cap-add= --cap-drop= -d --detach --dry-run --entrypoint= -e= --env= --env-from-file= -i --interactive -l= --label= --name= -T "
    "--no-TTY --no-deps -p= --publish= --pull= -q --quiet --quiet-build --quiet-pull --remove-orphans --rm -P --service-ports --use-aliases -u= "
    "--user= -v= --volume= -w= --workdir=",
    "exec boulder ls": "-d --detach --dry-run -e= --env= --index= -T --no-tty --privileged -u= --user= -w= --workdir=",
    "up": "--abort-on-container-exit --abort-on-container-failure --always-recreate-deps --attach= --attach-dependencies --build -d --detach --dry-run "
    "--exit-code-from= --force-recreate --menu --no-attach= --no-build --no-color --no-deps --no-log-prefix --no-recreate --no-start --pull= --quiet-build "
    "--quiet-pull --remove-orphans -V --renew-anon-volumes --scale= -t= --timeout= --timestamps --wait --wait-timeout= -w --watch -y --yes",
    "logs": "--dry-run -f --follow --index= --no-color --no-log-prefix --since= -n= --tail= -t --timestamps --until=",
    "ps": "-a --all --dry-run --filter= --format= --no-trunc --orphans -q --quiet --services --status=",
    "down": "--dry-run --remove-orphans --rmi= -t= --timeout= -v --volumes",
    "stop": "--dry-run -t= --timeout=",
    "restart": "--dry-run --no-deps -t= --timeout=",
    "rm -sf bmariadb": "--dry-run -f --force -s --stop -v --volumes",
    "start": "--dry-run",
    "port boulder 4001": "--dry-run --index= --protocol=",
    "top": "--dry-run",
    "images": "--dry-run --format= -q --quiet",
    "config": "--dry-run --environment --format= --hash= --images --lock-image-digests --models --networks --no-consistency --no-env-resolution "
    "--no-interpolate --no-normalize --no-path-resolution -o= --output= --profiles -q --quiet --resolve-image-digests --services --variables --volumes",
    "pull": "--dry-run --ignore-buildable --ignore-pull-failures --include-deps --policy= -q --quiet",
    "build": "--build-arg= --builder= --check --dry-run -m= --memory= --no-cache --print --provenance= --pull --push -q --quiet --sbom= --ssh= "
    "--with-dependencies",
    "kill": "--dry-run --remove-orphans -s= --signal=",
    "watch": "--dry-run --no-up --prune --quiet",
    "": "--all-resources --ansi= --compatibility --dry-run --env-file= -f= --file= --parallel= --profile= --progress= --project-directory= -p= "
    "--project-name=",
}
VALUES = {
    "-f=": "docker-compose.yml",
    "--file=": "docker-compose.yml",
    "--format=": "json",
    "--protocol=": "tcp",
    "--wait-timeout=": "60",
}
EACH = [(verb, flag) for verb, flags in FLAGS.items() for flag in flags.split()]


def typed(verb: str, flag: str) -> list[str]:
    """What somebody types who uses this flag."""
    name, *words = verb.split() or ["", "ps"]
    before = [name] if name else []  # else it stands before the verb
    return [*before, flag.rstrip("="), *([VALUES.get(flag, "7")] if flag.endswith("=") else []), *words]


@pytest.mark.parametrize(("verb", "flag"), EACH)
def test_each_flag_is_taken_or_refused_with_what_to_do(verb: str, flag: str, capsys) -> None:
    words = typed(verb, flag)
    try:
        found = compose.turned(words, {})
    except Problem as problem:
        assert "has no flag" not in problem.message
        assert len(problem.advice()) > 20
        assert compose.main(words) == 2
        assert capsys.readouterr().err.count("boulder-k8s: ") == 2
    else:
        invoke_takes(found)


# What somebody types: words for invoke; or "!" and a part of what is said instead.
MEANT = {
    "up bmariadb": "up --attach=bmariadb -- bmariadb",
    "up -d boulder bmariadb": "up -- boulder bmariadb",
    "up --force-recreate bmariadb": "!`restart`",
    "up --no-recreate": "!`start`",
    "up --no-build": "!--offline",
    "up --force-recreate": "!`restart`",
    "up --always-recreate-deps": "!`restart`",
    "up --force-recreate boulder": "up --anew --attach=boulder",
    "up --timestamps": "up --timestamps --attach",
    "up --build=false": "up --attach",
    "up --menu=false": "up --attach",
    "watch": "up --watch",
    "run --env-from-file .env boulder ls": "!-e NAME=VALUE",
    "run -q boulder ls": "!/dev/null",
    "run -dT --service-ports boulder": "up",
    "run -i=false boulder ls": "!< /dev/null",
    "run --rm=f boulder ls": "run -- ls",
    "run --tty=false boulder ls": "run --no-tty -- ls",
    "exec --tty=false boulder ls": "exec --no-tty --service boulder -- ls",
    "run --workdir= boulder ls": "!lacks its value",
    "run -w  boulder": "!lacks its value",
    "logs --follow=maybe": "!is true or false",
    "logs --follow=F": "logs",
    "logs -n 5 bconsul": "logs --tail=5 -- bconsul",
    "logs -fn5": "logs --follow --tail=5",
    "ps --services": "!--format json",
    "port --protocol udp boulder 4001": "!TCP",
    "port --protocol=tcp boulder 4001": "port -- boulder 4001",
    "port --index 1 boulder 4001": "!one container",
    "stop --dry-run": "!`config`",
    "--version": "!`invoke doctor`",
    "up --help": "up --help",
    "run --rm --help": "run --help",
    "run boulder ls --help": "run -- ls --help",
    "build --help": "images -- build --help",
}


@pytest.mark.parametrize("words", MEANT)
def test_what_a_flag_means(words: str) -> None:
    there = words.split(" ")
    expected = MEANT[words]
    if expected.startswith("!"):
        with pytest.raises(Problem) as caught:
            compose.turned(there, {})
        assert expected[1:] in f"{caught.value.message} {caught.value.advice()}"
    else:
        assert compose.turned(there, {}) == expected.split()


@pytest.mark.parametrize(
    "words",
    [
        "run --name me boulder ls",
        "run --detach --service-ports boulder",
        "run -l a=b boulder ls",
        "stop -t 1",
        "up -d -t 9",
        "restart -t=1",
    ],
)
def test_what_is_taken_and_changes_nothing_is_said(words: str, capsys) -> None:
    compose.turned(words.split(), {})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"boulder-k8s: {words.split()[0]} -")
