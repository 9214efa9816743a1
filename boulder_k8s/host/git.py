"""The one door to git: what a git hook's environment says about its own repository never leads us there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from . import process

# What may pass: how git reaches a server, and the user's own settings. Everything else, such as GIT_DIR, GIT_INDEX_FILE and
# GIT_CONFIG_COUNT (`git rev-parse --local-env-vars`), is about somebody's repository or somebody's command.
# https://git-scm.com/docs/git#_environment_variables
PASSED = {
    "GIT_ALLOW_PROTOCOL",
    "GIT_ASKPASS",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_CURL_VERBOSE",
    "GIT_EXEC_PATH",
    "GIT_PROXY_COMMAND",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_TERMINAL_PROMPT",
}
PASSED_GROUPS = ("GIT_SSL_", "GIT_HTTP_", "GIT_TRACE")
# No hook and no monitor of the user's runs for what we do: it may write into a repository that it does not expect.
SETTINGS = {"core.fsmonitor": "false", "core.hooksPath": os.devnull}


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Returns an environment for git without the variables that are about another repository, and with SETTINGS."""
    passed = {
        name: value
        for name, value in environ.items()
        if not name.startswith("GIT_") or name in PASSED or name.startswith(PASSED_GROUPS)
    }
    given = {"GIT_CONFIG_COUNT": str(len(SETTINGS))}
    for number, (name, value) in enumerate(SETTINGS.items()):
        given |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return passed | given


def command(directory: Path | None, *arguments: str | Path) -> list[str]:
    """Returns `git ARGUMENTS` for the repository in a directory, as words. directory: None if there is none yet."""
    return ["git", *(["-C", str(directory)] if directory else []), *(str(word) for word in arguments)]


def run(
    directory: Path | None,
    *arguments: str | Path,
    input: str | None = None,
    timeout: float | None = None,
    also: Mapping[str, str] | None = None,
) -> str:
    """Runs git on the repository in a directory; returns its stdout. also: further variables. Raises as process.run does."""
    env = {**environment(), **(also or {})}
    return process.run(command(directory, *arguments), input=input, timeout=timeout, env=env)


def started(
    directory: Path, *arguments: str | Path, also: Mapping[str, str] | None = None, **options
) -> AbstractContextManager[subprocess.Popen]:
    """Starts git on the repository in a directory, as process.started does. also: further variables."""
    return process.started(command(directory, *arguments), env={**environment(), **(also or {})}, **options)


def feed(directory: Path, *arguments: str | Path, source: BinaryIO) -> str:
    """Runs git with everything in `source` as its stdin; returns its output. Raises as process.feed does."""
    return process.feed(command(directory, *arguments), source, env=environment())
