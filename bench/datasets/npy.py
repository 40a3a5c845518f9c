"""Files of one array in the format `.npy`: their headers, and rows that are written one by one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from bench.errors import InputError


@contextmanager
def refuse_loss(path: Path) -> Iterator[None]:
    """Turn an error in a file of the cache into an InputError that says what to delete."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: the cache is damaged ({' '.join(str(error).split())}); delete {path.parent} and start again"
        ) from error


def read_header(file: IO[bytes], size: int) -> tuple[tuple[int, ...], np.dtype]:
    """Read the shape and the type in the header of an `.npy`.

    Args:
        file: The opened file.
        size: Number of its bytes.

    Raises:
        ValueError: The header is damaged, or the file has another number of bytes.
    """
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    claimed, held = prod(shape) * dtype.itemsize, size - file.tell()
    if claimed != held and not dtype.hasobject:  # NumPy refuses pickled objects
        raise ValueError(f"it has {held} bytes of values, but its header states {claimed}")
    return shape, dtype


class Writer:
    """Writes rows of an array that was created before, also from several processes at once.

    Args:
        path: The new file. It has its final size from the start.
        shape: (n, *shape of a row).
        dtype: Type of the numbers.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype):
        self.path, self.shape, self.dtype = path, shape, np.dtype(dtype)
        self.stride = prod(shape[1:]) * self.dtype.itemsize
        description = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, description)
            self.start = file.tell()
            file.truncate(self.start + shape[0] * self.stride)

    def write(self, row: int, values: np.ndarray) -> None:
        """Write a row."""
        content = np.ascontiguousarray(values, self.dtype).reshape(-1).view(np.uint8).data
        file = os.open(self.path, os.O_WRONLY)
        try:
            done = 0
            while done < len(content):
                done += os.pwrite(file, content[done:], self.start + row * self.stride + done)
        finally:
            os.close(file)
