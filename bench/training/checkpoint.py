"""Checkpoint: what a run that was killed needs, so that the same command continues it with the same numbers."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from filelock import FileLock, Timeout

from bench.errors import InputError, was_stopped

FOLDER = "checkpoints"  # in the working directory of the command, with a folder for each run
ABOUT, STATE, LOCK = "run.json", "state.pt", "lock"
ATTEMPTS = 100  # to create a folder in another one that another process removes at the same moment
# Classes in the state of PyTorch's schedules. All other content is tensors and plain values.
ALLOWED: list[Callable | tuple[Callable, str]] = [Counter]

log = logging.getLogger(__name__)


class Checkpoint:
    """The checkpoint of a run, in a folder that only the process of the run reads and writes.

    The folder has `run.json`, which identifies the run, and `state.pt`. Each state replaces the earlier one at
    once, so that a process that is killed leaves a complete file. The folder is removed when the run ends by itself,
    and kept when the run is stopped or killed.

    Args:
        folder: The folder.
        about: What `run.json` says: names and values.
        minutes: Time between two states. None saves nothing.

    Attributes:
        state: Parts of the state by name, as the last `save` left them; empty at the first start.

    Raises:
        InputError: `state.pt` is damaged.
        Timeout: Another process has the checkpoint.
    """

    def __init__(self, folder: Path, about: Mapping[str, str | None], minutes: float | None):
        self.folder = folder
        self.minutes = minutes
        self.state: dict[str, Any] = {}
        self._lock = FileLock(folder / LOCK)
        self._saved = time.monotonic()
        if minutes is None:
            return
        try:
            self._open(about)
        except Timeout:
            raise
        except OSError as error:
            self.minutes = None
            log.warning("%s can't be written (%s), so this run can't be continued after a stop", folder, error)
        else:
            self.state = self._load()

    def _open(self, about: Mapping[str, str | None]) -> None:
        """Create the folder and lock it, again if another process removes the folder above in between."""
        for _ in range(ATTEMPTS):
            with suppress(FileNotFoundError):
                self.folder.mkdir(parents=True, exist_ok=True)
                break
        self._lock.acquire(0)
        if not (self.folder / ABOUT).exists():
            part = self.folder / f"{ABOUT}.part"
            part.write_text(json.dumps(about))
            part.replace(self.folder / ABOUT)

    def save(self, **parts: Any) -> None:
        """Update parts of the state, and write all of them if it is time."""
        self.state |= parts
        if self.minutes is None or time.monotonic() - self._saved < 60 * self.minutes:
            return
        part = self.folder / f"{STATE}.part"
        try:
            with part.open("wb") as file:
                torch.save(plain(self.state | {"random": global_states()}), file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.folder / STATE)
        except (OSError, RuntimeError, TypeError) as error:  # torch raises RuntimeError if the disk is full
            part.unlink(missing_ok=True)
            reason = " ".join(str(error).split())[:100]
            log.warning("%s can't be written (%s); the run continues without a new checkpoint", part, reason)
        self._saved = time.monotonic()

    def restore_random(self) -> None:
        """Set the global random generators to their state at the last `save`."""
        restore_global(self.state["random"])

    def _load(self) -> dict[str, Any]:
        path = self.folder / STATE
        if not path.exists():
            return {}
        try:
            with torch.serialization.safe_globals(ALLOWED):
                return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file can raise errors of any kind
            reason = " ".join(str(error).split())[:100]
            raise InputError(f"checkpoint: {path} is damaged ({reason}); delete the folder {self.folder}") from error

    def remove(self) -> None:
        """Remove the folder."""
        if self.minutes is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            with suppress(OSError):  # there are checkpoints of other runs
                self.folder.parent.rmdir()
        self.release()

    def release(self) -> None:
        """Let other processes continue the run."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if was_stopped(error) or isinstance(error, SystemExit):
            self.release()
        else:
            self.remove()


def kept_checkpoints() -> Iterator[tuple[Path, dict[str, str | None]]]:
    """Yield the folder and the content of `run.json` of each checkpoint whose process has ended."""
    for path in sorted(Path.cwd().glob(f"{FOLDER}/*/{ABOUT}")):
        with suppress(Timeout, FileNotFoundError):  # its process is alive, or has just removed it
            with FileLock(path.parent / LOCK, timeout=0):
                about = json.loads(path.read_text())
            yield path.parent, about


def plain(value: Any) -> Any:
    """Convert a state to tensors and values of Python, which `torch.load(weights_only=True)` reads.

    Raises:
        TypeError: The state contains another object.

    Examples:
        >>> plain({"bits": [np.float64(0.5), None], "all": frozenset({np.int64(3)})})
        {'bits': [0.5, None], 'all': [3]}
    """
    if isinstance(value, Enum | np.generic):
        return plain(value.value if isinstance(value, Enum) else value.item())
    if value is None or isinstance(value, bool | int | float | str | bytes | torch.Tensor | Counter):
        return value
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if isinstance(value, list | set | frozenset):
        return [plain(each) for each in value]
    raise TypeError(f"got a {type(value).__name__} in the state of a training, wanted tensors and plain values")


def global_states() -> dict[str, Any]:
    """Return the states of the global random generators of Python, NumPy and PyTorch."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    numpy = plain(np.random.get_state())  # noqa: NPY002  (libraries use this generator)
    return {"python": random.getstate(), "numpy": numpy, "torch": torch.get_rng_state(), "cuda": cuda}


def restore_global(states: Mapping[str, Any]) -> None:
    """Set the global random generators to states of `global_states`."""
    random.setstate(states["python"])
    name, words, *rest = states["numpy"]
    np.random.set_state((name, words.numpy(), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])
