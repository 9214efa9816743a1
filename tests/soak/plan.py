"""What a run of the soak test writes and how it ends, worked out from its seed: the runner and the fake test.sh agree.

plan.py --seed=SEED    is that test.sh, in the pod. It runs with the image's Python: standard library only.
"""

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # at once: Python's own handler would write a traceback to stderr

import base64  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

MOST = 5_000_000  # bytes a stream
# Not those that the wrapper has for itself (2, 137 and 128 + a signal): they would not tell whose they are.
CODES = sorted({*range(256)} - {2, 129, 130, 131, 137, 141, 143})


class Plan:
    """One run. code: its exit code. seconds: how long it takes. pieces: (stream, bytes) in their order."""

    def __init__(self, seed):
        chance = random.Random(f"plan {seed}")
        self.code = chance.choice([0, 0, 1, 42, chance.choice(CODES)])
        self.seconds = chance.choice([0.0, chance.uniform(0, 3), chance.uniform(2, 8)])
        self.stdout = chance.randbytes(size(chance))
        # Lines that are never the wrapper's: base64 has no space.
        text = base64.b64encode(chance.randbytes(size(chance) * 3 // 4))
        self.stderr = b"".join(text[at : at + 76] + b"\n" for at in range(0, len(text), 76))
        cuts = [[(number, data) for data in cut(chance, data)] for number, data in ((1, self.stdout), (2, self.stderr))]
        self.pieces = [piece for pair in zip_longest(*cuts) for piece in pair if piece]

    def __str__(self):
        return f"code {self.code:3}, {len(self.stdout):7} + {len(self.stderr):7} bytes, {self.seconds:.1f} s"


def size(chance):
    """Returns how many bytes a stream has."""
    return chance.choice([0, chance.randrange(200), chance.randrange(200_000), chance.randrange(MOST)])


def cut(chance, data):
    """Returns data in a few pieces of random sizes."""
    ends = [0, *sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(1, 12))), len(data)]
    return [data[ends[at] : ends[at + 1]] for at in range(len(ends) - 1)]


def zip_longest(one, other):
    """Yields pairs, with None after the shorter list's end."""
    for at in range(max(len(one), len(other))):
        yield tuple(items[at] if at < len(items) else None for items in (one, other))


def play(plan):
    """Writes the pieces, spread over the plan's seconds, and ends."""
    for descriptor, data in plan.pieces:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        time.sleep(plan.seconds / max(1, len(plan.pieces)))
    os._exit(plan.code)


if __name__ == "__main__":
    play(Plan(sys.argv[1].split("=", 1)[1]))
