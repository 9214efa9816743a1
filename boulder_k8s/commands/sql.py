"""`invoke sql`: the databases' own client, in their container."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from ..host.settings import Settings
from .exec import become_kubectl, execute
from .lifecycle import by_name, cluster_of

DATABASE = "boulder_sa"
CLIENT = ["sh", "-c", 'command -v mariadb >/dev/null && exec mariadb "$@"; exec mysql "$@"', "sql"]
VITESS = ["mysql", "-h", "127.0.0.1", "-P", "33577"]  # as docker-compose.yml's healthcheck
SERVERS = ("bmariadb", "bmysql")


def sql(settings: Settings, words: Sequence[str], vitess: bool = False) -> NoReturn:
    """Replaces this process by the client. words: the database, boulder_sa without one, then the client's arguments. vitess: that of Vitess.
    Raises Problem and ApiError as exec.execute does.
    """
    database, rest = (words[0], words[1:]) if words and not words[0].startswith("-") else (DATABASE, words)
    if vitess:
        execute(settings, "bvitess", [*VITESS, "-D", database, *rest])
    there = by_name(cluster_of(settings).api)
    execute(settings, next((name for name in SERVERS if name in there), SERVERS[0]), [*CLIENT, "-D", database, *rest])


def kubectl(settings: Settings, words: Sequence[str]) -> NoReturn:
    """Replaces this process by kubectl, for our cluster and namespace. Raises Problem if the cluster does not run or is not ours."""
    become_kubectl(cluster_of(settings).kubectl.command(*words))
