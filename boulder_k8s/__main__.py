"""What tk8s.sh, tnk8s.sh and `invoke parity` start: `start.py __main__ test|test-next|run|run-next ARGUMENTS`."""

from __future__ import annotations

import os

from .commands import arguments, cli
from .commands.arguments import Options
from .commands.run import run
from .commands.test import hand_over_to_compose, test


def main(words: list[str]) -> int:
    """Runs one command; returns its exit code. words: the verb (test, test-next, run or run-next), then the command's
    arguments.
    """
    verb, arguments_ = words[0], words[1:]
    config_next = verb.endswith("-next")
    orchestrator = os.environ.get("BOULDER_CI_ORCH") or "k8s"
    if verb.startswith("test") and orchestrator != "k8s":
        if orchestrator == "compose":
            return cli.guarded(lambda settings, signals: hand_over_to_compose(settings, arguments_, config_next))
        return cli.told(
            f"BOULDER_CI_ORCH={orchestrator} is not an orchestrator.",
            "Set it to k8s (the default) or compose, which runs the checkout's own t.sh or tn.sh.",
        )
    command = run if verb.startswith("run") else test
    return cli.guarded(
        lambda settings, signals: command(settings, signals, arguments_, Options(config_next, arguments.timeout()))
    )
