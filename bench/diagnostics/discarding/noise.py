"""Noise on images, in parts that a network takes at once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

PIXELS = {"cpu": 2**16, "cuda": 2**21}  # in one pass: 4 images of 128x128 keep a CPU's cache, 128 a GPU busy


def noises(x: Tensor, scale: Tensor, draws: int, seed: int) -> Iterator[Tensor]:
    """scale ε for images x, (n, C, *spatial), in parts (n, count, C, *spatial), `draws` in all.

    Every image gets the same ε, drawn singly, so that it does not depend on which images come with it.
    """
    generator = torch.Generator(x.device).manual_seed(seed)
    chunk = at_once(x)
    for first in range(0, draws, chunk):
        count = min(chunk, draws - first)
        drawn = [torch.randn(x.shape[1:], generator=generator, device=x.device, dtype=x.dtype) for _ in range(count)]
        yield scale[:, None] * torch.stack(drawn)


def at_once(x: Tensor) -> int:
    """How many copies of a batch of images go through a network at once."""
    return max(1, PIXELS[x.device.type] // (len(x) * x.shape[2:].numel()))
