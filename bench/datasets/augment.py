"""Random transforms of training samples, by name. Each is a MONAI transform."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from bench.errors import InputError

if TYPE_CHECKING:
    from monai.transforms import Compose

CHOICES = ("flips", "rotations", "intensity")
KEYS = ("image", "mask")
ANGLE = 0.26  # largest rotation, in radians


def augmentation(
    names: str | Sequence[str] | None, spatial_dims: int, patch: tuple[int, ...] | None = None
) -> Callable[[dict], dict] | None:
    """Build one transform of the given names, or None if there are no names and no patch.

    The transform maps {"image": (C, *spatial) float32, "mask": (1, *spatial) int64} to the same. The mask is optional
    and is resampled to the nearest class. `set_random_state(seed)` makes the transform repeatable.

    Args:
        names: Any of `flips`, `rotations` (up to 15°) and `intensity` (scale, shift, noise).
        spatial_dims: Number of spatial axes.
        patch: Size of a patch that is drawn first. Half of the patches are around a foreground voxel, and half around a
            background voxel.

    Raises:
        InputError: A name is unknown.
    """
    names = [names] if isinstance(names, str) else list(names or ())
    unknown = [name for name in names if name not in CHOICES]
    if unknown:
        raise InputError(f"dataset.augment: got {unknown[0]!r}, wanted any of {list(CHOICES)}; change dataset.augment")
    if not names and patch is None:
        return None

    from monai import transforms as mt

    tilt = 0.0 if spatial_dims == 2 else ANGLE
    steps: dict[str, list[mt.MapTransform]] = {
        "flips": [
            mt.RandFlipd(KEYS, prob=0.5, spatial_axis=axis, allow_missing_keys=True) for axis in range(spatial_dims)
        ],
        "rotations": [
            mt.RandRotated(
                KEYS,
                range_x=ANGLE,
                range_y=tilt,
                range_z=tilt,
                prob=0.5,
                mode=("bilinear", "nearest"),
                padding_mode=("border", "zeros"),
                allow_missing_keys=True,
            )
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
    typed = mt.EnsureTyped(KEYS, dtype=(torch.float32, torch.int64), allow_missing_keys=True)
    return Untracked(mt.Compose([*chosen, typed]))


@dataclass(frozen=True)
class Untracked:
    """A MONAI transform of tensors without metadata.

    Metadata are not needed here, and would make the transform several times slower. All steps draw from one generator,
    because it takes MONAI a millisecond to seed those of all steps.
    """

    transform: Compose
    generator: np.random.RandomState = field(default_factory=np.random.RandomState)

    def __post_init__(self):
        from monai.transforms import Randomizable

        for step in self.transform.transforms:
            if isinstance(step, Randomizable):
                step.set_random_state(state=self.generator)

    def set_random_state(self, seed: int) -> None:
        """Seed the transform with a number below 2^32."""
        self.generator.seed(seed)

    def __call__(self, sample: dict) -> dict:
        from monai.data import get_track_meta, set_track_meta

        tracked = get_track_meta()
        set_track_meta(False)
        try:
            result = self.transform(sample)
            return result[0] if isinstance(result, list) else result  # patches come in lists
        finally:
            set_track_meta(tracked)
