"""What Docker Compose gives a command in a container, and `kubectl exec` does not know: variables, a directory, a user, no terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..host.errors import Problem

DIRECTORY = 'cd -- "$0" && exec "$@"'
# The official images' own programs first; boulder-tools has util-linux.
USER = 'for each in gosu su-exec; do command -v $each >/dev/null && exec $each "$0" "$@"; done; '
USER += 'exec setpriv --reuid="$0" --regid="$(id -g "$0")" --init-groups "$@"'


@dataclass(frozen=True)
class Inside:
    """How a command runs. environment: further variables. workdir: a directory of the container, user: a name or number; empty: the
    container's own. terminal: if False, it gets none, though we have one.
    """

    environment: Mapping[str, str] | None = None
    workdir: str = ""
    user: str = ""
    terminal: bool = True

    def words(self, command: list[str]) -> list[str]:
        """Returns the command that runs it so, in a container that has `env` and `sh`."""
        if self.workdir:
            command = ["sh", "-c", DIRECTORY, self.workdir, *command]
        if self.user not in ("", "root", "0", "0:0", "root:root"):
            command = ["sh", "-c", USER, self.user.partition(":")[0], *command]
        if self.environment:
            command = ["env", *(f"{name}={value}" for name, value in self.environment.items()), *command]
        return command


PLAIN = Inside()


def variables(words: Iterable[str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Returns variables of NAME=VALUE, or of NAME, whose value is ours; one that we do not have is left out, as Compose does. Raises
    Problem if one has no name.
    """
    found = {}
    for word in words:
        name, given, value = word.partition("=")
        if not name:
            raise Problem(f"--env {word} has no name.", "Write NAME=VALUE, or the NAME of a variable that is set.")
        if given or name in environ:
            found[name] = value if given else environ[name]
    return found
