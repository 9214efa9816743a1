"""Runs inside the Boulder pod, as its first process: starts the tests, records their output and how they ended.

    supervisor.py DIRECTORY
    supervisor.py DIRECTORY standby    waits until a wrapper takes this pod (wait.py)

What the tests write to this pod's copy of Boulder's configuration is brought into the checkout (writeback.py, which
lies beside prepare.sh) before the exit code is recorded.

The files of this directory are copied into the run directory and run by the image's Python (3.9 or newer), so they use
the standard library only. The run directory is shared with the wrapper on the host. Who writes what:

    command.json   wrapper      {"commands": [[word, ...], ...], "terminal": bool}; run in order until one fails
    stdin          wrapper      bytes for the tests; stdin.end appears when there are no more
    stdin.taken    supervisor   how many bytes of stdin the tests have been given
    signals/N      wrapper      the Nth signal to send to the tests' process group, by name ("INT")
    window         wrapper      "ROWS COLUMNS" of the user's terminal
    go             wrapper      tells a waiting pod to run command.json. Removing it is the handshake: if the supervisor
                                removes it, the tests start; if the wrapper does (after 3 s), they never do
    waiting, stale supervisor   a waiting pod is ready; a waiting pod must not be used, and why
    mounts.json    wrapper      {mount point: path in the checkout or null}; a waiting pod checks them
    started        supervisor   appears just before the first command starts, which the wrapper waits for
    stdout, stderr supervisor   what the tests wrote; a terminal has stdout alone
    record.json    supervisor   {"exit_code": N, "stdout": BYTES, "stderr": BYTES}: how long the streams are
    exitcode       supervisor   the exit code alone; appears last, when the tests have ended and all of the above is
                                complete: that makes the record
    var-log/       supervisor   /var/log of the pod, when the tests failed
    config.json    supervisor   what of the configuration was brought into the checkout, and what was not
    config/        supervisor   what the tests wrote there and the checkout did not take

Only the record decides the result. If it cannot be written, there is none, and this process ends with 74 (EX_IOERR) and
says why in the container's termination message. Whatever the tests send to this process, it goes on (deletion.py).
"""

import errno
import fcntl
import json
import os
import pty
import selectors
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

import deletion
from processes import descendants, give_to_owner, heeding
from recording import CannotRecord, Recording
from stdin import Stdin
from wait import taken
from writeback import WriteBack

TICK = 0.04  # seconds between looks at the files that the wrapper writes
DUMP_PATIENCE = 10.0  # seconds
CHUNK = 1 << 16
IO_ERROR = 74  # EX_IOERR in sysexits.h
CHECKOUT = "/boulder"  # with the copy laid over it
BELOW = "/run/boulder-checkout"  # host/names.py's; the same directory, without the copy
TERMINATION_LOG = "/dev/termination-log"  # Kubernetes' default: the wrapper finds its content in the pod's status


class Supervisor:
    """One run: it runs the commands of command.json in order, each in a new session. work: the copy of Boulder's
    configuration, or None.
    """

    def __init__(self, directory, work=None):
        self.directory = directory
        self.work = work
        with open(self.path("command.json")) as file:
            command = json.load(file)
        self.commands = command["commands"]
        self.terminal = command["terminal"]
        self.recording = Recording(directory)
        self.stdin = Stdin(directory)
        self.signals = 0
        self.window = ""
        self.deleted = self.quit = False
        self.child = None
        self.code = None
        self.sources = {}  # descriptor the tests write to -> name of its stream

    def path(self, name):
        """Returns the path of a file in the run directory."""
        return os.path.join(self.directory, name)

    def run(self):
        """Runs every command until one fails. Returns the exit code of the last one that ran, or None if the pod is
        being deleted.

        After a failure it copies /var/log to the run directory. Raises CannotRecord, or OSError if the run directory
        cannot be written.
        """
        deletion.watch()
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.wake, wakeup = os.pipe()  # a byte arrives with every signal
        os.set_blocking(self.wake, False)
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        code = 0
        with open(self.path("started"), "x"):  # fails if another pod has started in this directory: both would write
            pass
        for command in self.commands:
            code = self.run_one(command)
            if code or self.deleted:
                break
        if self.deleted:
            return None
        if code and not decorate("/var/log was not copied whole", self.keep_logs):
            shutil.rmtree(self.path("var-log"), ignore_errors=True)  # the record may need the room
        return code

    def keep_logs(self):
        """Copies /var/log to the run directory. Raises OSError, shutil.Error."""
        shutil.copytree("/var/log", self.path("var-log"), symlinks=True, dirs_exist_ok=True)

    def write_back(self):
        """Brings what the tests wrote to their copy of Boulder's configuration into the checkout, and config.json says
        what. What the checkout did not take is copied into the run directory. Raises nothing: that would change the
        result.
        """
        if not self.work:
            return
        try:
            found = self.work.bring()
            for path in {**found["kept"], **found["failed"]}:
                source, target = os.path.join(self.work.copy, path), self.path(os.path.join("config", path))
                if os.path.isfile(source):
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    shutil.copyfile(source, target)
        except Exception as error:
            print("the configuration was not brought into the checkout whole: %s" % error, file=sys.stderr, flush=True)
            found = {"written": [], "kept": {}, "failed": {".": str(error)}}
        decorate("config.json was not written", self.recording.put, "config.json", json.dumps(found))

    def linger(self):
        """Waits until the pod is deleted."""
        while not deletion.is_deleted(1.0):
            self.reap()

    def drain_wake(self):
        """Empties the pipe to which every signal writes a byte."""
        try:
            os.read(self.wake, CHUNK)
        except BlockingIOError:
            pass

    def run_one(self, command):
        """Runs one command, then kills every process that it left running; returns its exit code. Raises
        CannotRecord.
        """
        self.code = None
        self.start(command)
        # Piped input is for the last command, the tests, and not for generate.sh. A terminal serves every command.
        if self.code is not None or not (self.terminal or command is self.commands[-1]):
            self.stdin.end()
        with selectors.DefaultSelector() as selector:
            selector.register(self.wake, selectors.EVENT_READ)
            for descriptor in self.sources:
                selector.register(descriptor, selectors.EVENT_READ)
            while self.code is None:
                self.record(selector)
                self.obey()
                if self.code is None:
                    self.stdin.feed()
                if deletion.is_deleted():  # the tests have decided nothing, so nothing is recorded
                    self.deleted = True
                    self.end_all()
                self.reap()
            self.await_dumps(selector)
            # As when PID 1 of a container ends: every process that the tests have left running ends too.
            self.end_all()
            self.drain(selector)
        for descriptor in set(self.sources) - {self.stdin.descriptor}:  # a terminal is both input and output
            os.close(descriptor)
        self.sources = {}
        self.stdin.disconnect()
        return self.code

    def record(self, selector):
        """Records what the tests have written; returns after TICK if they have not. Raises CannotRecord."""
        for key, _ in selector.select(TICK):
            if key.fd == self.wake:
                self.drain_wake()
            elif not self.copy(key.fd):
                selector.unregister(key.fd)

    def await_dumps(self, selector):
        """After SIGQUIT: lets the processes that got it print what they do, as Go prints its goroutines, for at most DUMP_PATIENCE.
        What has started them may have ended at once. Raises CannotRecord.
        """
        deadline = time.monotonic() + (DUMP_PATIENCE if self.quit or self.code == 128 + signal.SIGQUIT else 0)
        while time.monotonic() < deadline and heeding(signal.SIGQUIT, self.child.pid) and not deletion.is_deleted():
            self.record(selector)
            self.obey()
            self.reap()

    def start(self, command):
        """Starts the command in a new session, on a new terminal or on pipes. If it cannot start, sets `code` and
        records why on stderr.

        Raises CannotRecord.
        """
        # A pod has KUBERNETES_*; a Compose container does not.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KUBERNETES_")}
        if self.terminal:
            environment.setdefault("TERM", "xterm")  # as Docker sets it for `-t`
            master, slave = pty.openpty()
            self.sources = {master: "stdout"}
            self.stdin.connect(master, terminal=True)
            self.window = ""  # each command has a new terminal
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
                preexec_fn=self.in_child,
            )
        except OSError as error:
            # A shell and docker use the same codes: 127 if it is not found, 126 if it cannot be executed.
            self.code = 127 if error.errno == errno.ENOENT else 126
            self.recording.append("stderr", ("%s: %s\n" % (command[0], error.strerror)).encode())
        for descriptor in set(ours):
            os.close(descriptor)
        for descriptor in {*self.sources, self.stdin.descriptor}:
            os.set_blocking(descriptor, False)

    def in_child(self):
        """Runs in the new process before the command."""
        deletion.unwatch()
        if self.terminal:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def copy(self, descriptor):
        """Records what the tests wrote to `descriptor`; returns False at the end of the stream. Raises CannotRecord."""
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno != errno.EIO or not self.terminal:
                raise CannotRecord("%s: %s" % (self.sources[descriptor], error.strerror)) from error
            return False  # the last process that had the terminal open is gone
        if data:
            self.recording.append(self.sources[descriptor], data)
        return bool(data)

    def drain(self, selector):
        """Records what is left in the pipes, for at most 10 s, after every process that could write has ended. Raises
        CannotRecord.
        """
        deadline = time.monotonic() + 10
        open_ = {descriptor for descriptor in self.sources if descriptor in selector.get_map()}
        while open_ and time.monotonic() < deadline:
            for key, _ in selector.select(0.2 if not self.terminal else 0.02):
                if key.fd in open_ and not self.copy(key.fd):
                    open_.discard(key.fd)
                    selector.unregister(key.fd)

    def obey(self):
        """Passes on the signals and the window size that the wrapper has written to the run directory."""
        while True:
            try:
                with open(self.path("signals/%d" % (self.signals + 1))) as file:
                    name = file.read().strip()
            except FileNotFoundError:
                break
            if not name:
                break  # the wrapper is still writing it
            self.signals += 1
            if name == "KILL":
                self.end_all()
            elif self.child and self.code is None:
                self.quit = self.quit or name == "QUIT"
                self.signal(number_of(name))
        if self.terminal:
            self.resize()

    def signal(self, number):
        """Sends a signal to the process group of the running command; does nothing if it has ended."""
        try:
            os.killpg(self.child.pid, number)
        except ProcessLookupError:
            pass

    def resize(self):
        """Gives the tests' terminal the size in the file `window`, if that has changed."""
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
        """Collects every child that has ended. As PID 1 this process is also the parent of orphans."""
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
        """Sends SIGKILL to every process that descends from this one, until none is left; those of `kubectl exec` do
        not descend from it.
        """
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


def number_of(name):
    """Returns the number of a signal: of "INT", of "RTMIN+3"; 0, which does nothing, if there is no such signal here."""
    name, _, above = name.partition("+")
    return getattr(signal, "SIG" + name, 0) + int(above or 0)


def decorate(what, action, *arguments):
    """Calls `action`; returns whether it succeeded. If not, says on stderr in one line that `what` happened, because
    nothing that only helps a reader may change the result.
    """
    try:
        action(*arguments)
    except Exception as error:
        print("%s: %s" % (what, error), file=sys.stderr, flush=True)
        return False
    return True


def run(directory, work=None):
    """Runs the commands as the pod's first process; returns its exit code, IO_ERROR if the result cannot be recorded.

    After it has recorded the result, it stays until the pod is deleted, so that followers can finish. work: the copy of
    Boulder's configuration, or None.
    """
    supervisor = Supervisor(directory, work)
    try:
        code = supervisor.run()
        supervisor.write_back()
        decorate("the run directory is not all yours", give_to_owner, directory)
        if code is None:
            return 128 + signal.SIGTERM
        supervisor.recording.end(code)
    except (CannotRecord, OSError, shutil.Error) as error:
        supervisor.end_all()
        supervisor.write_back()
        print("the run directory does not take the record: %s" % error, file=sys.stderr, flush=True)
        decorate("no termination message", explain, str(error))
        return IO_ERROR
    supervisor.linger()
    return code


def explain(text):
    """Puts a text into the pod's status. Raises OSError."""
    if os.path.exists(TERMINATION_LOG):
        with open(TERMINATION_LOG, "w") as file:
            file.write(text)


def copied():
    """Returns the pod's copy of Boulder's configuration as it was made, or None for a pod that has none (generate.sh's).
    Raises OSError.
    """
    config = os.environ.get("BOULDER_CONFIG_DIR")
    return WriteBack(os.path.join(CHECKOUT, config), os.path.join(BELOW, config)) if os.path.isdir(BELOW) else None


if __name__ == "__main__":
    deletion.watch()
    copy = copied()  # before the tests can write to it
    if sys.argv[2:] == ["standby"] and not taken(sys.argv[1]):
        sys.exit(0)
    sys.exit(run(sys.argv[1], copy))
