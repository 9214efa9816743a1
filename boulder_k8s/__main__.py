"""What tk8s.sh, tnk8s.sh, ck8s.sh and `invoke parity` start: `start.py __main__ test|test-next|run|run-next|compose ARGUMENTS`."""

from __future__ import annotations

import os

from .commands import arguments, cli
from .commands.arguments import Options
from .commands.run import run
from .commands.test import become_compose, hand_over_to_compose, test


def main(words: list[str]) -> int:
    """Runs one command; returns its exit code. words: the verb (test, test-next, run, run-next or compose), then the command's
    arguments.
    """
    verb, arguments_ = words[0], words[1:]
    config_next = verb.endswith("-next")
    orchestrator = os.environ.get("BOULDER_CI_ORCH") or "k8s"
    if verb in ("test", "test-next", "compose") and orchestrator != "k8s":
        if orchestrator == "compose" and verb == "compose":
            return cli.guarded(lambda settings, signals: become_compose(settings, arguments_))
        if orchestrator == "compose":
            return cli.guarded(lambda settings, signals: hand_over_to_compose(settings, arguments_, config_next))
        return cli.told(
            f"BOULDER_CI_ORCH={orchestrator} is not an orchestrator.",
            "Set it to k8s (the default) or compose, which runs the checkout's own t.sh or tn.sh.",
        )
    if verb == "compose":
        from .faces import compose  # here, not on top: a test run needs no invoke (0.1 s)

        return compose.main(arguments_)
    command = run if verb.startswith("run") else test
    return cli.guarded(
        lambda settings, signals: command(settings, signals, arguments_, Options(config_next, arguments.timeout()))
    )
