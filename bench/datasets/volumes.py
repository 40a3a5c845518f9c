"""Volumes of different sizes: read, resample and scale them, and take a patch of each for measurements."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch

from bench.datasets.augment import augmentation
from bench.datasets.cache import FOLDER, Cache
from bench.datasets.common import by, list_values, rows_by_split
from bench.datasets.data import Data
from bench.datasets.grids import grid_header, has_affine, read_grid
from bench.datasets.load import distinct, warn_of_lost
from bench.datasets.memory import Extent
from bench.datasets.nifti import check_affine, check_same_grid
from bench.datasets.patching import patch_size, patches
from bench.datasets.reading import Pair
from bench.datasets.spacing import Spacing, check_tolerance, spacing_of
from bench.datasets.volume_cases import Case, read_cases, volumes_of
from bench.errors import InputError

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
    tolerance: float,
    licence: str,
    source: str,
    cache: str = "memory",
    cache_folder: str = FOLDER,
) -> Data:
    """Make a `Data` of volumes. Its samples are patches around the labelled voxels.

    Args:
        name: Name of the dataset.
        pairs: The files of n volumes and their masks.
        assigned: (n,) the split of each volume.
        classes: Names of the classes.
        patch: Sides of a patch: one number, or one per axis. None takes the largest patch that fits into every volume.
        spacing: Size of a voxel after resampling, in millimetres: one number, or one per axis. None does not resample.
        intensity: `zscore`, `minmax` or `percentiles`.
        n: Number of volumes to draw for (train, val, test). None in it, or for it, takes all.
        seed: Seed of the draw.
        augment: Names of augmentations.
        tolerance: Tolerance of the normalised surface Dice in millimetres.
        licence: Licence of the data.
        source: Where the data come from.
        cache: `auto`, `memory` or `disk`, as in `image_folder`.
        cache_folder: Folder of the cache.

    Raises:
        InputError: Volumes do not fit in memory, can't be read, have different numbers of channels, or are smaller
            than the patch.
    """
    check_tolerance(tolerance)
    rows = rows_by_split(assigned, n, seed)
    kept = np.sort(np.concatenate(list(rows.values())))
    chosen = [pairs[row] for row in kept]
    sides_mm = _parse_spacing(spacing)
    arguments = {"kind": "volumes", "classes": len(classes), "spacing": sides_mm, "intensity": intensity}
    cases = read_cases(
        partial(_read_case, classes=len(classes), spacing=spacing, intensity=intensity),
        chosen,
        name,
        "volumes",
        partial(_extent, chosen, sides_mm),
        Cache(cache_folder, name, [file for pair in chosen for file in (pair.image, cast(Path, pair.mask))], arguments),
        cache,
    )
    warn_of_lost(sum(case.lost for case in cases), "dataset.spacing")
    size = patch_size(patch, {case.names[0]: case.masks.shape[1:] for case in cases})
    held = dict(zip(kept, cases, strict=True))
    volumes = {part: volumes_of([held[row] for row in members]) for part, members in rows.items()}
    if len(channels := {case.images.shape[1] for case in cases}) > 1:
        raise InputError(
            f"{source}: got volumes of {list_values(sorted(channels))} channels, wanted one number; correct the files"
        )
    return Data(
        name=name,
        task="segmentation",
        classes=tuple(classes),
        train=patches(volumes["train"], size),
        val=patches(volumes["val"], size),
        test=patches(volumes["test"], size),
        augment=augmentation(augment, DIMS, patch=size),
        volumes=volumes,
        tolerance=tolerance,
        licence=licence,
        source=source,
    )


def load_volume(
    pair: Pair, classes: int, spacing: float | Sequence[float] | None, intensity: str
) -> tuple[torch.Tensor, torch.Tensor, np.ndarray, Spacing | None]:
    """Load a volume and its mask in RAS orientation.

    Returns:
        Image (C, *spatial) float32, mask (*spatial) int64, the distinct values in the file of the mask, and the size of
        a voxel in millimetres, None if the file does not say it.

    Raises:
        InputError: A file can't be read, the image and the mask do not fit together, or mask values are not classes.
    """
    from monai import transforms as mt
    from monai.data import MetaTensor

    if intensity not in INTENSITIES:
        raise InputError(f"dataset.intensity: got {intensity!r}, wanted one of {list(INTENSITIES)}; change it")
    assert isinstance(pair.mask, Path)  # only pictures have masks in several files
    sides_mm = _parse_spacing(spacing)
    image, mask = _read(pair.image), _read(pair.mask)
    _check_sizes(pair, image, mask)
    found = np.unique(mask)
    if len(np.setdiff1d(found, np.arange(classes))):
        raise InputError(
            f"{pair.mask}: got mask values {list_values(found)}, wanted all of {list_values(range(classes))}; "
            "correct the mask, or the labels in dataset.json"
        )
    if not torch.isfinite(image).all():
        raise InputError(f"{pair.image}: got NaN or infinite voxels, wanted numbers; replace or remove the file")
    scale = {
        "zscore": mt.NormalizeIntensity(channel_wise=True),
        "minmax": mt.ScaleIntensity(channel_wise=True),
        "percentiles": mt.ScaleIntensityRangePercentiles(*PERCENTILES, 0, 1, clip=True, channel_wise=True),
    }[intensity]
    to_ras, to_tensor = mt.Orientation("RAS", labels=None), mt.EnsureType(track_meta=False)
    image, mask = (cast(MetaTensor, to_ras(each)) for each in (image, mask))  # MONAI declares its base class
    check_same_grid(pair.image, pair.mask, mask.shape[1:], (image.affine.numpy(), mask.affine.numpy()))
    if sides_mm:
        image, mask = mt.Spacing(sides_mm)(image), mt.Spacing(sides_mm, mode="nearest")(mask)
        _check_sizes(pair, image, mask)
    known = spacing_of(pair.image, DIMS) is not None
    voxel = tuple(np.linalg.norm(image.affine.numpy()[:DIMS, :DIMS], axis=0).tolist())
    image, mask = to_tensor(scale(image)), to_tensor(mask)
    return image.float().contiguous(), mask[0].long().contiguous(), found, voxel if known else None


def _read_case(pair: Pair, classes: int, spacing: float | Sequence[float] | None, intensity: str) -> Case:
    image, mask, found, voxel = load_volume(pair, classes, spacing, intensity)
    stored = mask.numpy().astype(np.uint8)
    noted = {"spacing": voxel, "values": found.tolist(), "kept": distinct(stored).tolist()}
    return Case(image.numpy()[None], stored[None], [pair.name], pair.name, **noted)


def _require_affine(path: Path) -> None:
    if not has_affine(path):
        raise InputError(f"{path}: got no affine, wanted NIfTI, 3-D NRRD or a folder of DICOM slices; convert it")


def _read(path: Path):
    """Read (C, *spatial) float32 with its affine, for MONAI's transforms."""
    from monai.data import MetaTensor

    _require_affine(path)
    array, affine = read_grid(path)
    if array.ndim not in (DIMS, DIMS + 1):
        raise InputError(f"{path}: got {by(array.shape)}, wanted 3 axes, or 4 with channels; correct the file")
    check_affine(path, affine)
    array = array[np.newaxis] if array.ndim == DIMS else np.moveaxis(array, -1, 0)
    return MetaTensor(torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)), affine=torch.from_numpy(affine))


def _check_sizes(pair: Pair, image: torch.Tensor, mask: torch.Tensor) -> None:
    if image.shape[1:] != mask.shape[1:] or len(mask) != 1:
        raise InputError(
            f"{pair.image}: got {by(image.shape[1:])} and a mask of {by(mask.shape[len(mask) == 1 :])}, wanted one "
            "size; correct the pair"
        )


def _extent(pairs: Sequence[Pair], sides_mm: tuple[float, ...] | None) -> Extent:
    """Return how large the volumes are, by their headers."""
    total, largest, most = 0.0, (0.0, ""), 1
    for pair in pairs:
        _require_affine(pair.image)
        shape, affine = grid_header(pair.image)
        channels = shape[3] if len(shape) > DIMS else 1
        kept = np.array((*shape, 1)[:DIMS], dtype=float)
        if sides_mm:
            check_affine(pair.image, affine)
            kept = np.ceil(kept * np.linalg.norm(affine[:3, :3], axis=0) / sides_mm)
        voxels = float(kept.prod())
        total, most = total + voxels, max(most, channels)
        largest = max(largest, (voxels, f"{pair.image.name} of {by(kept.astype(int))}"))
    what = f"dataset: {len(pairs)} volumes, the largest {largest[1]}"
    return Extent(total, largest[0], most, what, "lower dataset.n, or raise dataset.spacing")


def _parse_spacing(spacing: float | Sequence[float] | None) -> tuple[float, ...] | None:
    if spacing is None:
        return None
    given = (spacing,) * DIMS if isinstance(spacing, int | float) else tuple(spacing)
    if len(given) != DIMS or not all(isinstance(side, int | float) and side > 0 for side in given):
        raise InputError(f"dataset.spacing: got {spacing}, wanted one number or {DIMS} numbers above 0, in mm")
    return tuple(float(side) for side in given)
