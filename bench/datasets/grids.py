"""Formats with an affine, which maps voxels to millimetres: NIfTI, volumes in NRRD, and DICOM series."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.datasets import dicom, nifti, nrrd
from bench.datasets.ome_zarr import is_zarr

DIMS = 3


def has_affine(path: Path) -> bool:
    """Return whether an image has an affine: NIfTI, NRRD of three axes, or a folder of DICOM slices."""
    if nrrd.is_nrrd(path):
        return len(nrrd.nrrd_header(path)[0]) == DIMS
    return nifti.is_nifti(path) or (path.is_dir() and not is_zarr(path))


def grid_header(path: Path) -> tuple[tuple[int, ...], np.ndarray]:
    """Read the shape, with 2 or 3 spatial axes and possibly channels, and the 4x4 affine in RAS orientation."""
    if nifti.is_nifti(path):
        return nifti.nifti_header(path)
    if path.is_dir():
        return dicom.dicom_shape(path), dicom.series_affine(path)
    return nrrd.nrrd_header(path)[0][::-1], nrrd.nrrd_affine(path)


def read_grid(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the array, with axes as in `grid_header`, and the 4x4 affine in RAS orientation."""
    if nifti.is_nifti(path):
        return nifti.read_nifti(path)
    if path.is_dir():
        return dicom.read_series(path)
    return nrrd.read_nrrd(path)[0].T, nrrd.nrrd_affine(path)


def align(mask: np.ndarray, of_mask: np.ndarray, of_image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exchange and flip the axes of a mask so that they have the directions of the axes of the image.

    Args:
        mask: Mask of 2 or 3 axes.
        of_mask: Its 4x4 affine.
        of_image: The 4x4 affine of the image.

    Returns:
        The mask and its new affine. Positions of voxels do not change.

    Examples:
        >>> turned, affine = align(np.array([[[1]], [[2]]]), np.diag([-1.0, 1, 1, 1]), np.eye(4))
        >>> turned.ravel(), affine[0]
        (array([2, 1]), array([ 1.,  0.,  0., -1.]))
    """
    directions = np.linalg.solve(of_image[:DIMS, :DIMS], of_mask[:DIMS, :DIMS])  # of the axes of the mask, in columns
    axes = np.abs(directions).argmax(axis=1)
    if sorted(axes) != list(range(DIMS)) or (mask.ndim < DIMS and axes[-1] != DIMS - 1):
        return mask, of_mask
    flipped = tuple(axis for axis in range(DIMS) if directions[axis, axes[axis]] < 0)
    whole = mask if mask.ndim == DIMS else mask[..., np.newaxis]
    turned = whole.transpose(axes)
    change = np.zeros((4, 4))  # from a voxel of the turned mask to the same voxel of the mask
    change[3, 3] = 1
    for axis, of in enumerate(axes):
        change[of, axis] = -1 if axis in flipped else 1
        change[of, 3] = turned.shape[axis] - 1 if axis in flipped else 0
    turned = np.flip(turned, flipped)
    return turned if mask.ndim == DIMS else turned[..., 0], of_mask @ change
