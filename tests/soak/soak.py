"""Runs the wrapper many times while things go wrong around it, and compares each run with what its test.sh did.

    .venv/bin/python tests/soak/soak.py --runs 1000 --seed 1

It needs what tests/e2e needs. It prints a line a run and a report at the end, and ends with 1 if anything was wrong.
The same seed makes the same runs with the same faults at the same moments; `--first N` begins with run N. SIGINT ends
it after the run that goes on, with the report.

What is wrong:

- a verdict that is not test.sh's: an exit code that neither test.sh had, nor says why there is none (see below);
- under a verdict, a byte that is lost, doubled or of somebody else, on either stream;
- without a verdict, output that is not the beginning of test.sh's;
- a traceback; a wrapper that has not ended after LIMIT seconds.

What is no verdict, and not wrong: 128 + the number of the signal that the wrapper was sent; 2 or 137 after another
fault, if stderr says in the wrapper's own words what is missing.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]
import faults  # noqa: E402
from plan import Plan  # noqa: E402
from support.e2e import ROOT, Project, free_port, remove_all  # noqa: E402

# Wrappers started by `nohup soak.py &` would inherit that it is ignored; support/e2e.py does so for the others.
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
LIMIT = 400.0  # seconds for one run; the wrapper waits 180 s for an API server
OURS = re.compile(rb"boulder-k8s: [^\n]*\n|    [^\n]*\n")  # what the wrapper says itself
EXPLAINED = re.compile(
    rb"boulder-k8s: .*(no result|missing|not written whole|interrupted)|boulder-k8s: .*\n(.*\n)*boulder-k8s: "
)
SCRIPT = '#!/usr/bin/env bash\nexec python3 -B "$(dirname -- "$0")/test/plan.py" "$@"\n'


@dataclass
class Outcome:
    """What became of a run. kind: "verdict", "signal", "no result" or "wrong"."""

    number: int
    fault: str
    plan: Plan
    kind: str = ""
    code: int | None = None
    why: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        found = f"{self.number:5} {self.fault:20} {self.plan}: {self.code} after {self.seconds:5.1f} s: {self.kind}"
        return f"{found}: {self.why}" if self.why else found


@dataclass
class Soak:
    """The runs. evidence: a directory for what went wrong."""

    project: Project
    seed: str
    without: dict[str, str] = field(default_factory=dict)  # faults that this machine cannot have, and why
    evidence: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="soak-")))
    outcomes: list[Outcome] = field(default_factory=list)

    def prepare(self) -> None:
        """Gives the checkout its fake test.sh, and runs it once: what the first run of a cluster does is done then."""
        script = self.project.checkout / "test.sh"
        script.write_text(SCRIPT)
        shutil.copy(Path(__file__).with_name("plan.py"), self.project.checkout / "test")
        first = subprocess.run(
            [ROOT / "tk8s.sh", "--seed=first"],
            env=self.project.env(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=900,
        )
        assert first.returncode == Plan("first").code, first.stderr.decode(errors="replace")

    def one(self, number: int) -> Outcome:
        """Does one run and judges it."""
        chance = random.Random(f"{self.seed} {number}")
        seed = f"{self.seed}-{number}"
        plan = Plan(seed)
        fault: Callable[[faults.Target], None] = chance.choice(faults.FAULTS)
        if fault.__name__ in self.without:
            fault = faults.nothing
        moment = chance.uniform(0, plan.seconds + 2.5)
        outcome = Outcome(number, fault.__name__, plan)
        files = [self.evidence / f"{number}.{stream}" for stream in ("stdout", "stderr")]
        begun = time.monotonic()
        with open(files[0], "wb") as out, open(files[1], "wb") as err:
            child = subprocess.Popen(
                [ROOT / "tk8s.sh", f"--seed={seed}"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self.project.env(),
                cwd="/",
                start_new_session=True,
            )
            node = f"{self.project.cluster}-control-plane"
            target = faults.Target(child, node, ROOT / ".runs", chance)
            thread = threading.Timer(moment, fault, [target])
            thread.start()
            try:
                ended = child.wait(LIMIT)
                outcome.code = ended if ended >= 0 else 128 - ended  # as a shell shows it
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGABRT)  # PYTHONFAULTHANDLER shows where it is
                child.wait()
            if outcome.code is not None and thread.is_alive() and time.monotonic() - begun < moment:
                thread.cancel()  # it ended before
            thread.join()
        outcome.seconds = time.monotonic() - begun
        said, words = (file.read_bytes() for file in files)
        outcome.kind, outcome.why = judged(plan, faults.SIGNALS.get(fault), outcome.code, said, words)
        if outcome.kind != "wrong":
            for file in files:
                file.unlink()
        self.outcomes.append(outcome)
        return outcome

    def report(self) -> str:
        """Returns how many runs of each fault ended how, and what was wrong."""
        kinds = ("verdict", "signal", "no result", "wrong")
        counted = Counter((outcome.fault, outcome.kind) for outcome in self.outcomes)
        lines = [
            f"{len(self.outcomes)} runs, seed {self.seed}",
            f"{'fault':22}" + "".join(f"{kind:>11}" for kind in kinds),
        ]
        for fault in sorted({outcome.fault for outcome in self.outcomes}):
            lines.append(f"{fault:22}" + "".join(f"{counted[fault, kind]:11}" for kind in kinds))
        lines += [f"without {fault}: {why}" for fault, why in self.without.items()]
        wrong = self.wrong()
        lines.append(f"{len(wrong)} wrong" + (f"; {self.evidence} has what they said" if wrong else ""))
        return "\n".join([*lines, *(f"  {outcome}" for outcome in wrong)])

    def wrong(self) -> list[Outcome]:
        """Returns the runs that are wrong."""
        return [outcome for outcome in self.outcomes if outcome.kind == "wrong"]


def judged(plan: Plan, sent: int | None, code: int | None, said: bytes, words: bytes) -> tuple[str, str]:
    """Returns the kind of an Outcome and why. sent: the signal that the wrapper may have got. said, words: its stdout
    and stderr.
    """
    if code is None:
        return "wrong", f"it hangs: {words[-300:]!r}"
    errors = OURS.sub(b"", words)
    if b"Traceback" in words or b"this is a defect" in words:
        return "wrong", "a traceback"
    whole = (said, errors) == (plan.stdout, plan.stderr)
    if code == plan.code:
        return ("verdict", "") if whole else ("wrong", f"bytes: {difference(plan, said, errors)}")
    if not plan.stdout.startswith(said) or not plan.stderr.startswith(errors):
        return "wrong", f"bytes without a verdict: {difference(plan, said, errors)}"
    if sent is not None and code == 128 + sent:
        return "signal", ""
    if code in (2, 137) and EXPLAINED.search(words):
        return "no result", b" ".join(OURS.findall(words)[-2:]).decode(errors="replace").strip()[-300:]
    return "wrong", f"the code is not test.sh's, and nothing says why: {words[-300:]!r}"


def difference(plan: Plan, said: bytes, errors: bytes) -> str:
    """Returns how the streams differ from what test.sh wrote."""
    found = []
    for name, wanted, got in (("stdout", plan.stdout, said), ("stderr", plan.stderr, errors)):
        at = next((at for at, (one, other) in enumerate(zip(wanted, got, strict=False)) if one != other), None)
        if wanted != got:
            found.append(f"{name} has {len(got)} of {len(wanted)}, first difference at {at}: {got[at or 0 :][:60]!r}")
    return "; ".join(found)


def miniature(directory: Path) -> Path:
    """Makes a checkout from the miniature of Boulder; returns it."""
    checkout = directory / "boulder"
    shutil.copytree(ROOT / "tests/fixtures/boulder", checkout, symlinks=True)
    git = ["git", "-C", str(checkout), "-c", "user.name=soak", "-c", "user.email=soak@example.invalid"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "The miniature checkout"]):
        subprocess.run([*git, *command], check=True)
    return checkout


def main() -> int:
    """Returns 0 if nothing was wrong, else 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", default=str(int(time.time())))
    parser.add_argument("--first", type=int, default=1, help="the number of the first run")
    parser.add_argument("--cluster", default="boulder-soak", help="the cluster's name; it is made anew, and removed")
    parser.add_argument("--port", type=int, help="the first of two host ports; the first two that are free")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        project = Project(miniature(Path(directory)), options.port or free_port(), cluster=options.cluster)
        remove_all(project)
        full = faults.small_disk(ROOT / ".runs")
        soak = Soak(project, options.seed, {"disk_full": full} if full else {})
        soak.prepare()
        stopped = threading.Event()
        signal.signal(signal.SIGINT, lambda *_: stopped.set())  # ends after the run that goes on
        try:
            for number in range(options.first, options.first + options.runs):
                if not stopped.is_set():
                    print(soak.one(number), flush=True)
        finally:
            print(soak.report(), flush=True)
            remove_all(project)
            if not full:
                subprocess.run(["umount", "--lazy", ROOT / ".runs"], check=True)
    return 1 if soak.wrong() else 0


if __name__ == "__main__":
    sys.exit(main())
