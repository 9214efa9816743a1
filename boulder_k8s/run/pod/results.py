"""The sidecar of a row that sends what the tests left: when they have ended, it prints the run directory as an archive to its log.

    results.py DIRECTORY

The kubelet keeps a container's log until its pod is deleted, so a client that comes later finds it. The log holds lines of base64
between two that say so; the last one has the archive's length and its SHA-256:

    boulder-k8s results
    ...
    boulder-k8s end 12345 9f86d081...
"""

import base64
import gzip
import hashlib
import io
import os
import signal
import sys
import tarfile

PIECE = 6144  # bytes in a line: base64 makes 8192 of them
TICK = 0.1  # seconds between looks for the record
LEFT_OUT = {"command.json", "stdin", "stdin.end", "stdin.taken", "signals", "started", "collected"}
ENDING = {signal.SIGTERM, signal.SIGINT}


def archive(directory):
    """Returns the run directory as tar.gz. A file that cannot be read is left out."""
    made = io.BytesIO()
    with gzip.GzipFile(fileobj=made, mode="wb", compresslevel=6, mtime=0) as packed:
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for folder, directories, files in os.walk(directory):
                directories[:] = sorted(name for name in directories if name not in LEFT_OUT)
                for name in sorted(files):
                    path = os.path.join(folder, name)
                    if name in LEFT_OUT or not os.path.isfile(path) or os.path.islink(path):
                        continue
                    try:
                        add(tar, path, os.path.relpath(path, directory))
                    except OSError as error:
                        print("%s is left out: %s" % (path, error), file=sys.stderr, flush=True)
    return made.getvalue()


def add(tar, path, name):
    """Adds a file, which may grow meanwhile, as long as it is now. Raises OSError."""
    with open(path, "rb") as file:
        there = os.fstat(file.fileno())
        found = tarfile.TarInfo(name)
        found.size, found.mtime = there.st_size, int(there.st_mtime)
        tar.addfile(found, file)


def send(data, out):
    """Writes an archive to a stream of bytes, as lines."""
    out.write(b"boulder-k8s results\n")
    for at in range(0, len(data), PIECE):
        out.write(base64.b64encode(data[at : at + PIECE]) + b"\n")
    out.write(b"boulder-k8s end %d %s\n" % (len(data), hashlib.sha256(data).hexdigest().encode()))
    out.flush()


def main(directory):
    """Waits for the record, or for the end of the pod; sends what is there, and waits for the end of the pod."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    ended = None
    while not ended and not os.path.exists(os.path.join(directory, "exitcode")):
        ended = signal.sigtimedwait(ENDING, TICK)
    send(archive(directory), sys.stdout.buffer)
    with open(os.path.join(directory, "collected"), "w"):
        pass
    while not ended:
        ended = signal.sigtimedwait(ENDING, 3600)


if __name__ == "__main__":
    main(*sys.argv[1:])
