"""What a run leaves in its directory: the tests' output as files, and the exit code as the record."""

import errno
import os
import time

NO_SPACE_PATIENCE = 10.0  # seconds that a full disk may stay full before the run ends without a result


class CannotRecord(Exception):
    """The run directory does not take the output of the tests."""


class Recording:
    """The files stdout, stderr and exitcode of a run directory."""

    def __init__(self, directory):
        self.directory = directory
        self.streams = {name: open(os.path.join(directory, name), "ab", buffering=0) for name in ("stdout", "stderr")}

    def append(self, name, data):
        """Appends data to the file of the stream `name`.

        While the disk is full, it waits, and so do the tests. Raises CannotRecord after NO_SPACE_PATIENCE seconds, or
        at once for another error.
        """
        deadline = time.monotonic() + NO_SPACE_PATIENCE
        while data:
            try:
                data = data[self.streams[name].write(data) :]
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or time.monotonic() > deadline:
                    raise CannotRecord("%s: %s" % (name, error.strerror)) from error
                time.sleep(0.5)

    def end(self, code):
        """Writes the exit code to the file exitcode, which appears whole and belongs to the owner of the directory.
        Raises OSError.
        """
        temporary = os.path.join(self.directory, ".exitcode")
        with open(temporary, "w") as file:
            file.write("%d\n" % code)
        owner = os.stat(self.directory)
        try:
            os.chown(temporary, owner.st_uid, owner.st_gid)
        except OSError:
            pass  # a file system that decides the owner itself
        os.rename(temporary, os.path.join(self.directory, "exitcode"))
