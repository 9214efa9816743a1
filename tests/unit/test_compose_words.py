"""ck8s.sh: what people type after `docker compose`, as words for invoke; and what is refused, with what to do."""

from __future__ import annotations

import pytest
from invoke import Collection
from invoke.parser import Parser

from boulder_k8s.commands.typed import TAKES, apart
from boulder_k8s.faces import compose
from boulder_k8s.faces.verbs import VERBS, WITHOUT
from boulder_k8s.host.errors import Problem

# Boulder's README and docs, its issues, and the scripts of ACME clients (certbot's and dehydrated's forks, crag, mod_md, lua-resty-acme ...).
TURNED = {
    "logs -f bconsul": "logs --follow -- bconsul",
    "logs --tail 20 --no-log-prefix --no-color boulder": "logs --tail=20 --no-log-prefix --no-color -- boulder",
    "logs -n5 -t bredis_1 bredis_2": "logs --tail=5 --timestamps -- bredis_1 bredis_2",
    "logs --since=10m": "logs --since=10m",
    "exec bmariadb mariadb boulder_sa -e show": "exec --service bmariadb -- mariadb boulder_sa -e show",
    "exec -T -w /tmp -u mysql -e A=1 bmariadb ls -l": "exec --no-tty --workdir=/tmp --user=mysql --env=A=1 --service bmariadb -- ls -l",
    "exec -it boulder bash": "exec --service boulder -- bash",
    "run --rm boulder go version": "run -- go version",
    "run bsetup": "certificates",
    "run --rm bsetup": "certificates",
    "up bsetup": "certificates",
    "run --use-aliases -e FAKE_DNS=172.17.0.1 --service-ports boulder ./start.py": "run --fake-dns=172.17.0.1 --service-ports -- ./start.py",
    "run -d --use-aliases -e FAKE_DNS=172.17.0.1 --service-ports boulder ./start.py": "up --fake-dns=172.17.0.1",
    "run -d --service-ports -e FAKE_DNS=172.17.0.1 boulder": "up --fake-dns=172.17.0.1",
    "run -e BOULDER_CONFIG_DIR=test/config-next --service-ports boulder ./start.py": "run --next --service-ports -- ./start.py",
    "run --use-aliases boulder go test -p 1 ./...": "run -- go test -p 1 ./...",
    "run --use-aliases boulder python3 test/integration-test.py --gotest --filter X": "run -- python3 test/integration-test.py --gotest --filter X",
    "run -e USE_VITESS --rm --name boulder_tests boulder ./test.sh -u": "run --env=USE_VITESS -- ./test.sh -u",
    "run --entrypoint bash -it boulder": "run --entrypoint=bash --",
    "run boulder": "run -- python3 ./start.py",
    "restart": "restart",
    "restart -t 1 boulder": "restart -- boulder",
    "stop bredis_1": "stop -- bredis_1",
    "start": "start",
    "kill boulder": "stop -- boulder",
    "rm -sfv bmariadb": "rm -- bmariadb",
    "rm --stop --force bmysql": "rm -- bmysql",
    "ps": "status",
    "ps --format json boulder": "status --json -- boulder",
    "top boulder": "top -- boulder",
    "port boulder 4001": "port -- boulder 4001",
    "watch": "up --watch",
    "watch boulder": "up --watch -- boulder",
    "config": "render",
    "images": "images",
    "up": "up --attach",
    "up -d": "up",
    "up --detach --force-recreate boulder": "up --anew",
    "up --no-log-prefix boulder": "up --no-log-prefix --attach=boulder",
    "up -d bmariadb bredis_1": "up -- bmariadb bredis_1",
    "up bproxysql bconsul": "up --attach=bproxysql,bconsul -- bproxysql bconsul",
    "up boulder bconsul": "up --attach=boulder,bconsul -- boulder bconsul",
    "down -v": "down",
    "down --volumes --remove-orphans -t 0": "down",
    "pull": "images -- pull",
    "pull --quiet boulder": "images -- pull --quiet boulder",
    "build --no-cache boulder": "images -- build --no-cache boulder",
    "link": "link",
    "-f docker-compose.yml -f docker-compose.next.yml up -d": "up --next",
    "-f docker-compose.yml -f docker-compose.next.yml run --rm boulder ./test.sh": "run --next -- ./test.sh",
    "--progress=plain -f ./docker-compose.yml logs": "logs",
    "logs --follow=false": "logs",
}


@pytest.mark.parametrize("words", TURNED)
def test_composes_words_are_invokes(words: str) -> None:
    found = compose.turned(words.split(), {})
    assert found == TURNED[words].split()
    invoke_takes(found)


def invoke_takes(words: list[str]) -> None:
    """invoke knows the task and its flags."""
    import tasks

    parser = Parser(contexts=Collection.from_module(tasks).to_contexts())
    typed = words[: words.index("--")] if "--" in words else words
    if typed[0] in TAKES:
        assert apart(typed[1:], parser.contexts[typed[0]])[1] == []
    parser.parse_argv(typed)


@pytest.mark.parametrize("name", VERBS)
def test_every_flag_of_the_table_is_one_of_the_task(name: str) -> None:
    import tasks

    verb = VERBS[name]
    known = Parser(contexts=Collection.from_module(tasks).to_contexts()).contexts[verb.task.split()[0]].flags
    names = {here for here in (verb.flags or {}).values() if isinstance(here, str) and here}
    own = {"--detach", "--stop", "--force", "--format", "--protocol"}  # what compose.py itself makes something of
    assert names - own <= set(known)


def test_a_variable_without_a_value_has_that_of_the_shell() -> None:
    words = ["run", "-e", "FAKE_DNS", "--service-ports", "boulder", "./start.py"]
    assert compose.turned(words, {"FAKE_DNS": "10.0.0.1"})[1] == "--fake-dns=10.0.0.1"
    assert "--fake-dns" not in " ".join(compose.turned(words, {}))


def test_a_project_directory_is_the_checkout() -> None:
    environ: dict[str, str] = {}
    assert compose.turned(["--project-directory", "/src/boulder", "ps"], environ) == ["status"]
    assert environ == {"BOULDER_DIR": "/src/boulder"}


REFUSED = [
    ("logz", "There is no logz in Docker Compose.", "Did you mean `logs`?"),
    ("xyzzy", "There is no xyzzy in Docker Compose.", "`ck8s.sh --help` shows all."),
    ("-f docker-compose.yml", "ck8s.sh has got no verb.", "such as `up`"),
    ("logs --folow", "logs has no flag --folow.", "Did you mean `--follow`?"),
    ("logs -9", "logs has no flag -9.", "`docker compose logs --help`"),
    ("--fil x up", "ck8s.sh has no flag --fil.", "Did you mean `--file`? `docker compose --help`"),
    ("logs --tail", "logs --tail lacks its value.", "`logs --tail VALUE`"),
    ("logs --until 5m", "logs --until has no counterpart on Kubernetes.", "--since"),
    ("--dry-run up", "ck8s.sh --dry-run has no counterpart on Kubernetes.", "`config`"),
    (
        "-f other.yml up",
        "ck8s.sh reads the checkout's own Compose files, not other.yml.",
        "docker-compose.override.yml",
    ),
    ("exec bconsul", "exec needs a service and a command.", "`exec bconsul consul members`"),
    ("exec -d boulder ls", "exec -d has no counterpart on Kubernetes.", "&"),
    ("run", "run needs a service and a command.", "`run --rm boulder go version`"),
    (
        "run bredis_1 sh",
        "run starts a container of boulder or bsetup here, not of bredis_1.",
        "`exec bredis_1 COMMAND`",
    ),
    ("run -d boulder go test", "run --detach has no counterpart on Kubernetes.", "`up -d`"),
    ("run -d --service-ports -e A=1 boulder", "run --detach takes no env here.", "docs/acme-clients.md"),
    ("run -v /a:/b boulder ls", "run -v has no counterpart on Kubernetes.", "/boulder"),
    ("up -d --no-deps boulder", "up --no-deps has no counterpart on Kubernetes.", "what runs already is left alone"),
    ("up --force-recreate bmariadb", "up --force-recreate is about boulder alone here.", "`restart`"),
    ("up --build", "up --build has no counterpart on Kubernetes.", "`build`"),
    ("down boulder", "down is about all services, not boulder alone.", "Leave the name out."),
    ("rm bmariadb", "rm removes a service with its databases, without a question.", "`rm -sfv bmariadb`"),
    ("ps --format xml", "ps --format xml has no counterpart on Kubernetes.", "`json`"),
    ("port --index 2 boulder 4001", "port --index has no counterpart on Kubernetes.", "one container"),
    ("config boulder", "config is about all services, not boulder alone.", "Leave the name out."),
    ("run bouldr ls", "run starts a container of boulder or bsetup here, not of bouldr.", "Did you mean `boulder`?"),
    ("config --services", "config --services has no counterpart on Kubernetes.", "`docker compose config`"),
]


@pytest.mark.parametrize(("words", "message", "advice"), REFUSED)
def test_what_is_mistyped_or_has_no_counterpart_is_two_lines(words: str, message: str, advice: str, capsys) -> None:
    with pytest.raises(Problem) as caught:
        compose.turned(words.split(), {})
    assert caught.value.message == message
    assert advice in caught.value.advice()
    assert compose.main(words.split()) == 2
    assert capsys.readouterr().err.count("boulder-k8s: ") == 2


@pytest.mark.parametrize("verb", WITHOUT)
def test_a_verb_without_a_counterpart_says_what_to_do(verb: str) -> None:
    with pytest.raises(Problem, match=f"{verb} has no counterpart on Kubernetes.") as caught:
        compose.turned([verb, "x"], {})
    assert len(caught.value.advice()) > 20


def test_every_verb_of_compose_is_known() -> None:
    """`docker compose --help` of 2.40, without what manages Compose itself."""
    known = "attach build commit config cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale "
    known += "start stats stop top unpause up version volumes wait watch"
    assert set(known.split()) == {*VERBS, *WITHOUT} - {"link"}


def test_without_words_the_verbs_are_shown(capsys) -> None:
    for words in ([], ["--help"]):
        assert compose.main(words) == 0
        assert "    ps         invoke status" in capsys.readouterr().out
