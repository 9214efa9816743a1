"""How every command ends: with an exit code, and with two lines about an error."""

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

from ..cluster.errors import ApiError, Rejected
from ..host import become, process, variables
from ..host.errors import Interrupted, Problem
from ..host.progress import note, quote, shown
from ..host.settings import ROOT, Settings
from ..host.signals import Signals
from ..manifests import checkout

# What can be wrong with a place that the user has chosen for this project, a checkout or a file, and what to do about it.
PLACES = {
    errno.EROFS: f"This project writes below {ROOT}, and tests into the checkout: put both where files can be written.",
    errno.ENAMETOOLONG: "Use a shorter name or path.",
    errno.ELOOP: "Its symbolic links lead in a circle: correct them.",
    errno.ENOTDIR: "A file stands where a directory should be: move it away.",
    errno.EISDIR: "A directory stands where a file should be: move it away.",
    errno.EIO: "The disk cannot be read or written: look at what the kernel says (`dmesg`).",
    errno.EMFILE: "Too many files are open: raise the limit (`ulimit -n 4096`).",
}


def guarded(action: Callable[[Settings, Signals], int | None]) -> int:
    """Runs a command and returns its exit code. action: the command; None from it means 0.

    Reports every exception on stderr: a Problem as its lines, with its exit code; a signal as 128 + its number; a
    defect of this project as its traceback.
    """
    signals = Signals()
    try:
        signals.watch()
        code = reported(action, signals)
    except Interrupted as interrupted:
        note("interrupted; the next command cleans up")
        code = 128 + interrupted.signum
    finally:
        signals.close()
    return code


def reported(action: Callable[[Settings, Signals], int | None], signals: Signals) -> int:
    """As `guarded`, but raises Interrupted."""
    # Every kubectl inherits it. Otherwise the user's defaults, such as to ask before it deletes, would apply to ours.
    # https://kubernetes.io/docs/reference/kubectl/kuberc/
    become.set_for_children("KUBERC", "off")
    if sys.stdout:  # None if it is closed. What is not UTF-8, as a file's name may be, is shown nevertheless
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = action(settings(os.environ), signals) or 0
        sys.stdout.flush()  # here, so that a reader that has gone is not reported as a defect
        return code
    except Problem as problem:
        quote(problem.detail.splitlines())
        return told(problem.message, problem.advice(), problem.exit_code)
    except process.Failed as failed:
        quote(failed.output.splitlines()[-20:])
        return told(
            f"{Path(failed.command[0]).name} ended with {failed.returncode}.",
            "Its output is above: correct what it names. `invoke doctor` looks at the machine.",
        )
    except subprocess.TimeoutExpired as late:
        return told(
            f"{Path(late.cmd[0]).name} did not answer within {late.timeout:.0f} s.",
            "Run the command again; `invoke doctor` looks at the machine, `invoke down` starts from nothing.",
        )
    except Rejected as error:
        return told(
            f"The cluster's API server refuses what this checkout asks for: {error}.",
            "Correct what it names in the checkout. If it names nothing of yours, please report it with what `invoke bundle` packs.",
        )
    except ApiError as error:
        return told(
            f"The cluster's API server did not do what it was asked: {error}.",
            "Run the command again; `invoke doctor` looks at the machine, `invoke down` starts from nothing.",
        )
    except BrokenPipeError:  # the reader of our stdout has stopped, as in `invoke logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python complains when it empties its buffer
        return 128 + signal.SIGPIPE
    except OSError as error:
        return cannot(error)
    except Exception:
        return defect()


def cannot(error: OSError) -> int:
    """Says what an OSError means, as a defect if it is nothing of the user's; returns 2."""
    if program := getattr(error, "program", ""):
        return told(
            f"{program} cannot be started: {error.strerror}.",
            "See whether it is there, and a program for this machine. `invoke doctor` looks at the machine.",
        )
    if isinstance(error, PermissionError):
        if not error.filename:
            return defect()
        mine = Path(error.filename).is_relative_to(ROOT)
        owner = f'Was it made by sudo? `sudo chown -R "$USER" {shlex.quote(str(ROOT))}` makes it yours.'
        return told(
            f"{error.filename} cannot be read or written by you.",
            owner if mine else "Make it yours, or name another one. More: `invoke doctor`.",
        )
    if error.errno in PLACES and error.filename:
        return told(
            f"{error.filename}: {error.strerror}.",
            f"{PLACES[error.errno]} `invoke doctor` looks at the machine.",
        )
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return defect()
    return told(
        f"The disk is full: {error.filename or 'a file'} cannot be written.",
        "Make room (`docker system df` shows Docker's part, .runs/ holds earlier runs), then run the command again. More: `invoke doctor`.",
    )


def settings(environ: Mapping[str, str]) -> Settings:
    """Returns the settings that the environment gives. Raises Problem if a value is invalid.

    KIND_CLUSTER=auto becomes a name made from the checkout's path.
    """
    variables.check(environ)
    if environ.get("KIND_CLUSTER") == "auto":
        environ = {**environ, "KIND_CLUSTER": checkout.cluster_name(environ, ROOT)}
    return Settings.from_environment(environ)


def told(message: str, advice: str, code: int = 2) -> int:
    """Prints what is wrong and what to do, one line each; returns `code`. It adds the path of `invoke` if the user is
    in another directory.
    """
    note(message)
    if "`invoke " in advice and shown(ROOT) != ".":
        advice += f" (`invoke`: .venv/bin/invoke in {ROOT})"
    note(advice)
    return code


def defect() -> int:
    """Prints the traceback of an exception that is our fault; returns 2, because 1 means that tests failed."""
    traceback.print_exc()
    return told("this is a defect of boulder-k8s", "Please report it with the lines above.")
