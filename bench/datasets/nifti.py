"""Read NIfTI files: arrays, with affines that map voxels to millimetres."""

from __future__ import annotations

from itertools import product
from math import prod
from pathlib import Path
from typing import cast

import numpy as np

from bench.datasets.common import by, list_values, refuse_damage
from bench.datasets.memory import COPIES, INT, check_memory
from bench.errors import InputError, optional

SUFFIXES = (".nii.gz", ".nii")
WHOLE = "a whole NIfTI file"
TO_MM = {1: 1000.0, 3: 0.001}  # by the code of the unit: 1 metre, 3 micrometre; 2 is mm, and 0 (no unit) is read as mm
TOLERANCE = 0.1  # largest distance between corners of an image and of its mask, in voxels


def is_nifti(path: Path) -> bool:
    """Return whether the suffix of a file is that of NIfTI."""
    return path.name.lower().endswith(SUFFIXES)


def nifti_header(path: Path) -> tuple[tuple[int, ...], np.ndarray]:
    """Read the shape, with 2 or 3 spatial axes and possibly channels, and the 4x4 affine in millimetres."""
    image = _open(path)
    return without_ones(image.shape), _affine(image)


def nifti_spacing(path: Path) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Read the shape without trailing axes of length 1 after the third, and the size of a voxel in millimetres."""
    image = _open(path)
    shape = image.shape[: max(len(without_ones(image.shape)), min(len(image.shape), 3))]
    return shape, tuple(float(side) * _scale(image) for side in image.header.get_zooms()[: len(shape)])


def read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the array, scaled by the slope and intercept in the header, and the 4x4 affine in millimetres."""
    image = _open(path)
    check_memory(COPIES * INT * prod(image.shape), f"{path} of {by(image.shape)}", "crop it")
    with refuse_damage(path, WHOLE):
        return np.asanyarray(image.dataobj), _affine(image)


def without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Remove trailing axes of length 1 from a shape, but keep at least two axes.

    Examples:
        >>> without_ones((64, 64, 1, 1))
        (64, 64)
    """
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def check_same_grid(image: Path, mask: Path, shape: tuple[int, ...], affines: tuple[np.ndarray, np.ndarray]) -> None:
    """Raise InputError if the affines of an image and of its mask map a corner to different points.

    Args:
        image: The file of the image.
        mask: The file of the mask.
        shape: Lengths of the three spatial axes.
        affines: The 4x4 affines of the image and of the mask.
    """
    first, second = affines
    if np.array_equal(first, second, equal_nan=True):
        return
    corners = np.array([[*corner, 1] for corner in product(*((0, side - 1) for side in shape))]).T
    with np.errstate(invalid="ignore"):  # NaN counts as a difference
        apart = np.abs((first - second) @ corners)[:3].max()
    voxel = np.linalg.norm(first[:3, :3], axis=0).min()
    if not apart <= TOLERANCE * voxel:
        raise InputError(
            f"{image}: got the affine {_format_affine(first)}, and {mask} has {_format_affine(second)}, wanted one "
            "affine for both; resample the mask to the image, or copy the affine of the image if the arrays fit"
        )


def check_affine(path: Path, affine: np.ndarray) -> None:
    """Raise InputError if an affine is singular or has values that are NaN or infinite."""
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise InputError(
            f"{path}: got the affine {_format_affine(affine)}, wanted one that can be inverted; correct the sform or "
            "qform of its header"
        )


def _open(path: Path):
    with optional(str(path)):
        import nibabel

    with refuse_damage(path, WHOLE):
        image = cast(nibabel.Nifti1Image, nibabel.load(path))  # nibabel declares the base class of all files
        kind = image.get_data_dtype()
        shape = image.shape
    if kind.kind not in "biuf":
        raise InputError(f"{path}: got voxels of type {kind}, wanted one real number each; save each part as a channel")
    if not 2 <= len(without_ones(shape)) <= 4 or min(shape) < 1:
        raise InputError(f"{path}: got shape {list_values(shape)}, wanted 2 to 4 axes; save one volume per file")
    return image


def _affine(image) -> np.ndarray:
    scale = _scale(image)
    return image.affine * np.array([scale, scale, scale, 1.0])[:, None]


def _scale(image) -> float:
    """Return the millimetres of one unit of length."""
    return TO_MM.get(int(image.header["xyzt_units"]) % 8, 1.0)


def _format_affine(affine: np.ndarray) -> str:
    return "[" + "; ".join(" ".join(f"{value:.4g}" for value in row) for row in affine[:3]) + "]"
