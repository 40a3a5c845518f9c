"""Waiting writes: the writes of a run that its store does not have yet, stored in files of a folder."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock

from bench.tracking.addresses import without_password
from bench.tracking.offline.writes import KINDS, Write
from bench.tracking.remote import reason_of

STORE = "store"  # file with the address of the store that the writes are for
LOCK = "lock"  # file that the process locks while it adds writes to the folder or sends writes from it
ATTEMPTS = 100  # to lock a folder that another process removes at the same moment

log = logging.getLogger(__name__)


class DamagedFile(ValueError):
    """A file of an outbox does not contain a write."""


def runs_in(outbox: Path) -> list[str]:
    """List the runs that have waiting writes in this folder, which another process may empty at any time."""
    try:
        names = sorted(os.listdir(outbox))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [name for name in names if Waiting(outbox / name).paths()]


class Waiting:
    """The waiting writes of a run in their order, in files NUMBER.json (kind and payload) and NUMBER.bin (content).

    NUMBER.json is created in the last step of adding a write and deleted in the first step of removing it. A process
    that is killed therefore leaves only complete writes. If files can't be written, the writes stay in memory.

    Only the process that holds the lock changes the folder. Another process may send the last write and remove the
    folder at any time, so that for the other methods a missing file means that its write was sent.

    Args:
        folder: Folder of the files.
        uri: Address of the store, which is kept in the folder. None if it is known already.

    Attributes:
        in_memory: Writes that are not in files.
        no_room: Reason why they are not in files.
    """

    def __init__(self, folder: Path, uri: str | None = None):
        self.folder = folder
        self.uri = uri
        self.in_memory: list[Write] = []
        self.no_room = ""
        self._lock = FileLock(folder / LOCK)

    def store(self) -> str | None:
        """Return the address of the store that the files name, or None without such a file."""
        try:
            return (self.folder / STORE).read_text().strip()
        except FileNotFoundError:
            return None

    def paths(self) -> list[Path]:
        """List the files of the writes in their order."""
        return sorted(self._files("[0-9]*.json"), key=lambda path: (len(path.name), path.name))

    def __len__(self) -> int:
        return len(self.paths()) + len(self.in_memory)

    def entries(self) -> list[Path | Write]:
        """List all waiting writes. The final status of the run comes last."""
        return sorted([*self.paths(), *self.in_memory], key=self._is_end)

    @contextlib.contextmanager
    def locked(self, seconds: float = -1) -> Iterator[None]:
        """Prevent other processes from adding or sending within this context. Remove the folder if it is empty.

        Args:
            seconds: Time to wait for another process, or -1 without a limit.

        Raises:
            filelock.Timeout: Another process holds the lock after this time.
        """
        with self._acquire(seconds):
            try:
                yield
            finally:
                self._clear()

    def add(self, write: Write) -> None:
        """Store a write in a file, or in memory if files can't be written."""
        self.in_memory.append(write)
        try:
            with self.locked():
                while self.in_memory:
                    self._save(self.in_memory[0])
                    self.in_memory.pop(0)
        except OSError as error:
            if not self.no_room:
                log.warning("%s can't be written (%s); waiting writes stay in memory", self.folder, reason_of(error))
            self.no_room = reason_of(error)

    def read(self, entry: Path | Write) -> Write:
        """Return the write of an entry.

        Raises:
            DamagedFile: The file of the entry does not contain a write.
        """
        if isinstance(entry, Write):
            return entry
        try:
            return Write(*self._header(entry), entry.with_suffix(".bin").read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise DamagedFile(
                f"{entry} is damaged ({reason_of(error)}) and its content is lost; delete it and resend the rest"
            ) from error

    def header(self, entry: Path | Write) -> Write | None:
        """Return the write of an entry without its content, or None if the file does not contain a write."""
        if isinstance(entry, Write):
            return entry
        try:
            return Write(*self._header(entry))
        except (OSError, ValueError, TypeError):
            return None

    def end(self) -> Write | None:
        """Return the waiting write of the final status, or None."""
        ends = filter(self._is_end, self.entries())
        return next(map(self.header, ends), None)

    def remove(self, entry: Path | Write) -> None:
        """Remove an entry from the files or from memory."""
        if isinstance(entry, Write):
            self.in_memory.remove(entry)
        else:
            entry.unlink(missing_ok=True)
            entry.with_suffix(".bin").unlink(missing_ok=True)

    def names(self, entries: Iterable[Path | Write]) -> str:
        """Describe these writes in words, each kind once. A damaged file is described by its name."""
        found = [self.header(entry) or entry for entry in entries]
        return ", ".join(dict.fromkeys(each.name if isinstance(each, Path) else str(each) for each in found))

    def _files(self, pattern: str) -> list[Path]:
        """List the files of a pattern, none if the folder is missing or is removed at this moment."""
        try:
            return [*self.folder.glob(pattern)]
        except FileNotFoundError:
            return []

    def _acquire(self, seconds: float) -> AcquireReturnProxy:
        """Create the folder and lock it, again if another process removes the folder in between."""
        for _ in range(ATTEMPTS):
            with contextlib.suppress(FileNotFoundError):
                self.folder.mkdir(parents=True, exist_ok=True)
                return self._lock.acquire(seconds)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.folder))

    def _is_end(self, entry: Path | Write) -> bool:
        header = self.header(entry)
        return header is not None and header.kind == "end"

    def _save(self, write: Write) -> None:
        """Write the files of a write, NUMBER.json last, and the address of the store without a password."""
        if self.uri and not (self.folder / STORE).exists():
            (self.folder / STORE).write_text(without_password(self.uri))
        numbers = [int(path.stem) for path in self.paths() if path.stem.isdigit()]
        path = self.folder / f"{max(numbers, default=-1) + 1:06}.json"
        path.with_suffix(".bin").write_bytes(write.content)
        path.with_suffix(".part").write_text(json.dumps([write.kind, write.payload]))
        path.with_suffix(".part").rename(path)

    def _header(self, path: Path) -> tuple[str, list]:
        """Read the kind and the payload of a write from its file."""
        kind, payload = json.loads(path.read_text())
        if kind not in KINDS or not isinstance(payload, list) or not payload:
            raise ValueError(f"got a payload of kind {kind!r}, wanted a write of a run")
        return kind, payload

    def _clear(self) -> None:
        """Remove a folder without writes, together with incomplete files that a killed process left."""
        if self.paths():
            return
        for path in [
            *self._files("[0-9]*.bin"),
            *self._files("[0-9]*.part"),
            self.folder / STORE,
            self.folder / LOCK,
        ]:
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # there are other files, or writes of other runs in the folder above
            self.folder.rmdir()
            self.folder.parent.rmdir()
