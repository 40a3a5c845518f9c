"""Outbox: what a run could not log waits in files, and is sent when its tracking store takes it."""

from __future__ import annotations

import errno
import logging
import shlex
import socket
import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from bench.errors import InputError, TrackingError, was_stopped
from bench.tracking.local import Local
from bench.tracking.offline.waiting import DamagedFile, Waiting
from bench.tracking.offline.writes import FAILED, FINISHED, INCOMPLETE, KILLED, Write, end
from bench.tracking.remote import Unanswered, reason_of

FOLDER = "outbox"  # where the command was started; a folder for each run in it
AGAIN = 30  # seconds after which a store that failed is tried again during the run
SHARE = 9  # a shorter wait is at least this many times as long as the last attempt took
PAUSE = 3  # seconds between attempts when there is nothing left to do but to wait
REASONS = 3  # that a message says

log = logging.getLogger(__name__)


class RemovedArtifacts(RuntimeError):
    """Artifacts that the store took are not there any more."""


class Outbox:
    """The writes of one run, sent in their order.

    While the store gives no answer, all writes wait. A write that the store refuses waits alone, and later ones are
    sent; `end` comes after all others.
    """

    def __init__(self, client, run_id: str, folder: Path | None = None, uri: str = "…"):
        self.client = client
        self.run_id = run_id
        self.uri = uri
        self.folder = folder or Path.cwd() / FOLDER / run_id
        self.kept = Waiting(self.folder)
        self._artifacts: dict[str, Write] = {}  # those that the store took
        self._end: Write | None = None
        self._away = bool(self.waiting())
        self._outage = self._removed = False
        self._reasons: dict[str, None] = {}
        self._try_at = 0.0

    def waiting(self) -> list[Path]:
        """The files of writes, in their order."""
        return self.kept.paths()

    def send(self, write: Write) -> None:
        """Send, or keep where the store fails or where an earlier write has to arrive before."""
        self._end = write if write.kind == "end" else self._end
        waits = len(self.kept) > 0
        if waits and (self._away or self._is_behind(write, map(self.kept.header, self.kept.entries()))):
            self.kept.add(write)
        else:
            self._try(write, first=not waits)
        if waits and time.monotonic() >= self._try_at and not is_stopping():
            self.flush()

    def flush(self) -> bool:
        """Send what waits; return whether all of it was sent."""
        if not (count := len(self.kept)):
            return True
        started = time.monotonic()
        try:
            with self.kept.locked() if self.waiting() else nullcontext(), self._pace():
                done = self._pass() or (self._removed and self._pass())
        except OSError as error:  # of the folder
            self._note(error)
            done = False
        if done:
            log.info("sent what had waited: %d writes", count)
        self._try_at = time.monotonic() + max(AGAIN, SHARE * (time.monotonic() - started))
        return done

    def wait(self, seconds: float) -> None:
        """Send what waits, again and again for so long as the store gives no answer.

        Raises TrackingError, which says what is missing after that.
        """
        ends = time.monotonic() + seconds
        try:
            while not self.flush():
                if not self._outage or time.monotonic() >= ends:
                    self._look_for_lost()
                    raise TrackingError(self.missing())
                time.sleep(PAUSE)
        except KeyboardInterrupt:
            log.error("%s", self.missing())
            raise

    def missing(self) -> str:
        """What waits, in words, and how it can be sent."""
        entries = self.kept.entries()
        reasons = "; ".join([*self._reasons][:REASONS]) or "nothing was tried"
        parts = [f"{reasons}; of run {self.run_id} these {len(entries)} writes are missing there"]
        parts[0] += f": {self.kept.names(entries)}"
        if self.kept.in_memory:
            lost = self.kept.names(self.kept.in_memory)
            parts.append(f"{self.folder} can't be written ({self.kept.no_room}), so these are lost: {lost}")
        if self.waiting():
            command = f"python -m bench resend folder={shlex.quote(str(self.folder.parent))} tracking.uri={self.uri}"
            parts.append(f"they wait in {self.folder}; when it answers and has room: {command}")
        return "; ".join(parts)

    def tell(self) -> None:
        """Set the status of a run whose writes have not all arrived: FAILED where it would have been FINISHED."""
        entries = self.kept.entries()
        if self._end and not entries:
            return
        status, now, *owner = self._end.payload[:3] if self._end else [KILLED, int(1000 * time.time())]
        try:
            with self.client.hurried():
                if self._end and len(entries) == 1 and self.flush():  # a Ctrl-C came before it was sent
                    return
                if end(self.client, self.run_id, FAILED if status == FINISHED else status, now, *owner):
                    where = f"{socket.gethostname()}:{self.folder}"
                    self.client.set_tag(self.run_id, INCOMPLETE, f"{self.kept.names(entries)} in {where}")
        except Exception as error:  # of whatever kind: that this is missing is said already
            log.debug("run %s stays as it is: %s", self.run_id, error)

    def _is_behind(self, write: Write, earlier: Iterable[Write | None]) -> bool:
        """Whether a write comes after one of these; None is a damaged one."""
        if write.kind == "end":
            return any(True for _ in earlier)
        return write.replaces is not None and any(each and each.replaces == write.replaces for each in earlier)

    def _try(self, write: Write, first: bool) -> None:
        try:
            with self._pace():
                self._deliver(write)
        except Exception as error:  # of whatever kind: stores of artifacts have errors of their own
            if first:
                self._reasons.clear()
            self._note(error)
            self._away |= isinstance(error, TrackingError)
            if first:
                log.warning("%s; the run continues, and what it logs waits in %s", *self._reasons, self.folder)
            self.kept.add(write)
        except BaseException as stop:
            if write.kind == "end" or stop.__context__ or not isinstance(self.client, Local):
                self.kept.add(write)  # else it was done before the Ctrl-C was heeded
            raise

    def _pace(self) -> AbstractContextManager:
        return self.client.hurried() if is_stopping() else nullcontext()

    def _pass(self) -> bool:
        """Try each write that waits, `end` last, and stop at an outage; return whether all were sent."""
        self._away = self._outage = self._removed = too_large = False
        self._reasons.clear()
        entries = [(entry, self.kept.header(entry)) for entry in self.kept.entries()]
        left: list[Write | None] = []
        for entry, header in entries:
            is_artifact = bool(header) and header.kind == "artifact"
            if self._away or (is_artifact and too_large) or (header and self._is_behind(header, left)):
                left.append(header)
                continue
            try:
                self._deliver(self.kept.read(entry))
            except Exception as error:  # of whatever kind, as above
                self._note(error)
                left.append(header)
                # A proxy may break off what is too large: another write shows whether the server is away.
                broken_off = is_artifact and isinstance(error, Unanswered)
                too_large |= broken_off
                self._removed |= isinstance(error, RemovedArtifacts)
                self._outage |= isinstance(error, TrackingError)
                self._away |= isinstance(error, TrackingError) and not broken_off
            else:
                self.kept.remove(entry)
        return not left

    def _deliver(self, write: Write) -> None:
        if write.kind == "end" and write.payload[0] == FINISHED and (lost := self._keep_lost()):
            raise RemovedArtifacts(f"of run {self.run_id} these artifacts were removed: {self.kept.names(lost)}")
        write.deliver(self.client, self.run_id)
        if write.kind == "artifact":
            self._artifacts[write.payload[0]] = write

    def _keep_lost(self) -> list[Write]:
        """Have artifacts wait again that the store took and that are not there any more, or not whole."""
        there: dict[str, int | None] = {}
        for folder in sorted({str(Path(path).parent) for path in self._artifacts}):
            found = self.client.list_artifacts(self.run_id, None if folder == "." else folder)
            there |= {info.path: info.file_size for info in found}
        lost = [
            write
            for path, write in self._artifacts.items()
            if path not in there or there[path] not in (None, len(write.content))
        ]
        for write in lost:
            self.kept.add(self._artifacts.pop(write.payload[0]))
        return lost

    def _look_for_lost(self) -> None:
        """The same for a run that does not finish, where the store answers."""
        try:
            if not self._away and (lost := self._keep_lost()):
                self._note(RemovedArtifacts(f"{self.kept.names(lost)} were removed"))
        except Exception as error:  # of whatever kind, as above
            self._note(error)

    def _note(self, error: Exception) -> None:
        """Keep the reason of a failure, in words for the user."""
        if isinstance(error, TrackingError | InputError | DamagedFile | RemovedArtifacts):
            reason = str(error)
        elif getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "disk is full" in str(error):
            reason = "disk full: make room where tracking.uri keeps runs and artifacts"
        else:
            reason = f"tracking.uri: {self.uri} does not take it ({reason_of(error)})"
        self._reasons[reason] = None


def is_stopping() -> bool:
    """Whether the exception that is being handled, or that passes by, stops the process."""
    error = sys.exception()
    return was_stopped(error) or isinstance(error, SystemExit)
