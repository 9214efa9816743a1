"""Follows a run through `kubectl exec` until its end is certain, even if that stream breaks."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from ..cluster.errors import ApiError
from ..cluster.kind import Cluster
from ..host.names import BOULDER, RUN_DIRECTORY
from ..host.progress import note, shown
from ..host.signals import CAUGHT, Signals, decisive, name_of
from . import result as results
from .directory import Run
from .fate import of_node, of_pod
from .feeder import Feeder
from .result import Result
from .streams import Attachment, Outlet

T = TypeVar("T")
RECORD_PATIENCE = 1.0  # seconds in which a record that was just made must be whole
STALL = 5.0  # if it delivers nothing for so many seconds although the record has more, it opens the stream again
RESCUE = 10.0  # as STALL, for the last stream: if it does not bring the rest, nothing does
PATIENCE = 180.0  # seconds to wait for an API server that does not answer while the node runs
UNDELIVERED = 2  # in place of 0, so that the reader does not take the output for complete
NO_RESULT = 2  # the tests have decided nothing; 1 would say that they failed
BROKEN_PIPE = 128 + signal.SIGPIPE


class Left(Exception):
    """A second signal, or a closed output, ends everything. args[0]: the exit code."""


class Follower:
    """Delivers one run's output and signals until its end is certain. name: the run's pod. feeder: copies its stdin."""

    def __init__(self, cluster: Cluster, signals: Signals, run: Run, name: str, feeder: Feeder | None = None) -> None:
        self.feeder = feeder
        self.api, self.node = cluster.api, cluster.settings.node
        self.signals = signals
        self.run = run
        self.name = name
        self.outlets = [Outlet(descriptor, run.path / stream) for descriptor, stream in ((1, "stdout"), (2, "stderr"))]
        follow = ["python3", f"{RUN_DIRECTORY}/pod/follow.py", RUN_DIRECTORY]
        self.command = cluster.kubectl.exec(name, BOULDER, follow)
        self.sent = self.reconnects = 0
        self.told = False

    def follow(self) -> int:
        """As `follow_to_the_end`; but after a second signal, or if nobody reads our output any more, it returns at once."""
        try:
            return self.follow_to_the_end()
        except Left as left:
            return left.args[0]

    def beside(
        self, attachment: Attachment, action: Callable[[Attachment], T], enough: Callable[[], bool] = lambda: False
    ) -> T | None:
        """Calls action(attachment) in a thread, so that signals are heeded while it waits, for the API server or for the reader of
        our output. Returns its result, or None after `enough` returned True. Raises Left.
        """
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(action(attachment))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        while not wait([future], 0.02).done:
            self.heed_signals(attachment)
            if enough():
                return None
        return future.result()

    def heed_signals(self, attachment: Attachment) -> None:
        """Passes signals on. Raises Left."""
        if code := self.pass_on_signals():
            attachment.kill()
            raise Left(code)

    def look(self, attachment: Attachment) -> tuple[str, str]:
        """Ends the stream. Returns why the run cannot end any more, and what prevents the API server from telling; or ""."""
        attachment.end()
        if self.run.has_ended():
            return "", ""
        try:
            return self.dead(), ""
        except ApiError as error:
            return of_node(self.node), str(error)

    def follow_to_the_end(self) -> int:
        """Delivers everything that the run recorded, and returns the exit code for the user (`verdict`).

        Raises Left, but never ApiError: an API server that does not answer within PATIENCE seconds is a reason that
        `verdict` reports.
        """
        reason = ""
        stall = STALL
        attachment = Attachment(self.command, self.outlets)
        unanswered_since = None  # when the API server stopped answering
        while not self.run.has_ended():
            time.sleep(0.02)
            self.heed_signals(attachment)
            if reason := self.unrecordable():
                break
            if not attachment.ended() and not any(outlet.stalled(stall) for outlet in self.outlets):
                continue
            stall = min(60.0, stall * 2) if not attachment.ended() else STALL  # a slow machine gets longer each time
            reason, unanswered = self.beside(attachment, self.look, self.run.has_ended) or ("", "")
            unanswered_since = (unanswered_since or time.monotonic()) if unanswered else None
            if unanswered_since and time.monotonic() - unanswered_since > PATIENCE:
                reason = reason or "the API server does not answer"
            if reason and unanswered:
                note(unanswered)
            if reason or self.run.has_ended():
                break
            attachment = self.reconnected(attachment)
        result, damage = self.result()
        # Beside, because the reader of our output may have stopped reading.
        self.beside(attachment, lambda attachment: self.deliver_rest(attachment, result))
        self.run.record["reconnects"] = self.reconnects
        return self.verdict(result, damage or reason)

    def reconnected(self, last: Attachment) -> Attachment:
        """Returns the next stream: one without kubectl if kubectl has ended at once. Says so if kubectl cannot be started."""
        self.reconnects += 1
        ended_at_once = last.child and time.monotonic() - last.began < 0.5
        following = Attachment([] if ended_at_once else self.command, self.outlets)
        if (failure := last.failure or following.failure) and not self.told:
            self.told = True
            note(f"kubectl cannot be started ({failure}): the output comes from {shown(self.run.path)}")
        return following

    def unrecordable(self) -> str:
        """Returns why there will be no record, whatever the tests do; or ""."""
        if not self.run.path.is_dir():
            return f"their run directory {self.run.path} was removed"
        return self.feeder.failure if self.feeder else ""

    def result(self) -> tuple[Result | None, str]:
        """Returns the record, or None and what is wrong with it; (None, "") if there is none."""
        deadline = time.monotonic() + RECORD_PATIENCE
        while True:
            try:
                return results.read(self.run.path), ""
            except results.Damaged as damaged:
                if time.monotonic() > deadline:
                    return None, f"the record is damaged: {damaged}"
                time.sleep(0.02)

    def deliver_rest(self, attachment: Attachment, result: Result | None) -> None:
        """Delivers what was recorded and not yet delivered: first through the stream, then the remainder from the
        recorded files. If these do not have it, once more through a stream.

        The supervisor writes the record only after the streams are complete, so this ends.
        """
        for outlet in self.outlets:
            outlet.length = result.lengths[outlet.recorded.name] if result and result.lengths else None
        for again, patience in ((True, 1.0), (False, RESCUE)):
            while (
                not attachment.ended()
                and any(outlet.behind() > 0 for outlet in self.outlets)
                and not any(outlet.stalled(patience) for outlet in self.outlets)
            ):
                time.sleep(0.005)
            attachment.end()
            complete = [outlet.catch_up() for outlet in self.outlets]
            if all(complete) or not (again and result):
                return
            attachment = Attachment(self.command, self.outlets)

    def verdict(self, result: Result | None, reason: str) -> int:
        """Returns the exit code for the user, and says on stderr why if there is no result. reason: why the run cannot
        end any more, or "".

        The first of these that holds: 128 + N after signal N; BROKEN_PIPE if nobody reads our output; NO_RESULT if not
        every byte of the recorded length could be read; the recorded code, but UNDELIVERED in place of 0 if our output
        could not be written whole; 137 if the pod was killed or deleted; NO_RESULT.
        """
        code = result.code if result else None
        self.run.record["streams"] = result.lengths if result else None
        if ended_by := decisive(self.signals.received):
            return 128 + ended_by[0]
        if any(outlet.closed for outlet in self.outlets):
            return BROKEN_PIPE
        for outlet in self.outlets:
            if outlet.failure:
                failure = f"{outlet.recorded.name} was not written whole: {outlet.failure}"
                note(f"{failure}. {outlet.recorded} has it all")
                if code == 0:
                    code, self.run.record["failure"] = UNDELIVERED, failure
        missing = "; ".join(outlet.missing for outlet in self.outlets if outlet.missing)
        if missing:
            note(f"missing: {missing}. {shown(self.run.path)} has what was recorded")
        if code is not None and not missing:
            return code
        if result:
            told = reason = f"the tests ended with {result.code}, but not all that they wrote can be read"
        else:
            told = f"the tests did not end: {reason}" if not self.run.has_ended() else reason
        self.run.record["failure"] = reason
        note(f"{told}. There is no result.")
        return 128 + signal.SIGKILL if reason.startswith(("killed", "deleted")) else NO_RESULT

    def pass_on_signals(self) -> int:
        """Sends the signals that arrived to the tests; returns 0, or the exit code if a second one that ends a run, or a closed
        output, ends everything.
        """
        if any(outlet.closed for outlet in self.outlets):
            return BROKEN_PIPE  # nobody reads any more: SIGPIPE would end a program that writes
        received = self.signals.received
        while self.sent < len(received):
            number = received[self.sent]
            if number in CAUGHT and decisive(received[: self.sent]):
                self.tell("KILL")
                return 128 + decisive(received)[0]
            if not self.tell(name_of(number)):
                break  # the disk is full: tries again
            if number in CAUGHT:
                note(f"SIG{name_of(number)}: passed on to the tests; a second one ends them at once")
        return 0

    def tell(self, name: str) -> bool:
        """Lets the supervisor send one more signal to the tests; returns whether the run directory takes it."""
        number = self.sent + 1
        partial = self.run.path / "signals" / f".{number}"
        try:
            partial.write_text(name)
            partial.replace(self.run.path / "signals" / str(number))
        except OSError:
            return False
        self.sent = number
        return True

    def dead(self) -> str:
        """Returns why the run cannot end any more, or "" while its pod lives. Raises ApiError if the API server does
        not answer.
        """
        found = self.api.find("Pod", self.name, timeout=10, patience=0)
        if found is None:
            return "deleted: its pod is gone"
        if self.run.has_ended():
            return ""
        return of_pod(found)
