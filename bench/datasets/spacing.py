"""Size of a pixel in millimetres: from the header of a file, and after cropping and resizing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.datasets import dicom, nrrd, ome_zarr, tiff
from bench.datasets.files import shape_of
from bench.datasets.grids import grid_header, has_affine
from bench.datasets.preparing import Size, prepared_size
from bench.datasets.reading import Pair
from bench.errors import InputError

Spacing = tuple[float, ...]

log = logging.getLogger(__name__)


def spacing_of(path: Path, axes: int) -> Spacing | None:
    """Read the size of a pixel along each spatial axis in millimetres.

    NIfTI, NRRD, DICOM, OME-TIFF and OME-Zarr have it. A NIfTI file without a unit is read as millimetres.

    Args:
        path: The file, or the folder of a series.
        axes: Number of spatial axes of the image.

    Returns:
        A number for each axis, in the order of `read_image`, or None if the file does not say it.
    """
    if nrrd.is_nrrd(path) and not nrrd.has_spacing(path):
        return None
    found: Sequence[float] | None
    if ome_zarr.is_zarr(path):
        found = ome_zarr.zarr_spacing(path)
    elif has_affine(path):
        found = np.linalg.norm(grid_header(path)[1][:3, :3], axis=0)[:axes].tolist()
    elif nrrd.is_nrrd(path):
        found = nrrd.nrrd_header(path)[1]
    elif dicom.is_dicom(path):
        found = dicom.pixel_spacing(path)
    else:
        found = tiff.ome_spacing(path, axes)
    if found is None or len(found) != axes or not all(0 < side < np.inf for side in found):
        return None
    return tuple(float(side) for side in found)


def prepared_spacing(spacing: Spacing, shape: tuple[int, ...], crop: Size, size: Size) -> Spacing:
    """Return the spacing of an image after `prepare` has cropped and resized it.

    Args:
        spacing: Size of a pixel of the file in millimetres.
        shape: (*spatial) of the file.
        crop: Central window in pixels, or None.
        size: Size after resizing, or None.

    Examples:
        >>> prepared_spacing((0.5, 2.0), (100, 60), crop=80, size=(40, 20))
        (1.0, 6.0)
    """
    kept, wanted = prepared_size(shape, crop, None), prepared_size(shape, crop, size)
    return tuple(side * old / new for side, old, new in zip(spacing, kept, wanted, strict=True))


def image_spacings(data: str, pairs: Sequence[Pair], axes: int, crop: Size, size: Size) -> np.ndarray | None:
    """Return the spacings (n, axes) of the prepared images of n pairs, or None if they are not known."""
    found = []
    for pair in pairs:
        spacing = spacing_of(pair.image, axes)
        found.append(spacing and prepared_spacing(spacing, shape_of(pair.image)[1:], crop, size))
    return stack_spacings(data, [pair.name for pair in pairs], found)


def stack_spacings(data: str, names: Sequence[str], spacings: Sequence[Spacing | None]) -> np.ndarray | None:
    """Return the spacings of n images as (n, axes), or None with a warning if some images have none.

    Distances of a dataset have one unit, so that a mean over its images has one.
    """
    missing = [name for name, spacing in zip(names, spacings, strict=True) if spacing is None]
    if 0 < len(missing) < len(spacings):
        log.warning(
            "dataset %s: %d of %d images have no spacing in their headers (%s is the first); distances are in pixels",
            data, len(missing), len(spacings), missing[0],
        )  # fmt: skip
    return None if missing else np.array(spacings, dtype=float)


def check_tolerance(tolerance: float) -> None:
    """Raise InputError if the tolerance of the normalised surface Dice is not a number above 0."""
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 < tolerance < float("inf"):
        raise InputError(f"dataset.tolerance: got {tolerance!r}, wanted a number above 0, in mm; change it")
