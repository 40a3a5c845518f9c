"""Patches: their size, and one of each volume or picture for measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from bench.datasets.common import by
from bench.datasets.preparing import sides
from bench.datasets.splits import Split, Volumes
from bench.datasets.stored_volumes import Files, Windows
from bench.errors import InputError


def patch_size(patch: int | Sequence[int] | None, sizes: Mapping[str, Sequence[int]]) -> tuple[int, ...]:
    """Return the size of a patch that fits into every volume or picture.

    Args:
        patch: Sides of the patch: one number, or one per axis. None takes the largest patch that fits.
        sizes: Size of each volume or picture, by name.

    Raises:
        InputError: One is smaller than the patch.

    Examples:
        >>> patch_size(None, {"ann": (40, 50, 30), "bob": (44, 44, 36)})
        (40, 44, 30)
    """
    smallest = tuple(int(side) for side in np.min(list(sizes.values()), axis=0))
    if patch is None:
        return smallest
    wanted = sides(patch, len(smallest), "dataset.patch")
    for name, size in sizes.items():
        if any(side < least for side, least in zip(size, wanted, strict=True)):
            raise InputError(
                f"dataset.patch: got {by(wanted)}, but {name} has {by(size)}, which is smaller; wanted at most "
                f"{by(smallest)}, which fits into all; lower it, or remove the smaller ones"
            )
    return wanted


def patches(whole: Volumes, size: tuple[int, ...]) -> Split:
    """Take a patch of each volume, around the centre of its labelled voxels, or of the volume if there are none."""
    windows = []
    for mask in whole.targets:
        labelled = mask.nonzero().float()
        middle = labelled.mean(dim=0) if len(labelled) else torch.tensor(mask.shape) / 2
        starts = [
            int(min(max(round(float(at) - side / 2), 0), most - side))
            for at, side, most in zip(middle, size, mask.shape, strict=True)
        ]
        windows.append(tuple(slice(start, start + side) for start, side in zip(starts, size, strict=True)))
    if not windows:
        return Split(torch.empty(0), torch.empty(0), whole.groups, whole.names, whole.spacing)
    images, targets = Windows(whole.images, windows), Windows(whole.targets, windows)
    if not isinstance(whole.images, Files):  # they are in memory
        return Split(images[:], targets[:], whole.groups, whole.names, whole.spacing)
    return Split(images, targets, whole.groups, whole.names, whole.spacing)
