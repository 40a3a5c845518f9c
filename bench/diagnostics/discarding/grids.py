"""Grids of cells on images: the noise of each cell, its entropy, and the concentration of a map of entropies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import e, log2, pi

import torch
from torch import Tensor

from bench.errors import InputError

MAX_CELLS = 16  # along each axis, by default
BOX_SHARE = 0.5  # share of each side that the central box covers
HALF_LOG_2PIE = 0.5 * log2(2 * pi * e)  # entropy of a Gaussian with variance 1, bits
PIXELS = {"cpu": 2**16, "cuda": 2**21}  # in one pass: 4 images of 128x128 fit the cache of a CPU, 128 keep a GPU busy


def default_grid(size: Sequence[int]) -> tuple[int, ...]:
    """Return the largest divisor of each side that is at most 16.

    >>> default_grid((128, 28, 30))
    (16, 14, 15)
    """
    return tuple(max(cells for cells in range(1, MAX_CELLS + 1) if side % cells == 0) for side in size)


def resolve_grid(grid: int | Sequence[int] | None, size: Sequence[int]) -> tuple[int, ...]:
    """Return the number of cells along each axis.

    Args:
        grid: One number for all axes, one number per axis, or None for `default_grid`.
        size: Shape of the image without channels.

    Raises:
        InputError: If a number of cells does not divide its side.
    """
    if grid is None:
        return default_grid(size)
    cells = (grid,) * len(size) if isinstance(grid, int) else tuple(grid)
    if len(cells) != len(size) or not all(isinstance(each, int) and each >= 1 for each in cells):
        raise InputError(f"grid: got {grid}, wanted a positive integer or {len(size)} of them, one per axis")
    if any(side % each for side, each in zip(size, cells, strict=True)):
        raise InputError(
            f"grid: got {list(cells)} cells for an image of {list(size)}, wanted divisors of its sides; "
            f"set grid to {list(default_grid(size))}, for example"
        )
    return cells


def sum_over_cells(pixels: Tensor, grid: Sequence[int]) -> Tensor:
    """Sum the pixels of each cell: (n, *spatial) to (n, cells), in row-major order.

    >>> sum_over_cells(torch.arange(8.0).reshape(1, 2, 4), (1, 2))
    tensor([[10., 18.]])
    """
    for axis, cells in enumerate(grid, 1):
        pixels = pixels.unflatten(axis, (cells, -1)).sum(axis + 1)
    return pixels.flatten(1)


def expand_to_pixels(cells: Tensor, grid: Sequence[int], size: Sequence[int]) -> Tensor:
    """Repeat the value of each cell at all of its pixels: (n, cells) to (n, *spatial).

    >>> expand_to_pixels(torch.tensor([[1.0, 2.0]]), (1, 2), (2, 4))[0]
    tensor([[1., 1., 2., 2.],
            [1., 1., 2., 2.]])
    """
    pixels = cells.unflatten(1, tuple(grid))
    for axis, (count, side) in enumerate(zip(grid, size, strict=True), 1):
        pixels = pixels.repeat_interleave(side // count, axis)
    return pixels


# Noise


def draw_noise(x: Tensor, scale: Tensor, draws: int, seed: int) -> Iterator[Tensor]:
    """Draw Gaussian noise for a batch of images, in chunks that a network takes in one pass.

    All images get the same standard normal ε. Each ε is drawn separately, so that it does not depend on the other
    images of the batch or on the size of the chunks.

    Args:
        x: Images, (n, C, *spatial).
        scale: Standard deviation of the noise, (n, 1 or C, *spatial).
        draws: Number of draws in all chunks together.
        seed: Seed of ε.

    Yields:
        scale · ε, (n, count, C, *spatial).
    """
    generator = torch.Generator(x.device).manual_seed(seed)
    chunk = copies_per_pass(x)
    for first in range(0, draws, chunk):
        count = min(chunk, draws - first)
        drawn = [torch.randn(x.shape[1:], generator=generator, device=x.device, dtype=x.dtype) for _ in range(count)]
        yield scale[:, None] * torch.stack(drawn)


def copies_per_pass(x: Tensor) -> int:
    """Return how many copies of a batch of images a network takes in one pass."""
    return max(1, PIXELS[x.device.type] // (len(x) * x.shape[2:].numel()))


# Maps of entropies


def entropy_bits(sigma: Tensor) -> Tensor:
    """Return the entropy of Gaussian noise, log2 σ + ½ log2 2πe, in bits."""
    return sigma.log2() + HALF_LOG_2PIE


def concentration(entropy: Tensor, foreground: Tensor, background: Tensor | None = None) -> Tensor:
    """Compute the mean entropy of the background minus the mean entropy of the foreground.

    Each cell is weighted by the number of its pixels in the region. The result therefore equals the difference of two
    means over pixels.

    Args:
        entropy: One map per image, (n, *grid), bits.
        foreground: Weight of each pixel between 0 and 1, (n, *spatial).
        background: Weight of each pixel; 1 - foreground by default.

    Returns:
        Bits, (n,); NaN for an image without foreground or without background.

    References:
        Ma et al. 2022, ICML, arXiv 1906.04109, with a central box as foreground.

    >>> concentration(torch.tensor([[[1.0, 5.0]]]), torch.tensor([[[1.0, 1.0, 0.0, 0.0]]]))
    tensor([4.])
    """

    def mean(region: Tensor) -> Tensor:
        pixels = sum_over_cells(region.to(entropy), entropy.shape[1:])
        return (entropy.flatten(1) * pixels).sum(1) / pixels.sum(1)

    return mean(1 - foreground if background is None else background) - mean(foreground)


def central_box(size: Sequence[int]) -> Tensor:
    """Return a mask of the central half of each side, (*size), with values 0 and 1.

    >>> central_box((4, 4)).int()
    tensor([[0, 0, 0, 0],
            [0, 1, 1, 0],
            [0, 1, 1, 0],
            [0, 0, 0, 0]], dtype=torch.int32)
    """
    box = torch.zeros(tuple(size))
    box[tuple(slice(round(side * (1 - BOX_SHARE) / 2), round(side * (1 + BOX_SHARE) / 2)) for side in size)] = 1
    return box
