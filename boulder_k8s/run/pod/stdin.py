"""What the user types or pipes: copied from a file of the run directory to the command that runs."""

import os

CHUNK = 1 << 16


class Stdin:
    """Gives the bytes of the file `stdin` to one command after another, each byte once."""

    def __init__(self, directory):
        self.directory = directory
        self.file = open(os.path.join(directory, "stdin"), "rb", buffering=0)
        self.taken = 0  # bytes that commands have been given
        self.told = 0  # bytes of these that the wrapper knows of
        self.pending = b""  # read from the file, not yet taken by a command
        self.descriptor = None  # we write to it, and the running command reads
        self.terminal = False  # whether it is a terminal
        self.feeding = False  # whether this command gets more

    def connect(self, descriptor, terminal):
        """Tells us that the command that starts reads what we write to `descriptor`. From now on we close it. terminal:
        whether it is one.
        """
        self.descriptor, self.terminal, self.feeding = descriptor, terminal, True

    def feed(self):
        """Gives the command as many bytes as there are and as it accepts, without waiting; tells it when there are no
        more. Raises OSError if the file cannot be read.
        """
        self.tell()
        while self.feeding:
            if not self.pending:
                # Looked up before the read, so that nothing is missed.
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
            self.tell()

    def tell(self):
        """Tells the wrapper how much was taken. On a full disk it does so later: the wrapper waits, and the tests do
        not.
        """
        if self.told != self.taken:
            try:
                with open(os.path.join(self.directory, "stdin.taken"), "w") as file:
                    file.write(str(self.taken))
                self.told = self.taken
            except OSError:
                pass

    def end(self):
        """Tells the command that its input has ended."""
        self.feeding = False
        if self.terminal:
            try:
                os.write(self.descriptor, b"\x04")  # VEOF, Ctrl-D
            except BlockingIOError:  # the terminal is full: `feed` comes back
                self.feeding = True
            except OSError:
                pass  # nobody has it open any more
        elif self.descriptor is not None:
            self.disconnect()

    def disconnect(self):
        """Closes the descriptor that the command reads from."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
