"""What the user types or pipes: from the run directory's file to the command that runs."""

import os

CHUNK = 1 << 16


class Stdin:
    """Gives the bytes of the file `stdin` to one command after another, each byte once."""

    def __init__(self, directory):
        self.directory = directory
        self.file = open(os.path.join(directory, "stdin"), "rb", buffering=0)
        self.taken = 0  # bytes that commands have been given
        self.pending = b""  # read from the file, not yet taken by a command
        self.descriptor = None  # what the command that runs reads from
        self.terminal = False  # whether that is a terminal
        self.feeding = False  # whether this command may have more

    def connect(self, descriptor, terminal):
        """The command that starts reads from `descriptor`, which becomes ours to close."""
        self.descriptor, self.terminal, self.feeding = descriptor, terminal, True

    def feed(self):
        """Gives the command what there is and what it takes."""
        while self.feeding:
            if not self.pending:
                # Asked before the read, so that nothing is missed.
                ended = os.path.exists(os.path.join(self.directory, "stdin.end"))
                self.pending = self.file.read(CHUNK)
                if not self.pending:
                    if ended:
                        self.end()
                    return
            try:
                count = os.write(self.descriptor, self.pending)
            except BlockingIOError:
                return
            except OSError:  # EPIPE: the tests do not read any more
                self.pending = b""
                self.end()
                return
            self.pending = self.pending[count:]
            self.taken += count
            with open(os.path.join(self.directory, "stdin.taken"), "w") as file:
                file.write(str(self.taken))

    def end(self):
        """Tells the command that there is no more."""
        self.feeding = False
        if self.terminal:
            os.write(self.descriptor, b"\x04")  # VEOF, Ctrl-D
        elif self.descriptor is not None:
            self.disconnect()

    def disconnect(self):
        """Closes the command's end."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
