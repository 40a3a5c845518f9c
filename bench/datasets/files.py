"""Find image and mask files, and read them as arrays. An error names the file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.datasets import nifti, pictures
from bench.datasets.common import by, list_values, reason
from bench.errors import InputError

SUFFIXES = (*nifti.SUFFIXES, *pictures.SUFFIXES)
OF_SYSTEMS = ("__macosx", "thumbs.db", "desktop.ini")  # files of operating systems, besides names with a leading dot

log = logging.getLogger(__name__)


def entries(folder: Path) -> list[Path]:
    """Return the sorted contents of a folder without files of operating systems."""
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: unreadable ({reason(error)}), wanted a folder; check its permissions") from error
    return [path for path in found if not path.name.startswith(".") and path.name.lower() not in OF_SYSTEMS]


def files_by_stem(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder, sorted, by their names without suffix. A warning names other files.

    Raises:
        InputError: The folder is missing, two files have the same stem, or a name belongs to no regular file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, wanted images/ and masks/ in dataset.root; check dataset.root")
    files: dict[str, Path] = {}
    others = []
    for path in entries(folder):
        suffix = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)
        if suffix is None:
            others.append(path.name)
            continue
        if not path.is_file():
            raise InputError(f"{path}: is not a regular file, wanted an image; replace or remove it")
        stem = path.name[: -len(suffix)]
        if stem in files:
            raise InputError(f"{path}: got a second file of stem {stem} ({files[stem].name}), wanted one; remove one")
        files[stem] = path
    if others:
        log.warning(
            "%s: only files of %s are read, these are ignored: %s", folder, ", ".join(SUFFIXES), list_values(others)
        )
    return files


def shape_of(path: Path) -> tuple[int, ...]:
    """Read the shape (C, *spatial) of an image from its header alone."""
    if not nifti.is_nifti(path):
        return pictures.picture_shape(path)
    shape, _ = nifti.nifti_header(path)
    return (1, *shape) if len(shape) < 4 else (shape[3], *shape[:3])


def read_image(path: Path) -> np.ndarray:
    """Read an image (C, *spatial) in the dtype of the file.

    C is 1 for grey and 3 for colour. For 4-D NIfTI it is the last axis of the file. Alpha is ignored.
    """
    if nifti.is_nifti(path):
        array = _drop_ones(nifti.read_nifti(path)[0])
        return np.moveaxis(array, -1, 0) if array.ndim == 4 else array[np.newaxis]
    array = pictures.read_picture(path)
    return np.moveaxis(array, -1, 0) if array.ndim == 3 else array[np.newaxis]


def read_mask(path: Path | Sequence[Path]) -> np.ndarray:
    """Read the class numbers of a mask, (*spatial). Several files are instances of one class and are joined by OR."""
    if isinstance(path, Path):
        return _drop_ones(nifti.read_nifti(path)[0]) if nifti.is_nifti(path) else pictures.read_mask_picture(path)
    joined = read_mask(path[0]) > 0
    for one in path[1:]:
        mask = read_mask(one) > 0
        if mask.shape != joined.shape:
            raise InputError(
                f"{one}: got a mask of {by(mask.shape)}, but others have {by(joined.shape)}, wanted one size; "
                "correct it"
            )
        joined |= mask
    return joined


def check_pair(image: Path, mask: Path | Sequence[Path]) -> None:
    """Raise InputError if the headers of an image and its mask describe different grids."""
    for one in [mask] if isinstance(mask, Path) else mask:
        if nifti.is_nifti(image) != nifti.is_nifti(one):
            raise InputError(
                f"{image}: got the mask {one}, wanted NIfTI for both or neither, because NIfTI has another order of "
                "axes; convert one"
            )
        if nifti.is_nifti(image):
            (shape, affine), (of_mask, other) = nifti.nifti_header(image), nifti.nifti_header(one)
            if shape[:3] == of_mask[:3]:  # other sizes are refused later, when the arrays are read
                nifti.check_same_grid(image, one, (*shape, 1)[:3], (affine, other))


def _drop_ones(array: np.ndarray) -> np.ndarray:
    return array.reshape(nifti.without_ones(array.shape))
