"""Splits: samples or volumes in a fixed order, in memory or on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bench.datasets.storage import Samples, join, loaded, take
from bench.datasets.stored_volumes import Files, join_volumes


@dataclass(frozen=True)
class Split:
    """Samples of one split, in a fixed order. Images and targets are tensors, or `Stored`, which is read by batches.

    Attributes:
        images: (n, channels, *spatial) float32.
        targets: int64: (n, *spatial) class masks, (n,) classes, or (n, labels) of 0 and 1. For reconstruction float32,
            the images to reconstruct.
        groups: (n,) the group of each sample, such as a patient. Without groups, each sample is a group.
        names: n names for messages and tables.
        spacing: (n, axes) the size of a pixel along each axis in millimetres, or None if it is not known.
    """

    images: Samples
    targets: Samples
    groups: np.ndarray
    names: tuple[str, ...]
    spacing: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows) -> Split:
        """Return the samples of some rows. Those on disk are not read."""
        rows = np.asarray(rows)
        names = tuple(self.names[row] for row in rows)
        spacing = None if self.spacing is None else self.spacing[rows]
        return Split(take(self.images, rows), take(self.targets, rows), self.groups[rows], names, spacing)

    @staticmethod
    def join(*splits: Split) -> Split:
        """Return the samples of several splits in one. Those on disk are not read."""
        return Split(
            join([split.images for split in splits]),
            join([split.targets for split in splits]),
            np.concatenate([split.groups for split in splits]),
            tuple(name for split in splits for name in split.names),
            _join_spacings(splits),
        )

    def loaded(self) -> Loaded:
        """Read all samples into memory."""
        return Loaded(loaded(self.images), loaded(self.targets), self.groups, self.names, self.spacing)


@dataclass(frozen=True)
class Loaded(Split):
    """A split whose images and targets are tensors in memory."""

    images: torch.Tensor
    targets: torch.Tensor

    def take(self, rows) -> Loaded:
        return super().take(rows).loaded()


@dataclass(frozen=True)
class Volumes:
    """Volumes, or large pictures, of one split, of different sizes. A `Split` with the same names has a patch of each.

    Attributes:
        images: n arrays (channels, *spatial) float32.
        targets: n class masks (*spatial) int64.
        groups: (n,) the group of each volume.
        names: n names.
        spacing: (n, axes) as in `Split`.
    """

    images: Sequence[torch.Tensor]
    targets: Sequence[torch.Tensor]
    groups: np.ndarray
    names: tuple[str, ...]
    spacing: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows) -> Volumes:
        """Return the volumes of some rows. Those on disk are not read."""
        images, targets = (
            each.take(rows) if isinstance(each, Files) else tuple(each[row] for row in rows)
            for each in (self.images, self.targets)
        )
        names = tuple(self.names[row] for row in rows)
        return Volumes(images, targets, self.groups[rows], names, None if self.spacing is None else self.spacing[rows])

    @staticmethod
    def join(*parts: Volumes) -> Volumes:
        """Return the volumes of several splits in one. Those on disk are not read."""
        return Volumes(
            join_volumes([part.images for part in parts]),
            join_volumes([part.targets for part in parts]),
            np.concatenate([part.groups for part in parts]),
            tuple(name for part in parts for name in part.names),
            _join_spacings(parts),
        )


def _join_spacings(parts: Sequence[Split] | Sequence[Volumes]) -> np.ndarray | None:
    known = [part.spacing for part in parts if part.spacing is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


def in_regions(targets: torch.Tensor, regions: dict[str, tuple[int, ...]]) -> torch.Tensor:
    """Return which pixels are in each region: class masks (n, *spatial) to (n, regions, *spatial) of 0 and 1.

    Examples:
        >>> in_regions(torch.tensor([[0, 1, 2]]), {"whole": (1, 2), "core": (2,)}).tolist()
        [[[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]]
    """
    return torch.stack([torch.stack([targets == n for n in each]).any(0) for each in regions.values()], dim=1).float()
