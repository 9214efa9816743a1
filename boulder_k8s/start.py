"""Starts our Python code in isolation: python -I -S boulder_k8s/start.py MODULE ARGUMENTS

-I and -S: Python reads no variable PYTHON..., no file of the current directory, no site-packages of the user and no
sitecustomize. So whatever the user has set for Python stays in the environment, for the tests, and changes nothing here.
MODULE: one of boulder_k8s, whose `main(ARGUMENTS)` returns the exit code. Without a number from it the exit code is 2:
0 and 1 are what tests say.
Without MODULE: prints the path of this Python, if this is .venv's and .venv is complete; so wrapper.sh knows before it
becomes Python that Python works, and that this file is whole.
"""

import _signal  # not `signal`, whose import takes 8 ms: until then a signal would end in a traceback, or in 1
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.dirname(os.path.dirname(sys.executable))
PACKAGES = f"{VENV}/lib/python{sys.version_info[0]}.{sys.version_info[1]}{sys.abiflags.strip('dm')}/site-packages"


def ended(number, frame):
    """Until a command catches signals itself, there is nothing to clean up."""
    os._exit(128 + number)


def read(path):
    """Returns what is in a file, or nothing if there is no such file."""
    try:
        with open(path, "rb") as file:
            return os.fsdecode(file.read()).strip()
    except OSError:
        return ""


def complete():
    """Returns whether .venv is this Python's, was made here and not at another path, and is newer than its pins."""
    try:
        newer = os.stat(f"{VENV}/complete").st_mtime > os.stat(f"{ROOT}/requirements.txt").st_mtime
    except OSError:
        return False
    here = read(f"{VENV}/complete") == os.path.realpath(sys.executable) and read(f"{VENV}/place") == VENV
    return newer and here and os.path.isdir(PACKAGES)


def hold():
    """Keeps the environment on the disk while this process lives (bootstrap.py, `prune`); the kernel gives it back."""
    import fcntl

    try:
        fcntl.flock(os.open(f"{VENV}/complete", os.O_RDONLY), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        pass  # no such file, or a file system without locks


def run(words):
    """Runs a module's `main`; returns the exit code."""
    from importlib import import_module

    hold()
    sys.path += [PACKAGES, ROOT]  # behind Python's own
    try:
        import_module("boulder_k8s")
        sys.path.pop()  # else a file of ROOT would be taken for a module that Python does not have, such as winreg
        main = import_module(f"boulder_k8s.{words[0]}").main
    except Exception as error:
        return told(
            f"this copy of boulder-k8s is not whole: {type(error).__name__}: {error}.",
            f"Look at `git status` in {ROOT}; `rm -rf .venv && python3 boulder_k8s/bootstrap.py` there makes .venv anew.",
        )
    code = main(words[1:])
    if type(code) is not int:
        raise TypeError(f"{words[0]} has given no exit code")
    return code


def told(message, advice):
    """Prints what is wrong and what to do; returns 2."""
    print(f"boulder-k8s: {message}\nboulder-k8s: {advice}", file=sys.stderr)
    return 2


def guarded(words):
    """As `run`, and says what prevented it. A signal is 128 + its number, wherever it arrives."""
    try:
        return run(words)
    except KeyboardInterrupt:
        return 130
    except BaseException as error:
        number = getattr(error, "signum", None)  # host/errors.py, Interrupted
        if number:
            return 128 + number
        import traceback

        traceback.print_exc()
        return told("this is a defect of boulder-k8s", "Please report it with the lines above.")


def leave(code):
    """Ends the process. Not by sys.exit: a thread may still wait for the user's keyboard."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = 141
    except (OSError, ValueError):
        code = code or 2
    os._exit(code)


if __name__ == "__main__":
    for each in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT):
        if _signal.getsignal(each) is not _signal.SIG_IGN:  # what the user has ignored stays so, for what we become
            _signal.signal(each, ended)
    words = sys.argv[1:]
    if words[:1] == ["--stderr"]:  # wrapper.sh and .venv/bin/invoke say that it is descriptor 9
        os.dup2(9, 2)
        os.close(9)
        del words[0]
    if words == ["--whole"]:  # bootstrap.py and .venv/bin/invoke ask
        print("whole")
    elif words:
        leave(guarded(words))
    elif complete():
        os.write(1, os.fsencode(sys.executable))
