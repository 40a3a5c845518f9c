"""Find image and mask files, and read them as arrays. An error names the file."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.datasets import arrays, dicom, nifti, nrrd, ome_zarr, pictures, tiff
from bench.datasets.cache import TAG
from bench.datasets.common import by, list_values, reason
from bench.datasets.grids import align, grid_header, has_affine, read_grid
from bench.errors import InputError

SUFFIXES = (
    *nifti.SUFFIXES, *pictures.SUFFIXES, *tiff.SUFFIXES, nrrd.SUFFIX, *dicom.SUFFIXES, *arrays.SUFFIXES,
    *ome_zarr.SUFFIXES,
)  # fmt: skip
OF_SYSTEMS = ("__macosx", "thumbs.db", "desktop.ini")  # files of operating systems, besides names with a leading dot

Masks = Path | Sequence[Path] | Mapping[int, Path]

log = logging.getLogger(__name__)


def entries(folder: Path) -> list[Path]:
    """Return the sorted contents of a folder without files of operating systems and without caches."""
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: unreadable ({reason(error)}), wanted a folder; check its permissions") from error
    hidden = (path.name.startswith(".") or path.name.lower() in OF_SYSTEMS or (path / TAG).exists() for path in found)
    return [path for path, is_hidden in zip(found, hidden, strict=True) if not is_hidden]


def files_by_stem(folder: Path) -> dict[str, Path]:
    """Return the images of a folder, sorted, by their names without suffix. A warning names other files.

    A folder in it with DICOM files is an image too, a series.

    Raises:
        InputError: The folder is missing, two files have the same stem, or a name belongs to no regular file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, wanted images/ and masks/ in dataset.root; check dataset.root")
    files: dict[str, Path] = {}
    others = []
    for path in entries(folder):
        is_zarr = ome_zarr.is_zarr(path)
        is_series = path.is_dir() and not is_zarr and dicom.is_dicom(path)
        suffix = "" if is_series else next((each for each in SUFFIXES if path.name.lower().endswith(each)), None)
        if suffix is None:
            others.append(path.name)
            continue
        if not (is_series or is_zarr or path.is_file()):
            raise InputError(f"{path}: is not a regular file, wanted an image; replace or remove it")
        stem = path.name[: len(path.name) - len(suffix)]
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
    if pictures.is_picture(path):
        return pictures.picture_shape(path)
    if ome_zarr.is_zarr(path):
        return ome_zarr.zarr_shape(path)
    if dicom.is_dicom(path):
        return 1, *nifti.without_ones(dicom.dicom_shape(path))
    if has_affine(path):
        shape, _ = grid_header(path)
        return (1, *shape) if len(shape) < 4 else (shape[3], *shape[:3])
    if nrrd.is_nrrd(path):
        return 1, *nrrd.nrrd_header(path)[0]
    if arrays.is_array(path):
        return arrays.array_shape(path)
    return tiff.stack_shape(path) if tiff.is_stack(path) else pictures.picture_shape(path)


def read_image(path: Path) -> np.ndarray:
    """Read an image (C, *spatial) in the dtype of the file, or after its slope and intercept.

    C is 1 for grey and 3 for colour. For 4-D NIfTI it is the last axis of the file. Alpha is ignored.
    """
    if pictures.is_picture(path):
        return _channels_first(pictures.read_picture(path))
    if has_affine(path):
        array = _drop_ones(read_grid(path)[0])
        return np.moveaxis(array, -1, 0) if array.ndim == 4 else array[np.newaxis]
    if ome_zarr.is_zarr(path):
        return ome_zarr.read_zarr(path)
    if tiff.is_stack(path):
        return tiff.read_stack(path)
    if arrays.is_array(path):
        return arrays.read_array(path)
    return _channels_first(_read_plane(path) if _is_plane(path) else pictures.read_picture(path))


def _channels_first(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, -1, 0) if array.ndim == 3 else array[np.newaxis]


def read_mask(path: Path | Sequence[Path]) -> np.ndarray:
    """Read the class numbers of a mask, (*spatial). Several files are instances of one class and are joined by OR."""
    if isinstance(path, Path):
        return _read_one_mask(path)
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


def read_pair(image: Path, mask: Masks) -> tuple[np.ndarray, np.ndarray]:
    """Read an image (C, *spatial) and its mask (*spatial). If they have affines, the mask gets the axes of the image.

    Masks by the number of a bit are joined: a pixel has the bits of the masks in which it is not 0.

    Raises:
        InputError: The headers describe different grids, or a file can't be read.
    """
    check_pair(image, mask)
    pixels = read_image(image)
    if not isinstance(mask, Mapping):
        return pixels, _read_aligned(image, mask)
    bits = np.zeros(pixels.shape[1:], dtype=np.int64)
    for bit, path in mask.items():
        one = _read_aligned(image, path)
        if one.shape != bits.shape:
            raise InputError(
                f"{path}: got a mask of {by(one.shape)}, but its image has {by(bits.shape)}, wanted one size; "
                "correct it"
            )
        bits |= (one != 0).astype(np.int64) << bit
    return pixels, bits


def _read_aligned(image: Path, mask: Path | Sequence[Path]) -> np.ndarray:
    if not isinstance(mask, Path) or not has_affine(mask):
        return read_mask(mask)
    array, affine = read_grid(mask)
    return align_to(image, mask, _drop_ones(array), affine)[0]


def check_pair(image: Path, mask: Masks) -> None:
    """Raise InputError if the headers of an image and its mask describe different grids."""
    if isinstance(mask, Path) and pictures.is_picture(image) and pictures.is_picture(mask):
        return
    for one in [mask] if isinstance(mask, Path) else mask.values() if isinstance(mask, Mapping) else mask:
        if has_affine(image) != has_affine(one):
            raise InputError(
                f"{image}: got the mask {one}, wanted files with an affine (NIfTI, 3-D NRRD, DICOM series) for both or "
                "neither, because these have another order of axes; convert one"
            )
        if has_affine(image):
            (shape, affine), (of_mask, other) = grid_header(image), grid_header(one)
            turned, other = align_to(image, one, np.empty(of_mask[:3], bool), other)
            if shape[:3] == turned.shape:  # other sizes are refused later, when the arrays are read
                nifti.check_same_grid(image, one, (*shape, 1)[:3], (affine, other))


def align_to(image: Path, mask: Path, array: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the array of a mask the axes of an image, if their affines differ: the array and its new affine."""
    _, of_image = grid_header(image)
    if np.array_equal(of_image, affine, equal_nan=True):
        return array, affine
    nifti.check_affine(image, of_image)
    nifti.check_affine(mask, affine)
    return align(array, affine, of_image)


def _is_plane(path: Path) -> bool:
    return nrrd.is_nrrd(path) or dicom.is_dicom(path)


def _read_plane(path: Path) -> np.ndarray:
    """Read (rows, columns) of NRRD or DICOM."""
    return nrrd.read_nrrd(path)[0] if nrrd.is_nrrd(path) else dicom.read_slice(path)


def _read_one_mask(path: Path) -> np.ndarray:
    if pictures.is_picture(path):
        return pictures.read_mask_picture(path)
    if has_affine(path):
        return _drop_ones(read_grid(path)[0])
    if ome_zarr.is_zarr(path) or tiff.is_stack(path):
        stack = read_image(path)
        if len(stack) > 1:
            raise InputError(f"{path}: got a mask of {len(stack)} channels, {pictures.NUMBERS}")
        return stack[0]
    if arrays.is_array(path):
        array = arrays.read_plain(path)
        return array[..., 0] if array.ndim > 2 and array.shape[-1] == 1 else array
    return _read_plane(path) if _is_plane(path) else pictures.read_mask_picture(path)


def _drop_ones(array: np.ndarray) -> np.ndarray:
    return array.reshape(nifti.without_ones(array.shape))
