"""What every command ends with: its exit code, and the two lines of an error."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from ..cluster.errors import ApiError
from ..host import process
from ..host.errors import Interrupted, Problem
from ..host.progress import note, quote, shown
from ..host.settings import ROOT, Settings
from ..host.signals import Signals
from ..manifests import checkout


def guarded(action: Callable[[Settings, Signals], int | None]) -> int:
    """Runs a command and returns its exit code. A Problem becomes its lines on stderr, a signal 128 + its number."""
    signals = Signals()
    # Every kubectl inherits it: defaults that the user has set for their own, such as to ask before it deletes, would change ours.
    # https://kubernetes.io/docs/reference/kubectl/kuberc/
    os.environ["KUBERC"] = "off"
    try:
        code = action(settings(os.environ), signals) or 0
        sys.stdout.flush()  # here, where a reader that is gone is no defect
        return code
    except Problem as problem:
        quote(problem.detail.splitlines())
        return told(problem.message, problem.advice(), problem.exit_code)
    except process.Failed as failed:
        quote(failed.output.splitlines()[-20:])
        return told(
            f"{Path(failed.command[0]).name} ended with {failed.returncode}.",
            "Its words are above. Run the command again; `invoke down` starts from nothing.",
        )
    except subprocess.TimeoutExpired as late:
        return told(
            f"{Path(late.cmd[0]).name} did not answer within {late.timeout:.0f} s.",
            "Run the command again; `invoke doctor` looks at the machine, `invoke down` starts from nothing.",
        )
    except ApiError as error:
        return told(
            f"The cluster's API server did not do what it was asked: {error}.",
            "Run the command again; `invoke doctor` looks at the machine, `invoke down` starts from nothing.",
        )
    except BrokenPipeError:  # whoever read our stdout has enough, as in `invoke logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python complains when it empties its buffer
        return 128 + signal.SIGPIPE
    except PermissionError as error:
        if not error.filename:
            return defect()
        mine = Path(error.filename).is_relative_to(ROOT)
        owner = f'Was it made by sudo? `sudo chown -R "$USER" {shlex.quote(str(ROOT))}` makes it yours.'
        return told(
            f"{error.filename} cannot be read or written by you.",
            owner if mine else "Make it yours, or name another one. More: `invoke doctor`.",
        )
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return defect()
        return told(
            f"The disk is full: {error.filename or 'a file'} cannot be written.",
            "Make room (`docker system df` shows Docker's part, .runs/ holds earlier runs), then run the command again. More: `invoke doctor`.",
        )
    except Exception:
        return defect()
    except Interrupted as interrupted:
        note("interrupted; the next command repairs what is half done")
        return 128 + interrupted.signum


def settings(environ: Mapping[str, str]) -> Settings:
    """Returns what the environment says; KIND_CLUSTER=auto is resolved to a name of the checkout. Raises Problem if a value is invalid."""
    if environ.get("KIND_CLUSTER") == "auto":
        environ = {**environ, "KIND_CLUSTER": checkout.cluster_name(environ, ROOT)}
    return Settings.from_environment(environ)


def told(message: str, advice: str, code: int = 2) -> int:
    """Says what is wrong and what to do, a line each, and to those who type elsewhere also where `invoke` is; returns the code."""
    note(message)
    if "`invoke " in advice and shown(ROOT) != ".":
        advice += f" (`invoke`: .venv/bin/invoke in {ROOT})"
    note(advice)
    return code


def defect() -> int:
    """Reports an exception that is ours. Not 1, which is how tests fail."""
    traceback.print_exc()
    return told("this is a defect of boulder-k8s", "Please report it with the lines above.")
