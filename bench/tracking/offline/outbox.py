"""Outbox: keep the writes that a run could not log in files, and send them when the store accepts them."""

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
from bench.tracking.addresses import with_credentials
from bench.tracking.local import Local
from bench.tracking.offline.waiting import DamagedFile, Waiting
from bench.tracking.offline.writes import FAILED, FINISHED, INCOMPLETE, KILLED, Write, end
from bench.tracking.remote import Unanswered, reason_of

FOLDER = "outbox"  # in the working directory of the command, with a folder for each run
AGAIN = 30  # minimal seconds between two attempts during the run
SHARE = 9  # the time between two attempts is at least this many times the duration of the last attempt
PAUSE = 3  # seconds between two attempts after the run has ended
REASONS = 3  # maximal number of reasons in a message

log = logging.getLogger(__name__)


class RemovedArtifacts(RuntimeError):
    """Artifacts that the store accepted do not exist there any more."""


class Outbox:
    """The writes of one run, sent in their order.

    While the store does not answer, all writes wait. If the store refuses a write, only this write waits and later
    writes are sent. The write `end` comes after all others.

    Args:
        client: Client of the store.
        run_id: Id of the run.
        folder: Folder for waiting writes, by default outbox/RUN_ID in the working directory.
        uri: Address of the store, for messages and for `resend`.
    """

    def __init__(self, client, run_id: str, folder: Path | None = None, uri: str | None = None):
        self.client = client
        self.run_id = run_id
        self.uri = uri or "…"
        self.folder = folder or Path.cwd() / FOLDER / run_id
        self.kept = Waiting(self.folder, uri)
        self._artifacts: dict[str, Write] = {}  # path -> artifact that the store accepted
        self._end: Write | None = None
        self._unreachable = bool(self.waiting())
        self._outage = self._removed = False
        self._reasons: dict[str, None] = {}
        self._try_at = 0.0

    def waiting(self) -> list[Path]:
        """List the files of waiting writes in their order."""
        return self.kept.paths()

    def send(self, write: Write) -> None:
        """Send a write, or keep it if the store fails or if an earlier write must arrive first."""
        self._end = write if write.kind == "end" else self._end
        waits = len(self.kept) > 0
        if waits and (self._unreachable or self._is_behind(write, map(self.kept.header, self.kept.entries()))):
            self.kept.add(write)
        else:
            self._try(write, first=not waits)
        if waits and time.monotonic() >= self._try_at and not is_stopping():
            self.flush()

    def flush(self) -> bool:
        """Send the waiting writes and return whether all were sent."""
        if not (count := len(self.kept)):
            return True
        started = time.monotonic()
        try:
            with self.kept.locked() if self.waiting() else nullcontext(), self._pace():
                done = self._pass() or (self._removed and self._pass())
        except OSError as error:  # the folder is not accessible
            self._note(error)
            done = False
        if done:
            log.info("sent all waiting writes: %d", count)
        self._try_at = time.monotonic() + max(AGAIN, SHARE * (time.monotonic() - started))
        return done

    def wait(self, seconds: float) -> None:
        """Send the waiting writes, with repeated attempts while the store does not answer.

        Args:
            seconds: Maximal time of these attempts.

        Raises:
            TrackingError: Writes are still missing. The message names them.
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
        """Return a message that names the waiting writes and the command that sends them."""
        entries = self.kept.entries()
        reasons = "; ".join([*self._reasons][:REASONS]) or "no attempt was made"
        parts = [f"{reasons}; run {self.run_id} is missing these {len(entries)} writes"]
        parts[0] += f": {self.kept.names(entries)}"
        if self.kept.in_memory:
            lost = self.kept.names(self.kept.in_memory)
            parts.append(f"{self.folder} can't be written ({self.kept.no_room}), so these are lost: {lost}")
        if self.waiting():
            command = f"python -m bench resend folder={shlex.quote(str(self.folder.parent))}"
            where = f"they wait in {self.folder}; when the store answers and has space, run{with_credentials(self.uri)}"
            parts.append(f"{where}: {command}")
        return "; ".join(parts)

    def set_final_status(self) -> None:
        """Set the final status of a run with missing writes: FAILED in place of FINISHED."""
        entries = self.kept.entries()
        if self._end and not entries:
            return
        payload: list = self._end.payload[:3] if self._end else [KILLED, int(1000 * time.time())]
        status, now, *owner = payload
        try:
            with self.client.short_timeouts():
                if self._end and len(entries) == 1 and self.flush():  # Ctrl-C came before `end` was sent
                    return
                if end(self.client, self.run_id, FAILED if status == FINISHED else status, now, *owner):
                    where = f"{socket.gethostname()}:{self.folder}"
                    self.client.set_tag(self.run_id, INCOMPLETE, f"{self.kept.names(entries)} in {where}")
        except Exception as error:  # errors of any kind; a message has already named the missing writes
            log.debug("the status of run %s was not set: %s", self.run_id, error)

    def _is_behind(self, write: Write, earlier: Iterable[Write | None]) -> bool:
        """Return whether a write must follow one of these earlier writes, where None is a damaged write."""
        if write.kind == "end":
            return any(True for _ in earlier)
        return write.replaces is not None and any(each and each.replaces == write.replaces for each in earlier)

    def _try(self, write: Write, first: bool) -> None:
        """Send a write, or keep it after an error. The first write that is kept logs a warning."""
        try:
            with self._pace():
                self._deliver(write)
        except Exception as error:  # errors of any kind, because stores of artifacts raise their own
            if first:
                self._reasons.clear()
            self._note(error)
            self._unreachable |= isinstance(error, TrackingError)
            if first:
                log.warning("%s; the run continues, and its writes wait in %s", *self._reasons, self.folder)
            self.kept.add(write)
        except BaseException as stop:
            if write.kind == "end" or stop.__context__ or not isinstance(self.client, Local):
                self.kept.add(write)  # otherwise the write was complete before Ctrl-C was handled
            raise

    def _pace(self) -> AbstractContextManager:
        """Return a context for requests, which are tried only once while the process is stopping."""
        return self.client.short_timeouts() if is_stopping() else nullcontext()

    def _pass(self) -> bool:
        """Try each waiting write, `end` last, and stop at an outage. Return whether all were sent."""
        self._unreachable = self._outage = self._removed = too_large = False
        self._reasons.clear()
        entries = [(entry, self.kept.header(entry)) for entry in self.kept.entries()]
        remaining: list[Write | None] = []
        for entry, header in entries:
            is_artifact = header is not None and header.kind == "artifact"
            if self._unreachable or (is_artifact and too_large) or (header and self._is_behind(header, remaining)):
                remaining.append(header)
                continue
            try:
                self._deliver(self.kept.read(entry))
            except Exception as error:  # errors of any kind, as above
                self._note(error)
                remaining.append(header)
                # A proxy may interrupt a request that is too large. Another write shows whether the server answers.
                broken_off = is_artifact and isinstance(error, Unanswered)
                too_large |= broken_off
                self._removed |= isinstance(error, RemovedArtifacts)
                self._outage |= isinstance(error, TrackingError)
                self._unreachable |= isinstance(error, TrackingError) and not broken_off
            else:
                self.kept.remove(entry)
        return not remaining

    def _deliver(self, write: Write) -> None:
        """Send a write. Before the status FINISHED, check that all artifacts still exist."""
        if write.kind == "end" and write.payload[0] == FINISHED and (lost := self._keep_lost()):
            raise RemovedArtifacts(f"artifacts of run {self.run_id} were removed: {self.kept.names(lost)}")
        write.deliver(self.client, self.run_id)
        if write.kind == "artifact":
            self._artifacts[write.payload[0]] = write

    def _keep_lost(self) -> list[Write]:
        """Keep artifacts again that the store accepted and that are now missing or incomplete. Return them."""
        sizes: dict[str, int | None] = {}
        for folder in sorted({str(Path(path).parent) for path in self._artifacts}):
            found = self.client.list_artifacts(self.run_id, None if folder == "." else folder)
            sizes |= {info.path: info.file_size for info in found}
        lost = [
            write
            for path, write in self._artifacts.items()
            if path not in sizes or sizes[path] not in (None, len(write.content))
        ]
        for write in lost:
            self.kept.add(self._artifacts.pop(write.payload[0]))
        return lost

    def _look_for_lost(self) -> None:
        """Keep lost artifacts of a run that does not finish, if the store answers."""
        try:
            if not self._unreachable and (lost := self._keep_lost()):
                self._note(RemovedArtifacts(f"{self.kept.names(lost)} were removed"))
        except Exception as error:  # errors of any kind, as above
            self._note(error)

    def _note(self, error: Exception) -> None:
        """Store the reason of a failure for messages."""
        if isinstance(error, TrackingError | InputError | DamagedFile | RemovedArtifacts):
            reason = str(error)
        elif getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "disk is full" in str(error):
            reason = "disk full: make room where tracking.uri keeps runs and artifacts"
        else:
            reason = f"tracking.uri: {self.uri} does not accept a write ({reason_of(error)})"
        self._reasons[reason] = None


def is_stopping() -> bool:
    """Return whether the exception that is currently handled or propagated stops the process."""
    error = sys.exception()
    return was_stopped(error) or isinstance(error, SystemExit)
