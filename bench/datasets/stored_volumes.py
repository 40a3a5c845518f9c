"""Volumes of different sizes in memory or on disk, and windows of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def join_volumes(parts: Sequence[Sequence[torch.Tensor]]) -> Sequence[torch.Tensor]:
    """Return the volumes of several parts in one. Those on disk are not read."""
    files = [part for part in parts if isinstance(part, Files)]
    if len(files) < len(parts):
        return tuple(volume for part in parts for volume in part)
    return Files([place for part in files for place in part.places], files[0].least)
