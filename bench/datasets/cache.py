"""Cache: preprocessed samples on disk, in a folder for each choice of files and of preprocessing."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.errors import InputError

FOLDER = "cache"  # in the working directory of the command
TAG = "CACHEDIR.TAG"  # marks the folder as a cache, for backups and for datasets above it, see bford.info/cachedir
SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55\n"
FORMAT = 1  # of the entries; another number makes new entries
ABOUT = "about.json"
FULL = (errno.ENOSPC, errno.EDQUOT)


class Cache:
    """The entry of a dataset in the cache. It is complete or absent, because it is written beside and then renamed.

    Args:
        folder: Folder of all entries.
        name: Name of the dataset, for the name of the entry.
        files: All files that the samples are made of. Names, sizes and times of change identify the entry.
        arguments: How the samples are made of them.
    """

    def __init__(self, folder: str | Path, name: str, files: Iterable[Path], arguments: Mapping[str, Any]):
        self.folder = Path(folder)
        self.files = list(files)
        self.arguments = dict(arguments)
        self.key = self._key()
        self.path = self.folder / f"{re.sub(r'[^A-Za-z0-9_-]+', '-', name)}-{self.key}"

    def exists(self) -> bool:
        return self.path.is_dir()

    def open(self) -> dict[str, Any]:
        """Return what was noted when the entry was written.

        Raises:
            InputError: A file is missing or has another size.
        """
        try:
            about = json.loads((self.path / ABOUT).read_text(encoding="utf-8"))
            sizes = {name: (self.path / name).stat().st_size for name in about["files"]}
            if sizes != about["files"]:
                wrong = next(name for name in sizes if sizes[name] != about["files"][name])
                raise ValueError(f"{wrong} has {sizes[wrong]} bytes in place of {about['files'][wrong]}")
            return about["note"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"{self.path}: the cache is damaged ({reason}); delete this folder and start again"
            ) from error

    def make(self, write: Callable[[Path], dict[str, Any]], needed: float) -> dict[str, Any]:
        """Write the entry, unless another process has written it meanwhile, and return its note.

        Args:
            write: Writes the files into a folder, and returns a note of plain values.
            needed: Bytes of the files.

        Raises:
            InputError: The folder is not writable, the disk is full, or a file of the dataset has changed meanwhile.
        """
        part = self.path.with_name(f"{self.path.name}.part")
        with self._refuse_faults(needed):
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / TAG).write_text(SIGNATURE)
            with FileLock(self.folder / f"{self.path.name}.lock"):
                if not self.exists():
                    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
                    try:
                        self._write(part, write, needed)
                    except BaseException:
                        shutil.rmtree(part, ignore_errors=True)
                        raise
        return self.open()

    def _write(self, part: Path, write: Callable[[Path], dict[str, Any]], needed: float) -> None:
        part.mkdir()
        if shutil.disk_usage(part).free < needed:
            raise OSError(errno.ENOSPC, "No space left on device")
        note = write(part)
        if self._key() != self.key:
            raise InputError(f"{self._shown()}: files changed while they were read; start again when they are complete")
        sizes = {file.name: file.stat().st_size for file in sorted(part.iterdir())}
        (part / ABOUT).write_text(json.dumps({"files": sizes, "note": note}), encoding="utf-8")
        for file in part.iterdir():
            _flush(file)
        part.rename(self.path)

    @contextmanager
    def _refuse_faults(self, needed: float) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                raise InputError(
                    f"dataset.cache_folder: {self.folder} has too little space for {needed / 1e9:,.2f} GB of samples; "
                    "make room, or set dataset.cache_folder to a folder on another disk"
                ) from error
            if error.filename is None or not Path(error.filename).is_relative_to(self.folder):
                raise
            raise InputError(
                f"dataset.cache_folder: got {self.folder}, which can't be written ({error.strerror}); choose another "
                "folder"
            ) from error

    def _key(self) -> str:
        digest = hashlib.sha256(json.dumps([FORMAT, self.arguments], sort_keys=True).encode())
        for path in self.files:
            for file in sorted(path.iterdir()) if path.is_dir() else (path,):
                found = file.stat()
                digest.update(f"{file.absolute()}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]

    def _shown(self) -> str:
        return str(self.files[0].parent) if self.files else "dataset"


def _flush(path: Path) -> None:
    """Wait until a file is on the disk, so that a power cut leaves no entry with missing content."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
