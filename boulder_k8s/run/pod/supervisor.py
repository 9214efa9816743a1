"""Runs inside the Boulder pod, as its first process: starts the tests, records what they say and how they ended.

    supervisor.py DIRECTORY
    supervisor.py DIRECTORY standby    waits until a wrapper takes this pod (wait.py)

The files beside this one are copied into the run directory and started by the image's Python (3.9 or newer), so they use the
standard library only. The run directory is shared with the wrapper on the host. Who writes what:

    command.json   wrapper      {"commands": [[word, ...], ...], "terminal": bool}; run in order until one fails
    stdin          wrapper      bytes for the tests; stdin.end appears when there are no more
    stdin.taken    supervisor   how many bytes of stdin the tests have been given
    signals/N      wrapper      the Nth signal to send to the tests' process group, by name ("INT")
    window         wrapper      "ROWS COLUMNS" of the user's terminal
    go             wrapper      a waiting pod is to run command.json; who removes it decides whether it does
    waiting, stale supervisor   a waiting pod is ready; is not to be used, and why
    mounts.json    wrapper      {mount point: path in the checkout or null}, for a waiting pod to see whether they still hold
    started        supervisor   appears when the first command is about to start: the wrapper need not wait for the API server's word
    stdout, stderr supervisor   what the tests wrote; a terminal has stdout alone
    exitcode       supervisor   the record: appears when the tests have ended and their streams are complete
    var-log/       supervisor   /var/log of the pod, when the tests failed

The record is the only verdict. Where it cannot be written this process ends with 74 (EX_IOERR) and there is none.
"""

import errno
import fcntl
import json
import os
import pty
import select
import selectors
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

from processes import descendants, give_to_owner
from recording import CannotRecord, Recording
from stdin import Stdin
from wait import taken

TICK = 0.04  # seconds between looks at the files that the wrapper writes
CHUNK = 1 << 16
IO_ERROR = 74  # EX_IOERR in sysexits.h


class Supervisor:
    """One run: the commands of command.json, one after the other, each in a session of its own."""

    def __init__(self, directory):
        self.directory = directory
        with open(self.path("command.json")) as file:
            command = json.load(file)
        self.commands = command["commands"]
        self.terminal = command["terminal"]
        self.recording = Recording(directory)
        self.stdin = Stdin(directory)
        self.signals = 0
        self.window = ""
        self.deleted = False
        self.child = None
        self.code = None
        self.sources = {}  # descriptor the tests write to -> name of its stream

    def path(self, name):
        return os.path.join(self.directory, name)

    def run(self):
        """Runs every command; returns the exit code of the last one that ran."""
        signal.signal(signal.SIGTERM, self.on_delete)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.wake, wakeup = os.pipe()  # a byte arrives with every signal
        os.set_blocking(self.wake, False)
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        code = 0
        with open(self.path("started"), "w"):
            pass
        for command in self.commands:
            code = self.run_one(command)
            if code or self.deleted:
                break
        if self.deleted:
            return None
        if code:
            try:
                shutil.copytree("/var/log", self.path("var-log"), symlinks=True, dirs_exist_ok=True)
            except (OSError, shutil.Error) as error:  # no reason to lose the verdict
                shutil.rmtree(self.path("var-log"), ignore_errors=True)  # it may need the room
                print("/var/log was not copied whole: %s" % error, file=sys.stderr, flush=True)
        return code

    def linger(self):
        """Waits until the pod is deleted."""
        while not self.deleted:
            select.select([self.wake], [], [], 1)
            self.drain_wake()
            self.reap()

    def drain_wake(self):
        try:
            os.read(self.wake, CHUNK)
        except BlockingIOError:
            pass

    def run_one(self, command):
        self.code = None
        self.start(command)
        # A pipe's input is the last command's, the tests': generate.sh must not swallow it. A terminal serves each.
        if self.code is not None or not (self.terminal or command is self.commands[-1]):
            self.stdin.end()
        with selectors.DefaultSelector() as selector:
            selector.register(self.wake, selectors.EVENT_READ)
            for descriptor in self.sources:
                selector.register(descriptor, selectors.EVENT_READ)
            while self.code is None:
                for key, _ in selector.select(TICK):
                    if key.fd == self.wake:
                        self.drain_wake()
                    elif not self.copy(key.fd):
                        selector.unregister(key.fd)
                self.obey()
                if self.code is None:
                    self.stdin.feed()
                self.reap()
            # As when PID 1 of a container leaves: whatever the tests left behind ends with them.
            self.end_all()
            self.drain(selector)
        for descriptor in set(self.sources) - {self.stdin.descriptor}:  # a terminal is both
            os.close(descriptor)
        self.sources = {}
        self.stdin.disconnect()
        return self.code

    def start(self, command):
        # KUBERNETES_* is what a pod has and a Compose container has not.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KUBERNETES_")}
        if self.terminal:
            master, slave = pty.openpty()
            self.sources = {master: "stdout"}
            self.stdin.connect(master, terminal=True)
            self.window = ""  # each command has a terminal of its own
            self.resize()
            ours = (slave, slave, slave)
        else:
            (stdin, feed), (out, stdout), (err, stderr) = os.pipe(), os.pipe(), os.pipe()
            self.stdin.connect(feed, terminal=False)
            self.sources = {out: "stdout", err: "stderr"}
            ours = (stdin, stdout, stderr)
        try:
            self.child = subprocess.Popen(
                command,
                stdin=ours[0],
                stdout=ours[1],
                stderr=ours[2],
                env=environment,
                start_new_session=True,
                preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if self.terminal else None,
            )
        except OSError as error:
            # The codes of a shell, and of docker: 127 not found, 126 not to be executed.
            self.code = 127 if error.errno == errno.ENOENT else 126
            self.recording.append("stderr", ("%s: %s\n" % (command[0], error.strerror)).encode())
        for descriptor in set(ours):
            os.close(descriptor)
        for descriptor in {*self.sources, self.stdin.descriptor}:
            os.set_blocking(descriptor, False)

    def copy(self, descriptor):
        """Copies what the tests wrote; False at the end of the stream."""
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return True
        except OSError:  # EIO: the last process that had the terminal open is gone
            return False
        if data:
            self.recording.append(self.sources[descriptor], data)
        return bool(data)

    def drain(self, selector):
        """Reads what is left in the pipes; every process that could write is gone."""
        deadline = time.monotonic() + 10
        open_ = {descriptor for descriptor in self.sources if descriptor in selector.get_map()}
        while open_ and time.monotonic() < deadline:
            for key, _ in selector.select(0.2 if not self.terminal else 0.02):
                if key.fd in open_ and not self.copy(key.fd):
                    open_.discard(key.fd)
                    selector.unregister(key.fd)

    def obey(self):
        """Passes on the signals and the window size that the wrapper asks for."""
        while True:
            try:
                with open(self.path("signals/%d" % (self.signals + 1))) as file:
                    name = file.read().strip()
            except FileNotFoundError:
                break
            if not name:
                break  # being written
            self.signals += 1
            if name == "KILL":
                self.end_all()
            elif self.child and self.code is None:
                self.signal(getattr(signal, "SIG" + name))
        if self.terminal:
            self.resize()

    def signal(self, number):
        try:
            os.killpg(self.child.pid, number)
        except ProcessLookupError:
            pass

    def resize(self):
        try:
            with open(self.path("window")) as file:
                window = file.read().strip()
        except FileNotFoundError:
            return
        if window and window != self.window:
            self.window = window
            rows, columns = (int(number) for number in window.split())
            fcntl.ioctl(self.stdin.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def reap(self):
        """Collects every ended child: as PID 1 this process inherits the orphans."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self.child and pid == self.child.pid:
                self.child.returncode = code = os.waitstatus_to_exitcode(status)
                self.code = code if code >= 0 else 128 - code

    def end_all(self):
        """SIGKILLs every process of the pod that descends from this one; those of `kubectl exec` do not."""
        for _ in range(200):
            pids = descendants(os.getpid())
            if not pids:
                return
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.reap()
            time.sleep(0.005)

    def on_delete(self, *_):
        """The pod is being deleted: the tests have not decided anything, so nothing is recorded."""
        self.deleted = True
        self.end_all()


def run(directory):
    """The pod's first process. Stays after the record until the pod is deleted, so that followers can end."""
    supervisor = Supervisor(directory)
    try:
        code = supervisor.run()
        give_to_owner(directory)
        if code is None:
            return 128 + signal.SIGTERM
        supervisor.recording.end(code)
    except (CannotRecord, OSError, shutil.Error) as error:
        supervisor.end_all()
        print("the run directory does not take the record: %s" % error, file=sys.stderr, flush=True)
        return IO_ERROR
    supervisor.linger()
    return code


if __name__ == "__main__":
    if sys.argv[2:] == ["standby"] and not taken(sys.argv[1]):
        sys.exit(0)
    sys.exit(run(sys.argv[1]))
