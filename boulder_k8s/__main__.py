"""`python -m boulder_k8s test|test-next|run|run-next ARGUMENTS`: what tk8s.sh, tnk8s.sh and `invoke parity` start."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from .commands import arguments, commands
from .host import process
from .host.errors import Interrupted, Problem
from .host.progress import note, quote, shown
from .host.settings import ROOT, Settings
from .host.signals import Signals


def guarded(action: Callable[[Settings, Signals], int | None]) -> int:
    """Runs a command and returns its exit code. A Problem becomes its lines on stderr, a signal 128 + its number."""
    signals = Signals()
    # Every kubectl inherits it: defaults that the user has set for their own, such as to ask before it deletes, would change ours.
    # https://kubernetes.io/docs/reference/kubectl/kuberc/
    os.environ["KUBERC"] = "off"
    try:
        code = action(Settings.from_environment(), signals) or 0
        sys.stdout.flush()  # here, where a reader that is gone is no defect
        return code
    except Problem as problem:
        quote(problem.detail.splitlines())
        note(problem.message)
        advise(problem.advice())
        return problem.exit_code
    except process.Failed as failed:
        quote(failed.output.splitlines()[-20:])
        note(f"{Path(failed.command[0]).name} ended with {failed.returncode}.")
        advise("Its words are above. Run the command again; `invoke down` starts from nothing.")
        return 2
    except subprocess.TimeoutExpired as late:
        note(f"{Path(late.cmd[0]).name} did not answer within {late.timeout:.0f} s.")
        advise("Run the command again; `invoke doctor` looks at the machine, `invoke down` starts from nothing.")
        return 2
    except BrokenPipeError:  # whoever read our stdout has enough, as in `invoke logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python complains when it empties its buffer
        return 128 + signal.SIGPIPE
    except PermissionError as error:
        if not error.filename:
            return defect()
        note(f"{error.filename} cannot be read or written by you.")
        if Path(error.filename).is_relative_to(ROOT):
            advise(f'Was it made by sudo? `sudo chown -R "$USER" {shlex.quote(str(ROOT))}` makes it yours.')
        else:
            advise("Make it yours, or name another one. More: `invoke doctor`.")
        return 2
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return defect()
        note(f"The disk is full: {error.filename or 'a file'} cannot be written.")
        advise(
            "Make room (`docker system df` shows Docker's part, .runs/ holds earlier runs), then run the command again. More: `invoke doctor`."
        )
        return 2
    except Exception:
        return defect()
    except Interrupted as interrupted:
        note("interrupted; the next command repairs what is half done")
        return 128 + interrupted.signum


def advise(text: str) -> None:
    """Says what to do; to those who type elsewhere also where `invoke` is."""
    if "`invoke " in text and shown(ROOT) != ".":
        text += f" (`invoke`: .venv/bin/invoke in {ROOT})"
    note(text)


def defect() -> int:
    """Reports an exception that is ours. Not 1, which is how tests fail."""
    traceback.print_exc()
    note("this is a defect of boulder-k8s")
    note("Please report it with the lines above.")
    return 2


def main(words: list[str]) -> int:
    if words[0].startswith("test"):
        orchestrator = os.environ.get("BOULDER_CI_ORCH") or "k8s"
        if orchestrator == "compose":
            return guarded(lambda settings, signals: commands.hand_over(settings, words[1:], words[0] == "test-next"))
        if orchestrator != "k8s":
            note(f"BOULDER_CI_ORCH={orchestrator} is not an orchestrator.")
            note("Set it to k8s (the default) or compose, which runs the checkout's own t.sh or tn.sh.")
            return 2
    command = commands.run if words[0].startswith("run") else commands.test
    return guarded(
        lambda settings, signals: command(
            settings, signals, words[1:], config_next=words[0].endswith("-next"), timeout=arguments.timeout()
        )
    )


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # not sys.exit: a thread may still wait for the user's keyboard
