"""Read TIFF files of several pages: volumes, and images of several channels, as in OME-TIFF and of ImageJ."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from bench.datasets.common import by, refuse_damage
from bench.datasets.memory import COPIES, INT, check_memory
from bench.errors import InputError, optional

SUFFIXES = (".ome.tif", ".ome.tiff", ".tif", ".tiff")
WHOLE = "a whole TIFF file"
BIG = b"MM\0+"  # the beginning of a big-endian BigTIFF
DESCRIPTION = 270  # tag of TIFF
MICROMETRE = "µm"  # the unit of OME metadata without a unit
TO_MM = {"nm": 1e-6, MICROMETRE: 1e-3, "um": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1000.0}  # by the unit of a length
CHANNELS, SLICES = "CS", "ZIQ"  # axes in the notation of tifffile; I and Q are pages without a name


def is_stack(path: Path) -> bool:
    """Return whether a file is a TIFF of several pages, or a big-endian BigTIFF, which Pillow does not know."""
    if not path.name.lower().endswith(SUFFIXES):
        return False
    with open(path, "rb") as file:
        if file.read(len(BIG)) == BIG:
            return True
    with refuse_damage(path, WHOLE), warnings.catch_warnings(action="ignore"):  # about damaged metadata and many pixels
        try:
            with Image.open(path) as picture:
                return getattr(picture, "n_frames", 1) > 1
        except Image.DecompressionBombError:  # the reader of pictures explains it
            return False


def stack_shape(path: Path) -> tuple[int, ...]:
    """Read the shape (C, *spatial) from the header alone."""
    with _open_stack(path) as (series, kept):
        lengths = dict(zip(series.axes, series.shape, strict=True))
        return kept or 1, *(lengths[axis] for axis in _in_order(series.axes) if axis not in CHANNELS)


def read_stack(path: Path) -> np.ndarray:
    """Read an image (C, *spatial), with the spatial axes (slices, rows, columns) or (rows, columns).

    The names of the axes are those in the file. Pages without names are slices. Alpha is ignored.

    Raises:
        InputError: The file is damaged, has several images, several times or a palette, or white is zero.
    """
    with _open_stack(path) as (series, kept):
        check_memory(COPIES * INT * prod(series.shape), f"{path} of {by(series.shape)}", "crop it")
        with refuse_damage(path, WHOLE):
            array = series.asarray()
            if array.shape != series.shape:
                raise ValueError(f"pages of {by(array.shape)} instead of {by(series.shape)}")
        array = array.transpose([series.axes.index(axis) for axis in _in_order(series.axes)])
        return array[:kept] if kept else array[np.newaxis]


def ome_spacing(path: Path, axes: int) -> tuple[float, ...] | None:
    """Read the size of a pixel along (slices, rows, columns) or (rows, columns) in millimetres, from OME metadata.

    Returns:
        A number for each axis, or None for other files, for axes without a size and for units that are no lengths.
    """
    if not path.name.lower().endswith(SUFFIXES):
        return None
    text = _description(path)
    pixels = re.search(r"<(?:\w+:)?Pixels\s[^>]*>", text) if "<OME" in text or ":OME" in text else None
    if pixels is None:
        return None
    fields = dict(re.findall(r"""(\w+)\s*=\s*["']([^"']*)["']""", pixels.group()))
    sides = []
    for axis in "ZYX"[-axes:]:
        length = fields.get(f"PhysicalSize{axis}", "")
        unit = TO_MM.get(fields.get(f"PhysicalSize{axis}Unit", MICROMETRE).replace("μ", "µ"))
        if unit is None or not re.fullmatch(r"\d*\.?\d+(?:[eE][-+]?\d+)?", length):
            return None
        sides.append(float(length) * unit)
    return tuple(sides)


def _description(path: Path) -> str:
    """Return the text that describes the first page."""
    if is_stack(path):
        with _open_stack(path) as (series, _):
            return series.parent.pages.first.description or ""
    with refuse_damage(path, WHOLE), warnings.catch_warnings(action="ignore"), Image.open(path) as picture:
        text = str(picture.tag_v2.get(DESCRIPTION, "")) if isinstance(picture, TiffImageFile) else ""
        return text.encode("latin-1", "replace").decode("utf-8", "replace")  # Pillow reads the bytes as Latin-1


@contextmanager
def _open_stack(path: Path) -> Iterator[tuple]:
    """Open the series of pages of a file, with the number of channels to keep, 0 if it has no axis of channels."""
    with optional(str(path)):
        import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # damage is said by one error
    with refuse_damage(path, WHOLE), tifffile.TiffFile(path) as file:
        if len(file.series) != 1:
            raise InputError(f"{path}: got {len(file.series)} images, wanted one; save each in its own file")
        series, page = file.series[0], file.pages.first
        slices = [axis for axis in series.axes if axis in SLICES]
        others = [axis for axis in series.axes if axis not in (*CHANNELS, *SLICES, "Y", "X")]
        channels = [axis for axis in series.axes if axis in CHANNELS]
        if others or len(slices) > 1 or len(channels) > 1 or not {"Y", "X"} <= set(series.axes):
            raise InputError(
                f"{path}: got the axes {series.axes} of {by(series.shape)}, wanted rows and columns (YX), one axis of "
                "slices (Z) and one of channels (C); save each time, position or colour in its own file"
            )
        if series.is_multifile:
            raise InputError(f"{path}: got a part of an image in several files, wanted a whole image; join the files")
        photometric = getattr(page.photometric, "name", str(page.photometric))
        if photometric not in ("MINISBLACK", "RGB"):
            raise InputError(f"{path}: got pages of kind {photometric}, wanted grey (black is zero) or RGB; convert it")
        if series.dtype is None or series.dtype.kind not in "biuf":
            raise InputError(f"{path}: got pixels of type {series.dtype}, wanted numbers; convert it")
        if (turned := page.tags.valueof("Orientation", 1)) != 1:
            raise InputError(f"{path}: got pages of orientation {turned}, wanted 1; save them upright")
        kept = dict(zip(series.axes, series.shape, strict=True))[channels[0]] if channels else 0
        yield series, kept - len(page.extrasamples) if channels == ["S"] else kept


def _in_order(axes: str) -> list[str]:
    """Sort axes as channels, slices, rows, columns.

    Examples:
        >>> _in_order("ZYXC")
        ['C', 'Z', 'Y', 'X']
    """
    return sorted(axes, key=f"{CHANNELS}{SLICES}YX".index)
