"""Waits, in a pod that was started ahead of the next run, until a wrapper takes it. supervisor.py has the list of files.

As fresh as a pod that starts now: nothing has run in it, and it is given up where a directory that it mounts has been replaced.
"""

import json
import os
import signal
import sys
import time

TICK = 0.02  # seconds between looks for `go`
LATER_TICK = 0.1  # seconds, once nobody has come for a while: half a percent of a processor all night is too much
A_WHILE = 600.0  # seconds


def taken(directory):
    """Whether a wrapper has taken this pod; False when what it mounts is not what a new pod would mount."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the first process has no default for it
    go = os.path.join(directory, "go")
    with open(os.path.join(directory, "waiting"), "w"):
        pass
    begun = time.monotonic()
    while not os.path.exists(go):
        time.sleep(TICK if time.monotonic() - begun < A_WHILE else LATER_TICK)
    if reason := stale(os.path.join(directory, "mounts.json")):
        with open(os.path.join(directory, "stale"), "w") as file:
            file.write(reason + "\n")
        return False
    try:
        os.unlink(go)  # who removes it decides: the wrapper does when it has waited long enough
    except FileNotFoundError:
        return False
    return True


def stale(path, mountinfo="/proc/self/mountinfo"):
    """What would be another directory in a pod that starts now, or ""."""
    with open(path) as file:
        mounts = json.load(file)
    with open(mountinfo) as file:
        there = {line.split()[4] for line in file}
    for target, source in mounts.items():
        if os.path.realpath(target) not in there:  # the kernel takes a mount away with the directory that it lies on
            return "%s is not mounted any more" % target
        if source and not same(target, source):
            return "%s has been replaced" % source
    return ""


def same(one, other):
    try:
        return os.path.samefile(one, other)
    except FileNotFoundError:
        return False
