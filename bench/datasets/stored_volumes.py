"""Volumes of different sizes in memory or on disk, and windows of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from bench.datasets.storage import Samples, Stored


class Files(Sequence[torch.Tensor]):
    """Volumes of different sizes, each in a row of a file, which are read one by one.

    Args:
        places: Samples that have the volume, and its row in them.
        least: Volumes are padded with zeros on both sides to this size. None does not pad.
    """

    def __init__(self, places: Sequence[tuple[Samples, int]], least: tuple[int, ...] | None = None):
        self.places, self.least = tuple(places), least
        self.finite = all(isinstance(stored, Stored) and stored.finite for stored, _ in self.places)

    def __len__(self) -> int:
        return len(self.places)

    def take(self, rows: Sequence[int] | np.ndarray) -> Files:
        """Return the volumes of some rows, without reading them."""
        return Files([self.places[row] for row in rows], self.least)

    def __getitem__(self, index: Any) -> torch.Tensor:  # type: ignore[override]  # no slices
        stored, row = self.places[int(index)]
        volume = stored[row]
        return volume if self.least is None else padded(volume, self.least)


def in_order(places: Sequence[tuple[Samples, int]], least: tuple[int, ...] | None = None) -> Sequence[torch.Tensor]:
    """Return volumes as `Files`, or as tensors if all of them are in memory. The arguments are those of `Files`."""
    files = Files(places, least)
    return tuple(files) if all(isinstance(samples, torch.Tensor) for samples, _ in places) else files


class Windows(Stored):
    """A window of each of n volumes, all of one size.

    Args:
        volumes: The volumes.
        inside: The window of each volume, a slice for each of its last axes.
    """

    def __init__(self, volumes: Sequence[torch.Tensor], inside: Sequence[tuple[slice, ...]]):
        self.volumes, self.inside = volumes, tuple(inside)
        first = self._window(0)
        self.shape, self.dtype = (len(self.inside), *first.shape), first.dtype

    def read(self, rows: np.ndarray) -> torch.Tensor:
        if not len(rows):
            return torch.empty((0, *self.shape[1:]), dtype=self.dtype)
        return torch.stack([self._window(row) for row in rows.tolist()])

    def _window(self, row: int) -> torch.Tensor:
        index: tuple[Any, ...] = (..., *self.inside[row])
        return self.volumes[row][index]


def padded(volume: torch.Tensor, least: tuple[int, ...]) -> torch.Tensor:
    """Pad the last axes with zeros on both sides to at least a size."""
    missing = [max(0, side - had) for side, had in zip(least, volume.shape[-len(least) :], strict=True)]
    return torch.nn.functional.pad(volume, [zeros for m in reversed(missing) for zeros in (m // 2, m - m // 2)])


def join_volumes(parts: Sequence[Sequence[torch.Tensor]]) -> Sequence[torch.Tensor]:
    """Return the volumes of several parts in one. Those on disk are not read."""
    files = [part for part in parts if isinstance(part, Files)]
    if len(files) < len(parts):
        return tuple(volume for part in parts for volume in part)
    return Files([place for part in files for place in part.places], files[0].least)
