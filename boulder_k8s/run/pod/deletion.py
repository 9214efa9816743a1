"""Tells the deletion of the pod from what the tests send to its first process, which is this one."""

import os
import signal
import time

# Not waited for: SIGCHLD, which has a handler; what nobody can catch; faults; what Python ignores; job control. None of
# these ends PID 1 of a namespace if it has no handler for it (pid_namespaces(7)).
OTHERS = "KILL STOP CHLD SEGV BUS FPE ILL TRAP SYS PIPE XFSZ TSTP TTIN TTOU CONT WINCH URG"
WATCHED = signal.valid_signals() - {getattr(signal, "SIG" + name) for name in OTHERS.split()}
SI_USER = 0  # sent by kill(2); a program cannot pretend this (rt_sigqueueinfo(2))
MOST = 100  # signals read at a time: tests that send them without end do not stop us


def watch():
    """Blocks the signals, so that each waits until `is_deleted` reads it, with its sender."""
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)


def unwatch():
    """Gives a new child the signals as a program expects them."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def is_deleted(seconds=0.0):
    """Waits at most `seconds` for a signal from outside the pod and returns whether there was one: the kubelet's, which
    sends the image's stop signal, SIGTERM if it has none. Drops every signal of a process in the pod.

    The sender's id is 0 if that is in none of the pod's process namespaces. If we are not the first process of a
    namespace, every signal counts.
    """
    deadline = time.monotonic() + seconds
    for _ in range(MOST):
        found = signal.sigtimedwait(WATCHED, max(0.0, deadline - time.monotonic()))
        if found is None:
            return False
        if os.getpid() != 1 or (found.si_code == SI_USER and found.si_pid == 0):
            return True
    return False
