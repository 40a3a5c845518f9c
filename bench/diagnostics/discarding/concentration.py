"""Concentration: how much more a layer discards of the background than of what matters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.diagnostics.discarding.grids import per_cell

MIDDLE = 0.5  # share of each side that the central box takes, where no mask says what matters


def concentration(entropy: Tensor, foreground: Tensor, background: Tensor | None = None) -> Tensor:
    """Mean entropy of the background less that of the foreground, bits, (n,); NaN where an image lacks one of them.

    entropy: (n, *grid), a map of each image. foreground: (n, *spatial) of 0 and 1, or anything between. background: the
    same; by default what is not foreground. A cell counts with as many of its pixels as belong, so that this is the
    difference of means over pixels.

    Source: Ma et al. 2022, ICML, arXiv 1906.04109, with a central box as foreground.

    >>> concentration(torch.tensor([[[1.0, 5.0]]]), torch.tensor([[[1.0, 1.0, 0.0, 0.0]]]))
    tensor([4.])
    """
    background = 1 - foreground if background is None else background
    return _mean(entropy, background) - _mean(entropy, foreground)


def central_box(size: Sequence[int]) -> Tensor:
    """A mask of the central half of each side, (*size) of 0 and 1.

    >>> central_box((4, 4)).int()
    tensor([[0, 0, 0, 0],
            [0, 1, 1, 0],
            [0, 1, 1, 0],
            [0, 0, 0, 0]], dtype=torch.int32)
    """
    box = torch.zeros(tuple(size))
    box[tuple(slice(round(side * (1 - MIDDLE) / 2), round(side * (1 + MIDDLE) / 2)) for side in size)] = 1
    return box


def _mean(entropy: Tensor, weight: Tensor) -> Tensor:
    pixels = per_cell(weight.to(entropy), entropy.shape[1:])  # of this kind in each cell
    return (entropy.flatten(1) * pixels).sum(1) / pixels.sum(1)
