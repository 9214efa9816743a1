"""One `docker compose` command line of a script: which services it runs, and with which options.

Compose's options: https://docs.docker.com/reference/cli/docker/compose/run/
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from . import shell
from .shell import Line, Unclear

# Options, as shell.options takes them. Of `docker compose` itself: Compose gets them with all that we ask it.
GLOBAL = (
    "f file=",
    "profile=",
    "env-file=",
    "p project-name=",
    "project-directory=",
    "ansi=",
    "progress=",
    "parallel=",
)
GLOBAL += ("compatibility", "all-resources", "verbose")
FOLLOWED = ("e env=", "name=", "entrypoint=")
HARMLESS = ("rm", "l label=", "build", "pull=", "quiet-pull", "quiet-build", "q quiet", "remove-orphans", "use-aliases")
HARMLESS += ("T no-TTY", "i interactive", "t tty")  # our wrapper gives a terminal if it has one itself
UNLIKE = ("u user=", "w workdir=", "v volume=", "p publish=", "P service-ports", "cap-add=", "cap-drop=", "d detach")
UNLIKE += ("no-deps", "env-from-file=")
UP = (
    "build",
    "pull=",
    "quiet-pull",
    "no-log-prefix",
    "no-color",
    "remove-orphans",
    "abort-on-container-exit",
    "no-build",
)
UP += ("exit-code-from=", "force-recreate")
# Verbs that change nothing that tests see: `up` and the wrappers build and pull too.
PREPARING = {"build", "config", "images", "logs", "ls", "ps", "pull", "rm", "version"}


@dataclass(frozen=True)
class Step:
    """One service that a script runs. where: such as t.sh:16. options: of `docker compose` itself, as words. given: those of `run`,
    each with its value. words: what follows the service.
    """

    where: str
    options: tuple[str, ...]
    given: tuple[tuple[str, str], ...]
    service: str
    words: tuple[str, ...] = ()

    def values(self, option: str) -> list[str]:
        """Returns the values of an option, in order."""
        return [value for name, value in self.given if name == option]

    def entrypoint(self, usual: Sequence[str]) -> list[str]:
        """Returns the container's entrypoint. usual: the Compose file's."""
        given = self.values("entrypoint")
        return shlex.split(given[-1]) if given else list(usual)

    def unlike(self, but: str = "") -> list[str]:
        """Returns what it does and we cannot, a line each. but: an option that does not count."""
        names = {entry.split()[-1].rstrip("=") for entry in UNLIKE} - {but}
        return [f"{self.where} has --{name}" for name, value in self.given if name in names and value != "false"]


def steps_of(line: Line, where: str) -> list[Step] | None:
    """Returns what a line runs: nothing if that is nothing that tests see, None if it is something else. Raises Unclear."""
    if line.unclear:
        raise Unclear(line.unclear)
    given, rest = shell.options(line.words, GLOBAL)
    takers = {entry.split()[-1] for entry in GLOBAL}
    options = tuple(
        word for name, value in given for word in ([f"--{name}", value] if f"{name}=" in takers else [f"--{name}"])
    )
    verb, arguments = rest[0] if rest else "", rest[1:]
    if verb == "run":
        given, rest = shell.options(arguments, (*FOLLOWED, *HARMLESS, *UNLIKE))
        if not rest:
            raise Unclear("it names no service")
        service, *words = rest
        checked = [*options, service, *(value for name, value in given if name != "name"), *words]
        if vague := [word for word in checked if word not in shell.ARGUMENTS and not shell.is_simple(word)]:
            raise Unclear(f"{vague[0]} is more than a variable")
        if vague := [word for word in (*options, service, *words) if "$" in word and word not in shell.ARGUMENTS]:
            raise Unclear(f"{vague[0]} is known to the script only")
        found = Step(where, options, tuple(given), service, tuple(words))
        try:
            found.entrypoint(())
        except ValueError as error:  # a quotation mark is missing
            raise Unclear(f"--entrypoint: {str(error).lower()}") from error
        return [found]
    if verb == "up":
        try:
            _, services = shell.options(arguments, UP)
        except Unclear:
            return None
        return [Step(where, options, (), service) for service in services] or None
    return [] if verb in PREPARING else None
