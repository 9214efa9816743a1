"""The first process of a row's container: one command under the supervisor, with nobody who follows it.

    row.py DIRECTORY WORD...

What the tests write goes to files, as always, and to the container's log besides. How they ended is said three times, and the client
compares: in the record (recording.py), in the container's termination message, and by the exit code of this process.
"""

import json
import os
import signal
import sys
import time

import deletion
from recording import CannotRecord, Recording
from supervisor import IO_ERROR, Supervisor, decorate, explain

PATIENCE = 120.0  # seconds for the sidecar that sends the results
OUTPUTS = {"stdout": 1, "stderr": 2}


class Echo(Recording):
    """A recording that also shows what it records on our own stdout and stderr, where `kubectl logs` finds it."""

    def append(self, name, data):
        """Appends data to a stream. Raises CannotRecord."""
        Recording.append(self, name, data)
        shown = data
        while shown:
            try:
                shown = shown[os.write(OUTPUTS[name], shown) :]
            except OSError:
                return  # the record has it


def prepare(directory, words):
    """Makes the files that a wrapper on the host makes for a run. Raises OSError."""
    os.makedirs(os.path.join(directory, "signals"), exist_ok=True)
    for name in ("stdin", "stdin.end"):
        with open(os.path.join(directory, name), "w"):
            pass
    with open(os.path.join(directory, "command.json"), "w") as file:
        json.dump({"commands": [words], "terminal": False}, file)


def main(directory, words):
    """Runs a command; returns our exit code: the command's, 143 if the pod is deleted before it has ended, IO_ERROR if it cannot be
    recorded.
    """
    deletion.watch()
    began = time.time()
    try:
        prepare(directory, words)
        supervisor = Supervisor(directory)
        supervisor.recording = Echo(directory)
    except OSError as error:
        decorate("no termination message", explain, str(error))
        return IO_ERROR
    try:
        code = supervisor.run()
        if code is None:
            return 128 + signal.SIGTERM
        if not code:  # else it is there already
            decorate("/var/log was not copied whole", supervisor.keep_logs)
        supervisor.recording.end(code)
    except (CannotRecord, OSError) as error:
        supervisor.end_all()
        decorate("no termination message", explain, str(error))
        return IO_ERROR
    record = {"exit_code": code, "began": began, "ended": time.time()}
    decorate("no termination message", explain, json.dumps({**record, **supervisor.recording.lengths}))
    deadline = time.monotonic() + PATIENCE
    while not os.path.exists(os.path.join(directory, "collected")) and time.monotonic() < deadline:
        if deletion.is_deleted(0.05):
            break
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
