"""Waiting: the writes of one run that its store does not have yet, in the files of a folder."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from filelock import FileLock

from bench.tracking.offline.writes import KINDS, Write
from bench.tracking.remote import reason_of

LOCK = "lock"  # a file, held by the process that adds to the folder or sends from it

log = logging.getLogger(__name__)


class DamagedFile(ValueError):
    """A file of an outbox holds no write."""


class Waiting:
    """The writes of a run in their order, in files NUMBER.json (kind and payload) and NUMBER.bin (content).

    A write gets its name NUMBER.json in the last step of adding it and loses it in the first step of removing it, so
    that a process that is killed leaves whole writes. Where files can't be written, writes are held in memory.

    in_memory: these writes. no_room: why there are no files of them.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.in_memory: list[Write] = []
        self.no_room = ""
        self._lock = FileLock(folder / LOCK)

    def paths(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.json"), key=lambda path: (len(path.name), path.name))

    def __len__(self) -> int:
        return len(self.paths()) + len(self.in_memory)

    def entries(self) -> list[Path | Write]:
        """All that waits, and last of it how the run ended."""
        return sorted([*self.paths(), *self.in_memory], key=self._is_end)

    @contextlib.contextmanager
    def locked(self, seconds: float = -1) -> Iterator[None]:
        """Within: no other process adds or sends. An empty folder is removed.

        seconds: how long to wait for the other, -1 for as long as it takes. Raises filelock.Timeout after that.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock.acquire(seconds):
            try:
                yield
            finally:
                self._clear()

    def add(self, write: Write) -> None:
        """Write a file, or hold in memory where that is not possible."""
        self.in_memory.append(write)
        try:
            with self.locked():
                while self.in_memory:
                    self._save(self.in_memory[0])
                    self.in_memory.pop(0)
        except OSError as error:
            if not self.no_room:
                log.warning("%s can't be written (%s); what waits is held in memory", self.folder, reason_of(error))
            self.no_room = reason_of(error)

    def read(self, entry: Path | Write) -> Write:
        """The write of an entry; DamagedFile where a file holds none."""
        if isinstance(entry, Write):
            return entry
        try:
            return Write(*self._header(entry), entry.with_suffix(".bin").read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise DamagedFile(
                f"{entry} is damaged ({reason_of(error)}): what it held is lost; delete it and resend the rest"
            ) from error

    def header(self, entry: Path | Write) -> Write | None:
        """The write of an entry without its content; None where a file holds none."""
        if isinstance(entry, Write):
            return entry
        try:
            return Write(*self._header(entry))
        except (OSError, ValueError, TypeError):
            return None

    def end(self) -> Write | None:
        """How the run ended, where that waits."""
        ends = filter(self._is_end, self.entries())
        return next(map(self.header, ends), None)

    def remove(self, entry: Path | Write) -> None:
        if isinstance(entry, Write):
            self.in_memory.remove(entry)
        else:
            entry.unlink(missing_ok=True)
            entry.with_suffix(".bin").unlink(missing_ok=True)

    def names(self, entries: Iterable[Path | Write]) -> str:
        """What these are, each kind once; a damaged file by its name."""
        headers = [(entry, self.header(entry)) for entry in entries]
        return ", ".join(dict.fromkeys(str(header or Path(entry).name) for entry, header in headers))

    def _is_end(self, entry: Path | Write) -> bool:
        header = self.header(entry)
        return header is not None and header.kind == "end"

    def _save(self, write: Write) -> None:
        numbers = [int(path.stem) for path in self.paths() if path.stem.isdigit()]
        path = self.folder / f"{max(numbers, default=-1) + 1:06}.json"
        path.with_suffix(".bin").write_bytes(write.content)
        path.with_suffix(".part").write_text(json.dumps([write.kind, write.payload]))
        path.with_suffix(".part").rename(path)

    def _header(self, path: Path) -> tuple[str, list]:
        kind, payload = json.loads(path.read_text())
        if kind not in KINDS or not isinstance(payload, list) or not payload:
            raise ValueError(f"no write of a run, but {kind!r}")
        return kind, payload

    def _clear(self) -> None:
        """Remove a folder without writes, with what a process left that was killed while it added or removed one."""
        if self.paths():
            return
        for path in [*self.folder.glob("[0-9]*.bin"), *self.folder.glob("[0-9]*.part"), self.folder / LOCK]:
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # other files are there; other runs' writes wait beside
            self.folder.rmdir()
            self.folder.parent.rmdir()
