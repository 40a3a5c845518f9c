"""Read NumPy files: a picture or a volume in an `.npy`, or in an `.npz` with one array."""

from __future__ import annotations

import zipfile
from math import prod
from pathlib import Path

import numpy as np

from bench.datasets.common import by, list_values, refuse_damage
from bench.datasets.memory import COPIES, INT, check_memory
from bench.datasets.npy import read_header
from bench.errors import InputError

SUFFIXES = (".npy", ".npz")
WHOLE = "a plain array of numbers"
COLOURS = 3


def is_array(path: Path) -> bool:
    """Return whether the suffix of a file is that of NumPy."""
    return path.name.lower().endswith(SUFFIXES)


def array_shape(path: Path) -> tuple[int, ...]:
    """Read the shape (C, *spatial) of an image from the header alone."""
    shape = _header(path)
    return (shape[-1], *shape[:-1]) if _has_channels(shape) else (1, *shape)


def read_array(path: Path) -> np.ndarray:
    """Read an image (C, *spatial).

    An array of two axes is a grey picture (rows, columns). Of three axes it is a volume (slices, rows, columns), or a
    picture (rows, columns, C) if the last has 1 or 3 values. An array of four axes is a volume with channels last.

    Raises:
        InputError: The file is damaged, or has pickled objects, several arrays, or other than 2 to 4 axes.
    """
    array = read_plain(path)
    return np.moveaxis(array, -1, 0) if _has_channels(array.shape) else array[np.newaxis]


def read_plain(path: Path) -> np.ndarray:
    """Read the array as it is, for a mask."""
    shape = _header(path)
    check_memory(COPIES * INT * prod(shape), f"{path} of {by(shape)}", "crop it")
    with refuse_damage(path, WHOLE):
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return loaded[loaded.files[0]]


def _header(path: Path) -> tuple[int, ...]:
    """Read the shape, or raise InputError if the file is no picture or volume of numbers."""
    with refuse_damage(path, WHOLE):
        if path.suffix.lower() == ".npy":
            with open(path, "rb") as file:
                shape, dtype = read_header(file, path.stat().st_size)
        else:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
                if len(names) == 1:
                    with archive.open(names[0]) as member:
                        shape, dtype = read_header(member, archive.getinfo(names[0]).file_size)
    if path.suffix.lower() == ".npz" and len(names) != 1:
        raise InputError(f"{path}: got the arrays {list_values(names)}, wanted one; save each in its own file")
    if dtype.kind not in "biuf":
        raise InputError(f"{path}: got values of type {dtype}, wanted numbers; save it with one")
    if not 2 <= len(shape) <= 4 or min(shape) < 1:
        raise InputError(
            f"{path}: got an array of shape {by(shape) or 'nothing'}, wanted 2 to 4 axes; save one image per file"
        )
    return shape


def _has_channels(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 or (len(shape) == 3 and shape[-1] in (1, COLOURS))
