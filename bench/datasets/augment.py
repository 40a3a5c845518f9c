"""Random changes for training samples, by name; each is a MONAI transform."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from bench.errors import InputError

CHOICES = ("flips", "rotations", "intensity")
KEYS = ("image", "mask")


def augmentation(
    names: str | Sequence[str] | None, spatial_dims: int, patch: tuple[int, ...] | None = None
) -> Callable[[dict], dict] | None:
    """One transform for any of `flips`, `rotations` (up to 15°), `intensity` (scale, shift, noise); None for none.

    patch: first a patch of this size is drawn, one half of them around a foreground voxel, the others around one of the
    background.

    Maps {"image": (C, *spatial) float32, "mask": (1, *spatial) int64} to the same; the mask may be left out, and is
    resampled to its nearest class. `set_random_state(seed)` makes it repeatable.
    """
    names = [names] if isinstance(names, str) else list(names or ())
    unknown = [name for name in names if name not in CHOICES]
    if unknown:
        raise InputError(f"dataset.augment: got {unknown[0]!r}, wanted any of {list(CHOICES)}; change dataset.augment")
    if not names and patch is None:
        return None

    from monai import transforms as mt

    angle = {f"range_{axis}": 0.26 for axis in ("x", "y", "z")[: 1 if spatial_dims == 2 else 3]}  # radians
    either = {"keys": KEYS, "allow_missing_keys": True}
    steps = {
        "flips": [mt.RandFlipd(**either, prob=0.5, spatial_axis=axis) for axis in range(spatial_dims)],
        "rotations": [
            mt.RandRotated(**either, prob=0.5, mode=("bilinear", "nearest"), padding_mode=("border", "zeros"), **angle)
        ],
        "intensity": [
            mt.RandScaleIntensityd("image", factors=0.2, prob=0.5),
            mt.RandShiftIntensityd("image", offsets=0.1, prob=0.5),
            mt.RandGaussianNoised("image", std=0.02, prob=0.5),
        ],
    }
    chosen = [step for name in CHOICES if name in names for step in steps[name]]
    if patch is not None:
        chosen = [mt.RandCropByPosNegLabeld(KEYS, "mask", patch, pos=1, neg=1, num_samples=1), *chosen]
    return Untracked(mt.Compose([*chosen, mt.EnsureTyped(**either, dtype=(torch.float32, torch.int64))]))


@dataclass(frozen=True)
class Untracked:
    """A MONAI transform of plain tensors; with metadata, which nothing here reads, it takes several times as long."""

    transform: Callable[[dict], dict]

    def set_random_state(self, seed: int) -> None:
        self.transform.set_random_state(seed)

    def __call__(self, sample: dict) -> dict:
        from monai.data import get_track_meta, set_track_meta

        tracked = get_track_meta()
        set_track_meta(False)
        try:
            result = self.transform(sample)
            return result[0] if isinstance(result, list) else result  # of patches there are lists
        finally:
            set_track_meta(tracked)
