"""Every signal that can be caught: it interrupts our work, but while tests run it is passed on to the tests."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .errors import Interrupted

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)  # the first one decides the exit code
# What `docker compose run` passes on besides (Docker's ForwardAllSignals: all that its daemon knows by name), without faults, which
# are ours, without SIGWINCH (run/streams.py) and without SIGTTIN and SIGTTOU, with which the terminal means us.
NAMES = "ABRT ALRM CONT IO PROF PWR STKFLT SYS TRAP TSTP USR1 USR2 VTALRM XCPU".split()
OTHERS = [getattr(signal, f"SIG{name}") for name in NAMES if hasattr(signal, f"SIG{name}")]
REALTIME = range(signal.SIGRTMIN, signal.SIGRTMAX + 1) if hasattr(signal, "SIGRTMIN") else range(0)
WAKING = signal.SIGURG  # nobody else sends it, and without a handler it does nothing
# A signal may arrive just before the main thread waits in the kernel, or in another thread: then we wake it so often.
WAKINGS = 3
TWICE = 0.05  # seconds: timeout(1) sends a signal to its child and again to the child's process group
GRACE = 1.0  # seconds from the second signal to the end, whatever we do then
FORKING: list[bool] = []  # not empty while the main thread forks
LATER: list[tuple[Signals, int]] = []  # what interrupts it after that
CHILDREN: set[subprocess.Popen] = set()  # what must not outlive us
BEFORE = {number: signal.getsignal(number) for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}}


class Signals:
    """Catches the signals. received: their numbers, in order. Except within `collecting`, the first one raises
    Interrupted in the main thread; a second one only makes `watch` end this process.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self.collect = False
        self.passing = False  # tests get the signals
        self.raised = self.closed = False
        self.wake = 0  # gets a byte with every signal, once `watch` was called
        self.terminal: list | None = None  # its modes before we set any
        self.latest: tuple[int, float] = (0, 0.0)
        for number in (*CAUGHT, *OTHERS, *REALTIME):
            # Keeps nohup's effect. Catches SIGINT and SIGQUIT even if a shell, which then ignores them, started us in
            # the background.
            if number in (signal.SIGINT, signal.SIGQUIT) or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self.handle)

    def handle(self, number: int, frame: object) -> None:
        """The signal handler. Raises Interrupted unless signals are collected. It takes no lock, such as an Event's or a
        file's: the main thread may hold it.
        """
        last, self.latest = self.latest, (number, time.monotonic())
        if number in CAUGHT and last[0] == number and self.latest[1] - last[1] < TWICE:
            return
        if self.passing or number not in (signal.SIGCONT, signal.SIGTSTP):
            self.received.append(number)
        if number == signal.SIGTSTP:
            os.kill(os.getpid(), signal.SIGSTOP)  # as without us
        elif number != signal.SIGCONT and not self.collect:
            self.interrupt(number)

    def interrupt(self, number: int) -> None:
        """Raises Interrupted, but only once: what cleans up then is not disturbed. Within `undisturbed`, after that."""
        if FORKING:
            LATER.append((self, number))
        elif not self.raised:
            self.raised = True
            raise Interrupted(number)

    def lost(self, found: UnraisableHookArgs) -> None:
        """Python's hook for exceptions that it drops, as in a callback of a fork. If it was Interrupted, raises it once more: later,
        because here it would be dropped as well.
        """
        if not isinstance(found.exc_value, Interrupted):
            sys.__unraisablehook__(found)
            return
        self.raised, self.latest = False, (0, 0.0)
        self.received.remove(found.exc_value.signum)
        threading.Timer(0.02, os.kill, [os.getpid(), found.exc_value.signum]).start()

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """While the block runs, adds signals to `received` and raises nothing."""
        before, self.collect, self.passing = (self.collect, self.passing), True, True
        try:
            yield
        finally:
            self.collect, self.passing = before

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Lets the block run to its end: if a signal arrives in it, raises Interrupted after it."""
        before, collect, self.collect = len(self.received), self.collect, True
        try:
            yield
        finally:
            self.collect = collect
        if not self.collect and len(self.received) > before:
            self.interrupt(self.received[before])

    def close(self) -> None:
        """The exit code is decided: from now on nothing is raised, and nobody watches."""
        self.collect = self.closed = True
        if self.wake:
            signal.set_wakeup_fd(-1)
            os.close(self.wake)
            self.wake = 0
            sys.unraisablehook = sys.__unraisablehook__

    def watch(self) -> None:
        """Ends this process GRACE seconds after a second signal, wherever it is then. A thread does it, because the main
        thread may wait for something that never comes.
        """
        reading, self.wake = os.pipe()
        os.set_blocking(self.wake, False)
        sys.unraisablehook = self.lost
        self.terminal = modes()
        signal.signal(WAKING, lambda *_: None)
        signal.set_wakeup_fd(self.wake, warn_on_full_buffer=False)
        threading.Thread(target=self.count, args=(reading,), daemon=True).start()

    def count(self, reading: int) -> None:
        """The thread. reading: brings a byte with every signal."""
        first = latest = wakings = 0
        at = 0.0
        while True:
            while wakings and not self.closed and not select.select([reading], [], [], TWICE)[0]:
                wakings -= 1
                signal.pthread_kill(threading.main_thread().ident, WAKING)
            if not (found := os.read(reading, 64)):
                break
            for number in found:
                wakings = wakings if number == WAKING else WAKINGS
                now = time.monotonic()
                again = number == latest and now - at < TWICE
                if number not in CAUGHT or again:
                    continue
                latest, at = number, now
                if first:
                    time.sleep(GRACE)
                    self.end_at_once(128 + first)
                first = number
        os.close(reading)

    def insist(self, number: int) -> None:
        """As a second signal: ends this process within GRACE seconds. For a Ctrl-C that the terminal does not make a
        signal of, and the tests do not hear.
        """
        self.received += [number, number]
        timer = threading.Timer(GRACE, self.end_at_once, [128 + number])
        timer.daemon = True
        timer.start()

    def end_at_once(self, code: int) -> None:
        """Ends this process and its children without any cleaning up, unless it is about to end by itself. Its terminal gets back its
        modes and its cursor.
        """
        if self.closed:
            return
        for child in [*CHILDREN]:
            if child.returncode is None:
                with suppress(OSError):
                    os.kill(child.pid, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])  # else it stops us if we are in the background
        with suppress(OSError, termios.error):
            if self.terminal:
                termios.tcsetattr(0, termios.TCSANOW, self.terminal)
        with suppress(OSError):
            os.write(2, b"\x1b[?25h" * os.isatty(2) + b"boulder-k8s: ended at once; the next command cleans up\n")
        os._exit(code)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Lets the main thread fork: an exception in one of Python's callbacks around it is dropped, and a lock of `logging` stays held,
    for which another thread then waits for ever. To block signals is not enough: another thread gets them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    FORKING.append(True)
    try:
        yield
    finally:
        FORKING.pop()
        if LATER and not FORKING:
            owner, number = LATER[0]
            LATER.clear()
            owner.interrupt(number)


def decisive(received: list[int]) -> list[int]:
    """Returns those of the received signals that end a run: the first is passed on to the tests, a second ends all."""
    return [number for number in received if number in CAUGHT]


def name_of(number: int) -> str:
    """Returns what the pod's supervisor reads: "INT", "RTMIN+3". Numbers are not the same on every system."""
    if number in REALTIME:
        return f"RTMIN+{number - signal.SIGRTMIN}"
    return signal.Signals(number).name.removeprefix("SIG")


def modes() -> list | None:
    """Returns the modes of the terminal that is our stdin, or None if it is none."""
    try:
        return termios.tcgetattr(0)
    except (OSError, termios.error):
        return None


@contextmanager
def given_back() -> Iterator[None]:
    """Gives the signals back as we were started with them, while the block makes this process another program; ours
    again if it cannot.

    Python itself ignores SIGPIPE and SIGXFSZ; what they were before nobody knows, and they are seldom ignored.
    """
    # None: not Python's, such as faulthandler's, and nobody can give it back.
    ours = {number: handler for number in BEFORE if (handler := signal.getsignal(number)) is not None}
    try:
        for number in ours:
            handler = BEFORE[number]
            ignored = handler is signal.SIG_IGN and number not in (signal.SIGPIPE, signal.SIGXFSZ)
            signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
