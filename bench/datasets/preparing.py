"""Prepare an image or a mask of a file: crop, resize, scale, and choose channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from bench.errors import InputError

Size = int | Sequence[int] | None
Channels = Literal["auto"] | int
INTENSITIES = ("unit", "minmax", "zscore")
LUMA = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601
KEPT = (np.uint8, np.uint16, np.bool_)  # types whose numbers can be stored as they are


@dataclass(frozen=True)
class Preparation:
    """How images and masks of files become samples: arguments of `image_folder`."""

    size: Size
    crop: Size
    channels: Channels
    intensity: str

    def __post_init__(self):
        if self.intensity not in INTENSITIES:
            raise InputError(f"dataset.intensity: got {self.intensity!r}, wanted one of {list(INTENSITIES)}; change it")
        if self.channels != "auto" and (not isinstance(self.channels, int) or self.channels < 1):
            raise InputError(f"dataset.channels: got {self.channels!r}, wanted auto, 1 or 3; change dataset.channels")

    def arguments(self) -> dict[str, Any]:
        """Return the arguments in plain values, for the key of a cache."""
        plain = {name: list(value) if isinstance(value, Sequence) else value for name, value in vars(self).items()}
        return plain | {"channels": self.channels, "intensity": self.intensity}

    def with_channels(self, channels: int) -> Preparation:
        """Return the same with a number of channels in place of `auto`."""
        return replace(self, channels=channels)

    def shape(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        """Return the spatial size of a prepared image from that of its file."""
        return prepared_size(spatial, self.crop, self.size)

    def image(self, pixels: np.ndarray, path: Path, whole_numbers: bool = True) -> tuple[np.ndarray, int | None]:
        """Prepare the pixels (C, *spatial) of a file.

        Args:
            pixels: The pixels.
            path: The file, for messages.
            whole_numbers: Whether uint8 and uint16 stay what they are if preparation does not change them.

        Returns:
            The image, and the divisor that scales it to [0, 1], or None for float32 values that are scaled.
        """
        kept = whole_numbers and self.intensity == "unit" and pixels.dtype in KEPT
        if kept and self._keeps_channels(len(pixels)) and self._keeps_size(pixels.shape[1:]):
            channels = len(pixels) if self.channels == "auto" else self.channels
            divisor = None if pixels.dtype == bool else int(np.iinfo(pixels.dtype).max)
            stored = pixels.astype(np.uint8) if pixels.dtype == bool else pixels
            return stored if len(stored) == channels else np.repeat(stored, channels, axis=0), divisor
        image = with_channels(scale(pixels, self.intensity, path), self.channels, path)
        return prepare(image, self.crop, self.size, smooth=True, intensity=self.intensity).numpy(), None

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Prepare the class numbers (*spatial) of a file: int64, or the uint8 of the file."""
        if mask.dtype in (np.uint8, np.bool_) and self._keeps_size(mask.shape):
            return mask.astype(np.uint8, copy=False)
        image = torch.from_numpy(mask.astype(np.float32))[None]
        return prepare(image, self.crop, self.size, smooth=False)[0].long().numpy()

    def _keeps_channels(self, channels: int) -> bool:
        return self.channels in ("auto", channels) or channels == 1

    def _keeps_size(self, spatial: tuple[int, ...]) -> bool:
        cropped = spatial if self.crop is None else sides(self.crop, len(spatial), "dataset.crop")
        kept = all(window >= side for window, side in zip(cropped, spatial, strict=True))
        return kept and (self.size is None or sides(self.size, len(spatial), "dataset.size") == spatial)


def scale(pixels: np.ndarray, intensity: str, path: Path) -> torch.Tensor:
    """Convert pixels to float32; for `unit`, divide them by the maximum of the type of the file."""
    image = torch.from_numpy(pixels.astype(np.float32))
    if not torch.isfinite(image).all():
        raise InputError(f"{path}: got NaN or infinite pixels, wanted numbers; replace or remove the file")
    if intensity != "unit" or pixels.dtype == bool:
        return image
    if pixels.dtype.kind == "u":
        return image / np.iinfo(pixels.dtype).max
    if pixels.dtype.kind == "f" and image.min() >= 0 and image.max() <= 1:
        return image
    raise InputError(
        f"{path}: got {pixels.dtype} pixels of {image.min():g} to {image.max():g}, wanted unsigned integers or [0, 1] "
        "for dataset.intensity=unit; set dataset.intensity=minmax or zscore"
    )


def prepare(image: torch.Tensor, crop: Size, size: Size, smooth: bool, intensity: str = "unit") -> torch.Tensor:
    """Crop, resize and scale an image.

    Args:
        image: (C, *spatial).
        crop: Central window, or None.
        size: Size after resizing, or None.
        smooth: Whether to resize by area (shrinking) or linearly; else the nearest pixel is taken.
        intensity: `minmax` and `zscore` scale the image after resizing.
    """
    if crop is None and size is None and intensity == "unit":
        return image
    from monai import transforms as mt  # here, because MONAI takes seconds to load

    dims = image.ndim - 1
    steps: list[mt.Transform] = []
    if crop is not None:
        steps.append(mt.CenterSpatialCrop(sides(crop, dims, "dataset.crop")))
    if size is not None:
        size = sides(size, dims, "dataset.size")
        # area, because the smoothing of Resize(anti_aliasing=True) pads with zeros and darkens borders
        shrinks = any(new < old for new, old in zip(size, image.shape[1:], strict=True))
        linear = "area" if shrinks else "bilinear" if dims == 2 else "trilinear"
        steps.append(mt.Resize(size, mode=linear if smooth else "nearest-exact"))
    if intensity == "minmax":
        steps.append(mt.ScaleIntensity())
    elif intensity == "zscore":
        steps.append(mt.NormalizeIntensity())
    return mt.Compose([*steps, mt.EnsureType(track_meta=False)])(image)


def prepared_size(shape: tuple[int, ...], crop: Size, size: Size) -> tuple[int, ...]:
    """Return the size of an image (*spatial) after cropping and resizing."""
    kept = shape if crop is None else tuple(map(min, sides(crop, len(shape), "dataset.crop"), shape))
    return kept if size is None else sides(size, len(shape), "dataset.size")


def sides(value: int | Sequence[int], dims: int, option: str) -> tuple[int, ...]:
    """Return one side per axis from one number or one per axis, or raise InputError."""
    given = (value,) * dims if isinstance(value, int) else tuple(value)
    if len(given) != dims or not all(isinstance(side, int) and side >= 1 for side in given):
        raise InputError(f"{option}: got {value}, wanted a positive integer or {dims} of them; change {option}")
    return given


def with_channels(image: torch.Tensor, channels: Channels, path: Path) -> torch.Tensor:
    """Convert an image to a number of channels: repeat grey, or convert colour to grey by luma."""
    if channels == "auto" or channels == len(image):
        return image
    if len(image) == 1:
        return image.expand(channels, *image.shape[1:])
    if len(image) == 3 and channels == 1:
        return torch.tensordot(LUMA, image, dims=1)[None]
    raise InputError(f"{path}: got {len(image)} channels, wanted {channels}; set dataset.channels={len(image)}")
