"""Load pairs of image and mask files into memory: crop, resize, scale and check them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from math import prod
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch

from bench.datasets.common import by, list_values
from bench.datasets.files import read_image, read_pair, shape_of
from bench.datasets.mask_values import read_classes
from bench.datasets.memory import COPIES, FLOAT, INT, check_memory
from bench.datasets.progress import progress
from bench.errors import InputError

Size = int | Sequence[int] | None
INTENSITIES = ("unit", "minmax", "zscore")
LUMA = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601

log = logging.getLogger(__name__)


class Pair(NamedTuple):
    """The files of an image and its mask."""

    name: str
    image: Path
    mask: Path | tuple[Path, ...] | dict[int, Path]  # several files are instances of one class, or of classes by bit


def load_pairs(
    pairs: Sequence[Pair],
    *,
    size: Size,
    crop: Size,
    channels: Literal["auto"] | int,
    intensity: str,
    classes: int | Sequence[str] | None,
    title: str,
    one_size: bool = True,
) -> tuple[list[torch.Tensor], list[torch.Tensor], tuple[str, ...]]:
    """Load n pairs of images and masks.

    Args:
        pairs: The files.
        size: Size of the resized images, as in `image_folder`.
        crop: Central window in pixels, as in `image_folder`.
        channels: Number of channels, or `auto`.
        intensity: `unit`, `minmax` or `zscore`.
        classes: Names or number of classes, or None.
        title: Name of the dataset, for the progress bar.
        one_size: Whether images of different sizes are refused.

    Returns:
        n images (C, *spatial) float32, n class masks (*spatial) int64, and the names of the classes.

    Raises:
        InputError: A file is not usable. The message names the file.
    """
    check_options([pair.image for pair in pairs], size, crop, channels, intensity, mask=INT)
    images: list[torch.Tensor] = []
    masks: list[torch.Tensor] = []
    values: dict[Path | str, np.ndarray] = {}
    for name, image_file, mask_file in progress(pairs, f"load {title}", "images", len(pairs)):
        pixels, mask = read_pair(image_file, mask_file)
        if pixels.shape[1:] != mask.shape:
            raise InputError(
                f"{image_file}: got {by(pixels.shape[1:])} and a mask of {by(mask.shape)}, wanted one size; "
                "correct the pair"
            )
        values[mask_file if isinstance(mask_file, Path) else name] = np.unique(mask)
        image = prepare_image(pixels, image_file, size, crop, channels, intensity)
        target = prepare(torch.from_numpy(mask.astype(np.float32))[None], crop, size, smooth=False)[0]
        if one_size:
            check_size(image, images, image_file, pairs[0].name)
        images.append(image)
        masks.append(target.long())
    names, step = read_classes(values, classes)
    warn_of_lost_detail(values.values(), masks, "dataset.crop and dataset.size")
    return same_channels(images), [mask // step for mask in masks], names


def warn_of_lost_detail(before: Iterable[np.ndarray], after: Iterable[torch.Tensor], options: str) -> None:
    """Log a warning if masks have fewer values than their files: a structure was cut off or is smaller than a pixel."""
    lost = sum(len(np.unique(mask)) < len(values) for values, mask in zip(before, after, strict=True))
    if lost:
        log.warning("%d masks lose a class because of %s; change them to keep small structures", lost, options)


def load_images(
    paths: Sequence[Path],
    *,
    size: Size,
    crop: Size,
    channels: Literal["auto"] | int,
    intensity: str,
    title: str,
) -> torch.Tensor:
    """Load n images without masks: (n, C, *spatial) float32. Arguments and errors are those of `load_pairs`."""
    check_options(paths, size, crop, channels, intensity, mask=0)
    images: list[torch.Tensor] = []
    for path in progress(paths, f"load {title}", "images", len(paths)):
        image = prepare_image(read_image(path), path, size, crop, channels, intensity)
        check_size(image, images, path, paths[0].name)
        images.append(image)
    return torch.stack(same_channels(images))


def prepare_image(
    pixels: np.ndarray, path: Path, size: Size, crop: Size, channels: Literal["auto"] | int, intensity: str
) -> torch.Tensor:
    """Convert the pixels (C, *spatial) of a file to an image of the wanted channels, size and scale."""
    image = with_channels(scale(pixels, intensity, path), channels, path)
    return prepare(image, crop, size, smooth=True, intensity=intensity)


def check_size(image: torch.Tensor, images: list[torch.Tensor], path: Path, first: str) -> None:
    """Raise InputError if the size of an image is not that of the first image."""
    if images and image.shape[1:] != images[0].shape[1:]:
        raise InputError(
            f"{path}: got {by(image.shape[1:])}, but {first} has {by(images[0].shape[1:])}, "
            "wanted images of one size; set dataset.size, or dataset.patch if the dataset has it"
        )


def check_options(
    paths: Sequence[Path], size: Size, crop: Size, channels: Literal["auto"] | int, intensity: str, mask: int
) -> None:
    """Raise InputError if an option is out of range, or if the images do not fit in memory, by their headers.

    Args:
        paths: The files of the images.
        size: Size, as in `image_folder`.
        crop: Central window, as in `image_folder`.
        channels: Number of channels, or `auto`.
        intensity: Scaling.
        mask: Bytes of a pixel of the mask, 0 without masks.
    """
    if intensity not in INTENSITIES:
        raise InputError(f"dataset.intensity: got {intensity!r}, wanted one of {list(INTENSITIES)}; change it")
    if channels != "auto" and (not isinstance(channels, int) or channels < 1):
        raise InputError(f"dataset.channels: got {channels!r}, wanted auto, 1 or 3; change dataset.channels")
    shapes = {path: shape_of(path) for path in paths}
    largest = max(shapes, key=lambda path: prod(shapes[path]))
    fix = "shrink it or cut it into several"
    check_memory(COPIES * (FLOAT + mask) * prod(shapes[largest]), f"{largest} of {by(shapes[largest])}", fix)
    count = max(shape[0] for shape in shapes.values()) if channels == "auto" else channels
    needed = 0
    kept: tuple[int, ...] = ()
    for shape in shapes.values():
        kept = prepared_size(shape[1:], crop, size)
        needed += COPIES * (count * FLOAT + mask) * prod(kept)
    what = f"dataset: {len(paths)} images of {count} channels and {by(kept)}"
    check_memory(needed, what, "lower dataset.size or dataset.crop, or take fewer images")


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


def with_channels(image: torch.Tensor, channels: Literal["auto"] | int, path: Path) -> torch.Tensor:
    """Convert an image to a number of channels: repeat grey, or convert colour to grey by luma."""
    if channels == "auto" or channels == len(image):
        return image
    if len(image) == 1:
        return image.expand(channels, *image.shape[1:])
    if len(image) == 3 and channels == 1:
        return torch.tensordot(LUMA, image, dims=1)[None]
    raise InputError(f"{path}: got {len(image)} channels, wanted {channels}; set dataset.channels={len(image)}")


def same_channels(images: list[torch.Tensor]) -> list[torch.Tensor]:
    """Repeat grey images to the number of channels of the others."""
    counts = sorted({len(image) for image in images})
    if len(counts) > 1 and counts[:-1] != [1]:
        raise InputError(
            f"images: got {list_values(counts)} channels, wanted one number, or grey and one other number; split the "
            "folder"
        )
    return [image.expand(counts[-1], *image.shape[1:]) for image in images]
