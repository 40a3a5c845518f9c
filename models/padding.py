"""Padding: images of any size for networks that halve their sides."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def pad(x: Tensor, multiple: int) -> tuple[Tensor, tuple[slice, ...]]:
    """Pad images (N, C, *spatial) with zeros on both sides, so that the sides are multiples of a number.

    Returns:
        The larger images, and the slices of the original images in them.

    Examples:
        >>> import torch
        >>> larger, inside = pad(torch.ones(1, 1, 9, 8), multiple=4)
        >>> larger.shape, larger[:, :, *inside].shape
        (torch.Size([1, 1, 12, 8]), torch.Size([1, 1, 9, 8]))
    """
    size = x.shape[2:]
    missing = [-side % multiple for side in size]
    inside = tuple(slice(m // 2, m // 2 + side) for m, side in zip(missing, size, strict=True))
    return F.pad(x, [zeros for m in reversed(missing) for zeros in (m // 2, m - m // 2)]), inside
