"""Started in the pod by the wrapper's `kubectl exec`: copies a run's recorded streams to stdout until the run ends.

    follow.py DIRECTORY STDOUT STDERR    starts at these offsets, in bytes

It sends both streams in frames: one byte with the stream's descriptor (1 or 2), four with the length (big-endian), then
the bytes. So the wrapper never takes kubectl's own messages on stderr for output of the tests.
"""

import os
import struct
import sys
import time

CHUNK = 1 << 16
PAUSE = 0.02  # seconds between looks at the files; inotify does not cross every file sharing between host and node


def follow(directory, *offsets):
    """Copies the streams from `offsets` (of stdout and stderr, in bytes) to our stdout; returns 0 after the run has
    ended and all is copied.

    Raises OSError if the files are not there or nobody reads.
    """
    streams = []
    for name, descriptor, offset in zip(("stdout", "stderr"), (1, 2), offsets):
        file = open(os.path.join(directory, name), "rb", buffering=0)
        file.seek(int(offset))
        streams.append((file, descriptor))
    while True:
        ended = os.path.exists(os.path.join(directory, "exitcode"))  # before the streams: misses nothing
        copied = False
        for file, descriptor in streams:
            data = file.read(CHUNK)
            if data:
                copied = True
                sys.stdout.buffer.write(struct.pack(">BI", descriptor, len(data)) + data)
                sys.stdout.buffer.flush()
        if not copied:
            if ended:
                return 0
            time.sleep(PAUSE)


if __name__ == "__main__":
    sys.exit(follow(*sys.argv[1:]))
