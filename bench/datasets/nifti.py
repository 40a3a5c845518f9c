"""Read NIfTI files: arrays with the affine that maps their voxels to millimetres."""

from __future__ import annotations

from itertools import product
from math import prod
from pathlib import Path

import numpy as np

from bench.datasets.common import by, refuse_damage, shown
from bench.datasets.memory import COPIES, INT, check_memory
from bench.errors import InputError, optional

SUFFIXES = (".nii.gz", ".nii")
WHOLE = "a whole NIfTI file"
TO_MM = {1: 1000.0, 3: 0.001}  # by the code of the unit: metre, micrometre; 2 is mm, and 0, no unit, is read as mm
TOLERANCE = 0.1  # of a voxel, by which the corners of an image and of its mask may differ


def is_nifti(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES)


def nifti_header(path: Path) -> tuple[tuple[int, ...], np.ndarray]:
    """Shape, two or three spatial axes and then perhaps channels, and the 4x4 affine in millimetres."""
    image = _open(path)
    return without_ones(image.shape), _affine(image)


def read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The array, scaled by the header's slope and intercept, and the 4x4 affine in millimetres."""
    image = _open(path)
    check_memory(COPIES * INT * prod(image.shape), f"{path} of {by(image.shape)}", "cut it smaller")
    with refuse_damage(path, WHOLE):
        return np.asanyarray(image.dataobj), _affine(image)


def without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without trailing axes of one, but two axes at least.

    >>> without_ones((64, 64, 1, 1))
    (64, 64)
    """
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def check_same_grid(image: Path, mask: Path, shape: tuple[int, ...], affines: tuple[np.ndarray, np.ndarray]) -> None:
    """Raise InputError where the affines of an image and of its mask put a corner at different places.

    shape: of the three spatial axes.
    """
    first, second = affines
    if np.array_equal(first, second, equal_nan=True):
        return
    corners = np.array([[*corner, 1] for corner in product(*((0, side - 1) for side in shape))]).T
    with np.errstate(invalid="ignore"):  # NaN compares as no agreement
        apart = np.abs((first - second) @ corners)[:3].max()
    voxel = np.linalg.norm(first[:3, :3], axis=0).min()
    if not apart <= TOLERANCE * voxel:
        raise InputError(
            f"{image}: got the affine {_rows(first)}, and {mask} has {_rows(second)}, wanted one that holds for both; "
            "resample the mask to the image, or give it the image's affine if their arrays already fit"
        )


def check_affine(path: Path, affine: np.ndarray) -> None:
    """Raise InputError for an affine that does not map voxels to places: singular, NaN or infinite."""
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise InputError(
            f"{path}: got the affine {_rows(affine)}, wanted one that can be inverted; correct the sform or qform of "
            "its header"
        )


def _open(path: Path):
    with optional(str(path)):
        import nibabel

    with refuse_damage(path, WHOLE):
        image = nibabel.load(path)
        kind = image.get_data_dtype()
        shape = image.shape
    if kind.kind not in "biuf":
        raise InputError(f"{path}: got voxels of type {kind}, wanted one real number each; save each part as a channel")
    if not 2 <= len(without_ones(shape)) <= 4 or min(shape) < 1:
        raise InputError(f"{path}: got shape {shown(shape)}, wanted 2 to 4 axes; save one volume a file")
    return image


def _affine(image) -> np.ndarray:
    scale = TO_MM.get(int(image.header["xyzt_units"]) % 8, 1.0)
    return image.affine * np.array([scale, scale, scale, 1.0])[:, None]


def _rows(affine: np.ndarray) -> str:
    return "[" + "; ".join(" ".join(f"{value:.4g}" for value in row) for row in affine[:3]) + "]"
