"""What a run leaves in its directory: the tests' output as files, and the record of how they ended."""

import errno
import json
import os
import time

NO_SPACE_PATIENCE = 10.0  # seconds that a full disk may stay full before the run ends without a result
PAUSE = 0.2  # seconds between attempts


class CannotRecord(Exception):
    """The run directory does not take the output of the tests, or the record."""


def patiently(what, action, *arguments):
    """Calls `action` until the disk has room, for at most NO_SPACE_PATIENCE seconds; returns its result. Raises
    CannotRecord, at once for an error that is not a full disk. what: what it writes.
    """
    deadline = time.monotonic() + NO_SPACE_PATIENCE
    while True:
        try:
            return action(*arguments)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or time.monotonic() > deadline:
                raise CannotRecord("%s: %s" % (what, error.strerror)) from error
            time.sleep(PAUSE)


class Recording:
    """The files stdout, stderr, record.json and exitcode of a run directory."""

    def __init__(self, directory):
        self.directory = directory
        self.streams = {name: open(os.path.join(directory, name), "ab", buffering=0) for name in ("stdout", "stderr")}
        self.lengths = dict.fromkeys(self.streams, 0)  # bytes that the tests wrote and we appended

    def append(self, name, data):
        """Appends data to the file of the stream `name`. While the disk is full, it waits, and so do the tests. Raises
        CannotRecord.
        """
        while data:
            count = patiently(name, self.streams[name].write, data)
            self.lengths[name] += count
            data = data[count:]

    def end(self, code):
        """Writes the record: how the tests ended and how long each stream is, to record.json, and then the exit code
        alone to the file exitcode, which makes the record valid. Raises CannotRecord.
        """
        self.put("record.json", json.dumps({"exit_code": code, **self.lengths}) + "\n")
        self.put("exitcode", "%d\n" % code)

    def put(self, name, text):
        """Makes a file that appears whole and belongs to the owner of the directory. Raises CannotRecord."""
        temporary, path = (os.path.join(self.directory, part) for part in ("." + name, name))

        def write():
            with open(temporary, "w") as file:
                file.write(text)
            owner = os.stat(self.directory)
            try:
                os.chown(temporary, owner.st_uid, owner.st_gid)
            except OSError:
                pass  # a file system that decides the owner itself
            os.rename(temporary, path)

        patiently(name, write)
