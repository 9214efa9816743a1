"""`tk8s.sh` and `tnk8s.sh`: Boulder's test.sh in a fresh pod."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import NoReturn

from ..host import become
from ..host.errors import Problem
from ..host.settings import Settings
from ..host.signals import Signals
from ..manifests import checkout
from .arguments import Options
from .run import Program, in_fresh_pod


def test(settings: Settings, signals: Signals, arguments: list[str], options: Options) -> int:
    """Does what `./t.sh ARGUMENTS` does, or ./tn.sh if options.config_next; returns test.sh's exit code.

    Raises Problem if the tests cannot be started, or ApiError.
    """
    wrapper = "./tnk8s.sh" if options.config_next else "./tk8s.sh"
    program = Program(" ".join([wrapper, *arguments]), None, arguments)
    return in_fresh_pod(settings, signals, program, options)


def hand_over_to_compose(
    settings: Settings, arguments: list[str], config_next: bool, environ: Mapping[str, str] = os.environ
) -> NoReturn:
    """Replaces this process by the checkout's own t.sh or tn.sh, in the user's environment (BOULDER_CI_ORCH=compose).

    Raises Problem if it cannot be started.
    """
    script = checkout.of_command(settings, environ).path / ("tn.sh" if config_next else "t.sh")
    kept = {key: value for key, value in environ.items() if key != "BOULDER_K8S_WRAPPER"}
    try:
        become.become([script, *arguments], kept)
    except OSError as error:
        raise Problem(
            f"{script} cannot be started: {error.strerror}.", "See whether it is there and executable."
        ) from error


def become_compose(settings: Settings, words: list[str], environ: Mapping[str, str] = os.environ) -> NoReturn:
    """Becomes `docker compose WORDS` in the checkout. Raises Problem if Docker is not there."""
    found = checkout.of_command(settings, environ)
    program = shutil.which("docker")
    if not program:
        raise Problem(
            "docker is not on PATH.", "Install Docker and its Compose plugin; `invoke doctor` looks at the machine."
        )
    os.chdir(found.path)
    kept = {key: value for key, value in environ.items() if key != "BOULDER_K8S_WRAPPER"}
    become.become([program, "compose", *words], {**kept, "PWD": str(found.path)})
