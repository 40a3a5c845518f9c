"""Samples in memory or on disk: they are read batch by batch, and have the same values wherever they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch

from bench.datasets.memory import check_memory
from bench.datasets.npy import read_header, refuse_loss

BLOCK = 32  # samples that an iteration reads at once
LARGE = 2**28  # bytes of samples in memory that stay whole numbers, if they are


class Stored(ABC):
    """n samples of one shape that are read when they are needed. An index gives a tensor, as for a tensor.

    Attributes:
        shape: (n, *shape of a sample).
        dtype: Type of the tensors that are read.
        finite: Whether all values are known to be finite.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    finite: bool = False

    @abstractmethod
    def read(self, rows: np.ndarray) -> torch.Tensor:
        """Read the samples of some rows, 0 <= row < n."""

    def take(self, rows: np.ndarray) -> Stored:
        """Return the samples of some rows, without reading them."""
        return Taken(self, np.asarray(rows))

    def split(self, size: int) -> Iterator[torch.Tensor]:
        """Yield batches of consecutive samples."""
        for first in range(0, len(self), size):
            yield self[first : first + size]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[torch.Tensor]:
        for batch in self.split(BLOCK):
            yield from batch

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray | torch.Tensor) -> torch.Tensor:
        rows = np.arange(len(self))[index.numpy() if isinstance(index, torch.Tensor) else index]
        return self.read(rows) if rows.ndim else self.read(rows[None])[0]


Samples = torch.Tensor | Stored


class Taken(Stored):
    """Some rows of other samples."""

    def __init__(self, whole: Stored, rows: np.ndarray):
        self.whole, self.rows = whole, rows
        self.shape, self.dtype, self.finite = (len(rows), *whole.shape[1:]), whole.dtype, whole.finite

    def read(self, rows: np.ndarray) -> torch.Tensor:
        return self.whole.read(self.rows[rows])

    def take(self, rows: np.ndarray) -> Stored:
        return Taken(self.whole, self.rows[rows])


class Joined(Stored):
    """The samples of several parts, in their order."""

    def __init__(self, parts: Sequence[Samples]):
        self.parts = tuple(parts)
        self.shape, self.dtype = (sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype
        self.finite = all(isinstance(part, Stored) and part.finite for part in parts)

    def read(self, rows: np.ndarray) -> torch.Tensor:
        found = torch.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        start = 0
        for part in self.parts:
            inside = np.flatnonzero((rows >= start) & (rows < start + len(part)))
            found[torch.from_numpy(inside)] = part[torch.from_numpy(rows[inside] - start)]
            start += len(part)
        return found


@dataclass(frozen=True)
class Encoding:
    """How stored numbers become the values of a sample. Only whole numbers have a divisor.

    Attributes:
        dtype: float32 for images, int64 for masks and classes.
        divisor: The stored numbers are divided by it; None for no division. A quotient of integers is rounded down.
        table: Value of each stored number; None if they are the values.
    """

    dtype: torch.dtype
    divisor: int | None = None
    table: tuple[int, ...] | None = None

    def decode(self, stored: np.ndarray) -> torch.Tensor:
        """Return the values of stored numbers."""
        numbers = np.float32 if self.dtype == torch.float32 else np.int64
        values = torch.from_numpy(stored.astype(numbers, copy=False))
        if self.table is not None:
            return torch.tensor(self.table)[values]
        if self.divisor in (None, 1):
            return values
        if values.dtype == torch.float32:
            return values.div_(self.divisor)  # in place, because stored whole numbers were copied
        return values // self.divisor


IMAGES, CLASSES = Encoding(torch.float32), Encoding(torch.int64)


class InMemory(Stored):
    """Samples whose numbers are an array in memory, such as uint8, which takes a quarter of float32.

    Args:
        array: (n, ...) the numbers.
        encoding: How they become values.

    Examples:
        >>> InMemory(np.array([[0, 255], [51, 0]], np.uint8), Encoding(torch.float32, 255))[1]
        tensor([0.2000, 0.0000])
    """

    finite = True

    def __init__(self, array: np.ndarray, encoding: Encoding):
        self.array, self.encoding = array, encoding
        self.shape, self.dtype = array.shape, encoding.dtype

    def read(self, rows: np.ndarray) -> torch.Tensor:
        return self.encoding.decode(self.array[rows])


class OnDisk(Stored):
    """Samples whose numbers are the rows of an `.npy` file. The file is opened for each batch.

    Reading copies the rows and maps no part of the file into memory.

    Args:
        path: The file.
        encoding: How its numbers become values.

    Raises:
        InputError: The file is missing or damaged.
    """

    finite = True

    def __init__(self, path: Path, encoding: Encoding):
        self.path, self.encoding = path, encoding
        with refuse_loss(path), path.open("rb") as file:
            self.shape, self.stored = read_header(file, path.stat().st_size)
            self.start = file.tell()
        self.dtype = encoding.dtype

    def read(self, rows: np.ndarray) -> torch.Tensor:
        found = np.empty((len(rows), *self.shape[1:]), self.stored)
        stride = prod(self.shape[1:]) * found.itemsize
        with refuse_loss(self.path), self.path.open("rb", buffering=0) as file:
            for place, row in zip(found, rows.tolist(), strict=True):
                file.seek(self.start + row * stride)
                if file.readinto(place.reshape(-1).view(np.uint8)) != stride:
                    raise ValueError("it is too short")
        return self.encoding.decode(found)


def in_memory(array: np.ndarray, encoding: Encoding) -> Samples:
    """Return the samples of an array: a tensor, or `InMemory` if they are many and their numbers are smaller."""
    bytes_ = prod(array.shape) * encoding.dtype.itemsize
    return InMemory(array, encoding) if array.nbytes < bytes_ and bytes_ > LARGE else encoding.decode(array)


def take(samples: Samples, rows: np.ndarray) -> Samples:
    """Return the samples of some rows. Those on disk are not read."""
    return samples[torch.from_numpy(rows)] if isinstance(samples, torch.Tensor) else samples.take(rows)


def join(parts: Sequence[Samples]) -> Samples:
    """Return the samples of several parts in one. Those on disk are not read."""
    tensors = [part for part in parts if isinstance(part, torch.Tensor)]
    return torch.cat(tensors) if len(tensors) == len(parts) else Joined(parts)


def recoded(samples: Samples, encoding: Encoding) -> Samples:
    """Return samples whose numbers are read with another encoding."""
    if isinstance(samples, OnDisk):
        return OnDisk(samples.path, encoding)
    assert isinstance(samples, torch.Tensor)
    return encoding.decode(samples.numpy())


def loaded(samples: Samples) -> torch.Tensor:
    """Return all samples as one tensor, or raise InputError if they do not fit in memory."""
    if isinstance(samples, torch.Tensor):
        return samples
    needed = prod(samples.shape) * samples.dtype.itemsize
    what = f"{len(samples)} samples of {'x'.join(map(str, samples.shape[1:]))}, which are measured in memory"
    check_memory(needed, what, "lower probe.n or dataset.size, or choose a smaller probe.split")
    return samples[:]
