"""What a run leaves behind: the tests' streams as files, and the record of how they ended."""

import errno
import os
import time

NO_SPACE_PATIENCE = 10.0  # seconds for somebody to make room before the run is given up


class CannotRecord(Exception):
    """The run directory does not take what the tests say."""


class Recording:
    """The files stdout, stderr and exitcode of a run directory."""

    def __init__(self, directory):
        self.directory = directory
        self.streams = {name: open(os.path.join(directory, name), "ab", buffering=0) for name in ("stdout", "stderr")}

    def append(self, name, data):
        """Appends to a stream's file. Holds the tests back while the disk is full; raises CannotRecord in the end."""
        deadline = time.monotonic() + NO_SPACE_PATIENCE
        while data:
            try:
                data = data[self.streams[name].write(data) :]
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or time.monotonic() > deadline:
                    raise CannotRecord("%s: %s" % (name, error.strerror)) from error
                time.sleep(0.5)

    def end(self, code):
        """Writes the record: it appears whole, and belongs to whoever owns the directory. Raises OSError."""
        temporary = os.path.join(self.directory, ".exitcode")
        with open(temporary, "w") as file:
            file.write("%d\n" % code)
        owner = os.stat(self.directory)
        try:
            os.chown(temporary, owner.st_uid, owner.st_gid)
        except OSError:
            pass  # a file system that has owners of its own
        os.rename(temporary, os.path.join(self.directory, "exitcode"))
