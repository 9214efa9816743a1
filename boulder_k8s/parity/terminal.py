"""What a program in Boulder's container sees of the user's terminal."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import sys
import termios

from ..host import process
from .orchestrators import Orchestrator

SHOWN = "boulder-k8s parity: terminal "
ROWS, COLUMNS = 41, 133  # no terminal's default
# Compose gives the terminal its size a moment after the start.
SHOW = f"""
import json, os, time
def size():
    try: return "%d columns, %d rows" % os.get_terminal_size(0)
    except OSError as error: return error.strerror
for _ in range(50):
    if size().startswith("{COLUMNS} "): break
    time.sleep(0.1)
facts = {{f"{{name}} is a terminal": str(os.isatty(number)) for number, name in enumerate(("stdin", "stdout", "stderr"))}}
facts |= {{key: os.environ.get(key, "absent") for key in ("TERM", "COLUMNS", "LINES")}}
print("{SHOWN}" + json.dumps({{**facts, "size": size()}}), flush=True)
"""
# Starts a program as a shell on that terminal would: it leads a session, which the terminal controls. Otherwise it may
# not read from it.
AS_A_SHELL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def take(orchestrator: Orchestrator) -> dict[str, str]:
    """Starts a fresh Boulder container on a terminal; returns what a program in it sees, or how that failed."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    command = orchestrator.boulder(["python3", "-c", SHOW], terminal=True)
    output = b""
    try:
        with process.started(
            [sys.executable, "-I", "-c", AS_A_SHELL, *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=orchestrator.environ,
            cwd=orchestrator.checkout.path,
        ) as child:
            os.close(theirs)
            while part := read(ours):
                output += part
            code = child.wait()
    finally:
        os.close(ours)
    text = output.decode(errors="replace")
    line = next((line for line in text.splitlines() if SHOWN in line), None)
    if line is None:
        return {"container": f"ended with {code}: {' '.join(text.split())[-300:]}"}
    return json.loads(line.partition(SHOWN)[2])


def read(descriptor: int) -> bytes:
    """Returns what a terminal has to be read, or nothing when no program has it open any more."""
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # EIO, Linux's way to say so
        return b""
