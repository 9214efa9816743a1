"""Waits until a wrapper takes this pod, which the previous run started for the next one. supervisor.py lists the files.

The pod is as fresh as a new one: nothing has run in it, and nobody uses it if a directory that it mounts has been
replaced.
"""

import json
import os
import signal
import sys
import time

import deletion

TICK = 0.02  # seconds between looks for `go`
LATER_TICK = 0.1  # seconds between looks after A_WHILE: half a percent of a processor all night is too much
A_WHILE = 600.0  # seconds


def taken(directory):
    """Waits for `go`; returns whether a wrapper has taken this pod.

    Returns False if the wrapper has stopped waiting, or if a new pod would mount something else; then the file `stale`
    says what.
    """
    deletion.watch()
    go = os.path.join(directory, "go")
    with open(os.path.join(directory, "waiting"), "w"):
        pass
    begun = time.monotonic()
    while not os.path.exists(go):
        if deletion.is_deleted(TICK if time.monotonic() - begun < A_WHILE else LATER_TICK):
            sys.exit(128 + signal.SIGTERM)
    if reason := stale(os.path.join(directory, "mounts.json")):
        with open(os.path.join(directory, "stale"), "w") as file:
            file.write(reason + "\n")
        return False
    try:
        os.unlink(go)  # if the wrapper has removed it first, it waits no more and the tests must not start
    except FileNotFoundError:
        return False
    return True


def stale(path, mountinfo="/proc/self/mountinfo"):
    """Returns which mount would be another directory in a pod that starts now, and "" if every mount is still right."""
    with open(path) as file:
        mounts = json.load(file)
    with open(mountinfo) as file:
        there = {line.split()[4] for line in file}
    for target, source in mounts.items():
        if os.path.realpath(target) not in there:  # the kernel removes a mount with its directory
            return "%s is not mounted any more" % target
        if source and not same(target, source):
            return "%s has been replaced" % source
    return ""


def same(one, other):
    """Returns whether two paths are the same existing file or directory."""
    try:
        return os.path.samefile(one, other)
    except FileNotFoundError:
        return False
