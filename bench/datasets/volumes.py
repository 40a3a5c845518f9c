"""Whole volumes, each of its own size: read, resample and scale them, and take a patch of each to measure on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tqdm import tqdm

from bench.datasets.augment import augmentation
from bench.datasets.common import rows_by_split, shown
from bench.datasets.files import BROKEN, reason
from bench.datasets.load import Pair, by, sides
from bench.errors import InputError
from bench.types import Data, Split, Volumes

INTENSITIES = ("zscore", "minmax", "percentiles")
PERCENTILES = (0.5, 99.5)
DIMS = 3


def volumetric(
    name: str,
    pairs: Sequence[Pair],
    assigned: np.ndarray,
    *,
    classes: Sequence[str],
    patch: int | Sequence[int] | None,
    spacing: float | Sequence[float] | None,
    intensity: str,
    n: Sequence[int | None] | None,
    seed: int,
    augment: str | Sequence[str] | None,
    licence: str,
    source: str,
) -> Data:
    """A `Data` of volumes and their splits (n,), whose samples are patches around what is labelled.

    patch: a side or one per axis; None is as large as the smallest volume. spacing: millimetres, to resample to.
    """
    rows = rows_by_split(assigned, n, seed)
    kept = np.sort(np.concatenate(list(rows.values())))
    loaded = {
        row: load_volume(pairs[row], len(classes), spacing, intensity)
        for row in tqdm(kept, desc=f"load {name}", unit="volume", leave=False, disable=None)
    }
    size = patch_size(patch, {pairs[row].name: mask.shape for row, (_, mask) in loaded.items()})
    volumes = {
        part: Volumes(
            tuple(loaded[row][0] for row in members),
            tuple(loaded[row][1] for row in members),
            np.array([pairs[row].name for row in members]),
            tuple(pairs[row].name for row in members),
        )
        for part, members in rows.items()
    }
    channels = {len(image) for image, _ in loaded.values()}
    if len(channels) > 1:
        raise InputError(
            f"{source}: got volumes of {shown(sorted(channels))} channels, wanted one number; mend the files"
        )
    return Data(
        name=name,
        task="segmentation",
        classes=tuple(classes),
        **{part: patches(whole, size) for part, whole in volumes.items()},
        augment=augmentation(augment, DIMS, patch=size),
        volumes=volumes,
        licence=licence,
        source=source,
    )


def load_volume(
    pair: Pair, classes: int, spacing: float | Sequence[float] | None, intensity: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Image (C, *spatial) float32 and mask (*spatial) int64 in RAS orientation.

    Errors: `InputError` that names the file that can't be read, does not fit its partner or holds no such classes.
    """
    from monai import transforms as mt

    if intensity not in INTENSITIES:
        raise InputError(f"dataset.intensity: got {intensity!r}, wanted one of {list(INTENSITIES)}; change it")
    sides_mm = None if spacing is None else _spacing(spacing)
    image, mask = _read(pair.image), _read(pair.mask)
    if image.shape[1:] != mask.shape[1:] or len(mask) != 1:
        raise InputError(
            f"{pair.image}: got {by(image.shape[1:])} and a mask of {by(mask.shape[1:])}, wanted one size; "
            "correct the pair"
        )
    found = np.unique(mask)
    if len(np.setdiff1d(found, np.arange(classes))):
        raise InputError(
            f"{pair.mask}: got mask values {shown(found)}, wanted all of {shown(range(classes))}; correct the mask, "
            "or the labels in dataset.json"
        )
    if not torch.isfinite(image).all():
        raise InputError(f"{pair.image}: got NaN or infinite voxels, wanted numbers; replace or remove the file")
    scale = {
        "zscore": mt.NormalizeIntensity(channel_wise=True),
        "minmax": mt.ScaleIntensity(channel_wise=True),
        "percentiles": mt.ScaleIntensityRangePercentiles(*PERCENTILES, 0, 1, clip=True, channel_wise=True),
    }[intensity]
    steps: list = [mt.Orientation("RAS", labels=None)]
    if sides_mm:
        steps.append(mt.Spacing(sides_mm))
    plain = mt.EnsureType(track_meta=False)
    image = mt.Compose([*steps, scale, plain])(image)
    nearest = [mt.Spacing(sides_mm, mode="nearest")] if sides_mm else []
    mask = mt.Compose([steps[0], *nearest, plain])(mask)
    return image.float().contiguous(), mask[0].long().contiguous()


def _read(path):
    """(C, *spatial) float32 with its affine."""
    import nibabel
    from monai import transforms as mt

    try:
        volume = mt.LoadImage(reader="NibabelReader", ensure_channel_first=True)(path)
    except (*BROKEN, RuntimeError, nibabel.filebasedimages.ImageFileError) as error:
        raise InputError(
            f"{path}: unreadable ({reason(error)}), wanted a whole NIfTI file; replace or remove it"
        ) from error
    if volume.ndim != DIMS + 1:
        raise InputError(f"{path}: got {by(volume.shape)}, wanted a volume of 3 axes, and of channels; mend the file")
    return volume


def _spacing(spacing: float | Sequence[float]) -> tuple[float, ...]:
    given = (spacing,) * DIMS if isinstance(spacing, int | float) else tuple(spacing)
    if len(given) != DIMS or not all(isinstance(side, int | float) and side > 0 for side in given):
        raise InputError(f"dataset.spacing: got {spacing}, wanted millimetres, one or {DIMS} of them above 0")
    return tuple(float(side) for side in given)


def patch_size(patch: int | Sequence[int] | None, sizes: dict[str, Sequence[int]]) -> tuple[int, ...]:
    """The patch that fits into every volume; `InputError` names the first that is smaller.

    >>> patch_size(None, {"ann": (40, 50, 30), "bob": (44, 44, 36)})
    (40, 44, 30)
    """
    smallest = tuple(int(side) for side in np.min(list(sizes.values()), axis=0))
    if patch is None:
        return smallest
    wanted = sides(patch, DIMS, "dataset.patch")
    for name, size in sizes.items():
        if any(side < least for side, least in zip(size, wanted, strict=True)):
            raise InputError(
                f"dataset.patch: got {by(wanted)}, and {name} of {by(size)}, which is smaller; wanted at most "
                f"{by(smallest)}, which fits into all; lower it, or leave such volumes out"
            )
    return wanted


def patches(whole: Volumes, size: tuple[int, ...]) -> Split:
    """A patch of each volume, around the middle of what is labelled there, or of the volume."""
    images, targets = [], []
    for image, mask in zip(whole.images, whole.targets, strict=True):
        labelled = mask.nonzero().float()
        middle = labelled.mean(dim=0) if len(labelled) else torch.tensor(mask.shape) / 2
        starts = [
            int(min(max(round(float(at) - side / 2), 0), most - side))
            for at, side, most in zip(middle, size, mask.shape, strict=True)
        ]
        inside = tuple(slice(start, start + side) for start, side in zip(starts, size, strict=True))
        images.append(image[:, *inside])
        targets.append(mask[inside])
    empty = torch.empty(0)
    stacked = (torch.stack(images), torch.stack(targets)) if images else (empty, empty)
    return Split(*stacked, whole.groups, whole.names)
