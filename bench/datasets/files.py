"""Read image and mask files as arrays, each fully decoded or refused by name."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from bench.datasets.common import reason, shown
from bench.errors import InputError

SUFFIXES = (".nii.gz", ".nii", ".png", ".tif", ".tiff", ".jpg", ".jpeg")
NIFTI = (".nii.gz", ".nii")
PLAIN_MODES = {"1", "L", "I", "F", "RGB", "I;16", "I;16B", "I;16L"}
BROKEN = (OSError, EOFError, ValueError, SyntaxError, struct.error, zlib.error)


def files_by_stem(folder: Path) -> dict[str, Path]:
    """The image files of a folder, sorted, by their name without suffix."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, wanted images/ and masks/ in dataset.root; check dataset.root")
    files = {}
    for path in sorted(folder.iterdir()):
        suffix = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)
        if suffix is None or path.name.startswith("."):
            continue
        stem = path.name[: -len(suffix)]
        if stem in files:
            raise InputError(f"{path}: got a second file of stem {stem} ({files[stem].name}), wanted one; remove one")
        files[stem] = path
    return files


def read_image(path: Path) -> np.ndarray:
    """(C, *spatial) in the file's own dtype: C is 1 for grey, 3 for colour (alpha is dropped); 4-D NIfTI has C last."""
    if path.name.lower().endswith(NIFTI):
        array = _read_nifti(path)
        return np.moveaxis(array, -1, 0) if array.ndim == 4 else array[np.newaxis]
    array = _read_picture(path, keep_palette=False)
    return np.moveaxis(array, -1, 0) if array.ndim == 3 else array[np.newaxis]


def read_mask(path: Path | Sequence[Path]) -> np.ndarray:
    """(*spatial) class numbers as the file has them; several files are instances of one class, joined by OR."""
    if not isinstance(path, Path):
        return np.logical_or.reduce([read_mask(one) > 0 for one in path])
    if path.name.lower().endswith(NIFTI):
        return _read_nifti(path)
    array = _read_picture(path, keep_palette=True)
    if array.ndim == 2:
        return array
    if (array != array[..., :1]).any():
        raise InputError(f"{path}: got a mask in colours, wanted one channel of class numbers; save it as grey")
    return array[..., 0]


def _read_picture(path: Path, keep_palette: bool) -> np.ndarray:
    """(H, W) or (H, W, 3)."""
    try:
        with Image.open(path) as picture:
            frames = getattr(picture, "n_frames", 1)
            if picture.mode in ("LA", "La"):
                picture = picture.convert("L")
            elif picture.mode not in PLAIN_MODES and not (keep_palette and picture.mode == "P"):
                picture = picture.convert("RGB")
            array = np.asarray(picture)
    except (*BROKEN, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path}: unreadable ({reason(error)}), wanted a whole image file; replace or remove it"
        ) from error
    if frames > 1:
        raise InputError(f"{path}: got {frames} pages, wanted one; save volumes as NIfTI, pages as files")
    return array


def _read_nifti(path: Path) -> np.ndarray:
    """(H, W), (H, W, D) or (H, W, D, C); trailing axes of one are dropped."""
    import nibabel

    try:
        array = np.asanyarray(nibabel.load(path).dataobj)
    except (*BROKEN, nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError) as error:
        raise InputError(
            f"{path}: unreadable ({reason(error)}), wanted a whole NIfTI file; replace or remove it"
        ) from error
    while array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3, 4):
        raise InputError(f"{path}: got shape {shown(array.shape)}, wanted 2 to 4 axes; save one volume a file")
    return array
