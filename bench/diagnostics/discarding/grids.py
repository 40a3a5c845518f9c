"""Grids: an image's cells, each of which has one noise level that its pixels and channels share."""

from __future__ import annotations

from collections.abc import Sequence
from math import e, log2, pi

from torch import Tensor

from bench.errors import InputError

MOST_A_SIDE = 16
HALF_LOG_2PIE = 0.5 * log2(2 * pi * e)  # bits of a Gaussian of variance 1


def default_grid(size: Sequence[int]) -> tuple[int, ...]:
    """Cells a side: the largest divisor of each side up to 16.

    >>> default_grid((128, 28, 30))
    (16, 14, 15)
    """
    return tuple(max(cells for cells in range(1, MOST_A_SIDE + 1) if side % cells == 0) for side in size)


def checked_grid(grid: int | Sequence[int], size: Sequence[int]) -> tuple[int, ...]:
    """One number of cells per axis; InputError where one does not divide its side."""
    cells = (grid,) * len(size) if isinstance(grid, int) else tuple(grid)
    if len(cells) != len(size) or not all(isinstance(each, int) and each >= 1 for each in cells):
        raise InputError(f"grid: got {grid}, wanted a positive integer or {len(size)} of them, one per axis")
    if any(side % each for side, each in zip(size, cells, strict=True)):
        fits = list(default_grid(size))
        raise InputError(
            f"grid: got {list(cells)} cells for an image of {list(size)}, which they don't divide; {fits} do"
        )
    return cells


def per_cell(pixels: Tensor, grid: Sequence[int]) -> Tensor:
    """Sums over the pixels of each cell: (n, *spatial) to (n, cells), row by row.

    >>> import torch
    >>> per_cell(torch.arange(8.0).reshape(1, 2, 4), (1, 2))
    tensor([[10., 18.]])
    """
    for axis, cells in enumerate(grid, 1):
        pixels = pixels.unflatten(axis, (cells, -1)).sum(axis + 1)
    return pixels.flatten(1)


def per_pixel(cells: Tensor, grid: Sequence[int], size: Sequence[int]) -> Tensor:
    """Each cell's value at all its pixels: (n, cells) to (n, *spatial).

    >>> import torch
    >>> per_pixel(torch.tensor([[1.0, 2.0]]), (1, 2), (2, 4))[0]
    tensor([[1., 1., 2., 2.],
            [1., 1., 2., 2.]])
    """
    pixels = cells.unflatten(1, tuple(grid))
    for axis, (count, side) in enumerate(zip(grid, size, strict=True), 1):
        pixels = pixels.repeat_interleave(side // count, axis)
    return pixels


def entropy_bits(sigma: Tensor) -> Tensor:
    """Of Gaussian noise, bits: log2 σ + ½ log2 2πe."""
    return sigma.log2() + HALF_LOG_2PIE
