"""Read one case of nnU-Net's raw format: a file for each channel, in the order of axes that nnU-Net uses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from PIL import Image

from bench.datasets import nifti, nrrd, pictures
from bench.datasets.common import by, list_values, refuse_damage
from bench.datasets.memory import COPIES, INT, check_memory
from bench.errors import InputError

ENDINGS = (*nifti.SUFFIXES, nrrd.SUFFIX, ".png", ".bmp", ".tif", ".tiff")
TIFFS = (".tif", ".tiff")
FLAT = 999.0  # spacing between slices of a picture, which has one
AXES = 3


@dataclass(frozen=True)
class Case:
    """The files of a case: an image for each channel, and the mask."""

    name: str
    images: tuple[Path, ...]
    mask: Path


@dataclass(frozen=True)
class Grid:
    """The sizes of an image along (slices, rows, columns), and the size of a voxel in millimetres."""

    shape: tuple[int, ...]
    spacing: tuple[float, ...]


def grid_of(path: Path) -> Grid:
    """Read the grid of an image from its header."""
    if nifti.is_nifti(path):
        shape, spacing = nifti.nifti_spacing(path)
        if len(shape) > AXES:
            raise InputError(f"{path}: got {by(shape)}, wanted one channel in 2 or 3 axes; save each channel by itself")
        return _with_slices(shape[::-1], spacing[: len(shape)][::-1])
    if path.name.lower().endswith(nrrd.SUFFIX):
        return _with_slices(*nrrd.nrrd_header(path))
    if pages := _pages(path):
        with Image.open(path) as picture:
            return Grid((pages, picture.height, picture.width), _spacing_beside(path))
    return Grid((1, *pictures.picture_shape(path)[1:]), (FLAT, 1.0, 1.0))


def is_spacing_known(path: Path) -> bool:
    """Return whether an image has the size of a voxel in its header, or a TIFF in the json beside it."""
    if path.name.lower().endswith(nrrd.SUFFIX):
        return nrrd.has_spacing(path)
    return nifti.is_nifti(path) or (_pages(path) > 0 and _json_beside(path) is not None)


def _with_slices(shape: Sequence[int], spacing: Sequence[float]) -> Grid:
    """Give a plane one slice."""
    if len(shape) == AXES:
        return Grid(tuple(shape), tuple(spacing))
    return Grid((1, *shape), (max(spacing) * FLAT, *spacing))


def read_case(case: Case) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """Read the image (channels, slices, rows, columns) float32, the mask (slices, rows, columns), and the spacing.

    Raises:
        InputError: A file can't be read, the files have different sizes, or pixels are not finite.
    """
    grid = grid_of(case.images[0])
    for path in (*case.images[1:], case.mask):
        other = grid_of(path)
        if other.shape != grid.shape:
            raise InputError(
                f"{path}: got {by(other.shape)}, but {case.images[0].name} has {by(grid.shape)}, wanted one size in a "
                "case; correct its files"
            )
        if not np.allclose(other.spacing, grid.spacing, rtol=1e-3):
            raise InputError(
                f"{path}: got a spacing of {list_values(other.spacing)} mm, but {case.images[0].name} has "
                f"{list_values(grid.spacing)}, wanted one spacing; correct the case"
            )
    image = np.concatenate([_read(path, is_mask=False) for path in case.images]).astype(np.float32)
    if not np.isfinite(image).all():
        raise InputError(f"{case.images[0]}: got NaN or infinite voxels, wanted numbers; replace or remove the case")
    return image, _read(case.mask, is_mask=True)[0], grid.spacing


def _read(path: Path, is_mask: bool) -> np.ndarray:
    """Read (channels, slices, rows, columns)."""
    grid = grid_of(path)
    if nifti.is_nifti(path):
        return nifti.read_nifti(path)[0].T.reshape(1, *grid.shape)
    if path.name.lower().endswith(nrrd.SUFFIX):
        return nrrd.read_nrrd(path)[0].reshape(1, *grid.shape)
    if pages := _pages(path):
        return _read_pages(path, pages)[None]
    if is_mask:
        return pictures.read_mask_picture(path)[None, None]
    picture = pictures.read_picture(path)
    return picture[None, None] if picture.ndim == 2 else np.moveaxis(picture, -1, 0)[:, None]


def _pages(path: Path) -> int:
    """Return the number of pages of a TIFF that is a volume, else 0."""
    if not path.name.lower().endswith(TIFFS):
        return 0
    with refuse_damage(path, pictures.WHOLE), Image.open(path) as picture:
        pages = getattr(picture, "n_frames", 1)
    return pages if pages > 1 else 0


def _read_pages(path: Path, pages: int) -> np.ndarray:
    with refuse_damage(path, pictures.WHOLE), Image.open(path) as picture:
        if picture.mode not in pictures.GREY:
            raise InputError(f"{path}: got pages of mode {picture.mode}, wanted one grey channel; convert it")
        check_memory(COPIES * INT * pages * prod(picture.size), f"{path} of {pages} pages", "crop it")
        volume = []
        for page in range(pages):
            picture.seek(page)
            volume.append(np.asarray(picture))
    if len({each.shape for each in volume}) > 1:
        raise InputError(f"{path}: got pages of different sizes, wanted one size; save one volume per file")
    return np.stack(volume)


def _json_beside(path: Path) -> Path | None:
    stem = path.name[: -len(path.suffix)]
    named = [path.with_name(f"{each}.json") for each in (stem, stem[:-5])]  # of a mask, and of an image_0000
    return next((each for each in named if each.is_file()), None)


def _spacing_beside(path: Path) -> tuple[float, ...]:
    """Read the spacing of a TIFF from the json beside it, named by the case; 1 mm if there is none."""
    file = _json_beside(path)
    if file is None:
        return (1.0,) * AXES
    with refuse_damage(file, "the spacing of a TIFF", "correct it"):
        spacing = tuple(float(side) for side in json.loads(file.read_text(encoding="utf-8"))["spacing"])
    if len(spacing) != AXES or not all(side > 0 for side in spacing):
        raise InputError(f"{file}: got spacing {list_values(spacing)}, wanted {AXES} numbers above 0; correct it")
    return spacing
