"""The far end of the wrapper's `kubectl exec`: copies a run's recorded streams to its stdout until the run has ended.

    follow.py DIRECTORY STDOUT STDERR    from these offsets on, in bytes

Both streams travel in one, in frames: a byte with the stream's descriptor (1 or 2), four with the length (big-endian), the
bytes. So what kubectl itself says on stderr is never taken for the tests' words.
"""

import os
import struct
import sys
import time

CHUNK = 1 << 16
PAUSE = 0.02  # seconds between looks at the files; inotify does not cross every file sharing between host and node


def follow(directory, *offsets):
    """Copies the streams from `offsets` on; ends when the record is there and all is copied."""
    streams = []
    for name, descriptor, offset in zip(("stdout", "stderr"), (1, 2), offsets):
        file = open(os.path.join(directory, name), "rb", buffering=0)
        file.seek(int(offset))
        streams.append((file, descriptor))
    while True:
        ended = os.path.exists(os.path.join(directory, "exitcode"))  # asked before the last look at the streams
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
