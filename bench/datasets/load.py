"""Load image files, and pairs of image and mask files: crop, resize, scale and check them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bench.datasets.cache import FOLDER
from bench.datasets.common import by
from bench.datasets.files import read_image, read_pair
from bench.datasets.mask_values import read_classes
from bench.datasets.preparing import Channels, Preparation, Size
from bench.datasets.reading import Pair, Read, Reader
from bench.datasets.storage import Encoding, Samples
from bench.errors import InputError

log = logging.getLogger(__name__)


def load_pairs(
    pairs: Sequence[Pair],
    *,
    size: Size,
    crop: Size,
    channels: Channels,
    intensity: str,
    classes: int | Sequence[str] | None,
    title: str,
    cache: str = "memory",
    cache_folder: str | Path = FOLDER,
) -> tuple[Samples, Samples, tuple[str, ...]]:
    """Load n pairs of images and masks.

    Args:
        pairs: The files.
        size: Size of the resized images, as in `image_folder`.
        crop: Central window in pixels, as in `image_folder`.
        channels: Number of channels, or `auto`.
        intensity: `unit`, `minmax` or `zscore`.
        classes: Names or number of classes, or None.
        title: Name of the dataset, for the progress bar.
        cache: `auto`, `memory` or `disk`, as in `image_folder`.
        cache_folder: Folder of the cache.

    Returns:
        Images (n, C, *spatial) float32, class masks (n, *spatial) int64, and the names of the classes.

    Raises:
        InputError: A file is not usable. The message names the file.
    """
    preparation = Preparation(size, crop, channels, intensity)
    found = Reader(pairs, _read_pair, preparation, title, cache, cache_folder).read()
    files = [pair.mask if isinstance(pair.mask, Path) else pair.name for pair in pairs]
    values = {file: np.array(held) for file, held in zip(files, found.note["values"], strict=True)}
    names, step = read_classes(values, classes)
    warn_of_lost(found.note["lost"], "dataset.crop and dataset.size")
    return found.images(Encoding(torch.float32, found.note["divisor"])), found.masks(Encoding(torch.int64, step)), names


def load_images(
    paths: Sequence[Path],
    *,
    size: Size,
    crop: Size,
    channels: Channels,
    intensity: str,
    title: str,
    cache: str = "memory",
    cache_folder: str | Path = FOLDER,
) -> Samples:
    """Load n images without masks: (n, C, *spatial) float32. Arguments and errors are those of `load_pairs`."""
    preparation = Preparation(size, crop, channels, intensity)
    pairs = [Pair(path.name, path, ()) for path in paths]
    found = Reader(pairs, _read_image, preparation, title, cache, cache_folder).read()
    return found.images(Encoding(torch.float32, found.note["divisor"]))


def warn_of_lost(count: int, options: str) -> None:
    """Log a warning if masks have fewer values than their files: a structure was cut off or is smaller than a pixel."""
    if count:
        log.warning("%d masks lose a class because of %s; change them to keep small structures", count, options)


def distinct(values: np.ndarray) -> np.ndarray:
    """Return the distinct values in their order. Those of uint8 are counted, which is faster than sorting."""
    if values.dtype != np.uint8:
        return np.unique(values)
    return np.flatnonzero(np.bincount(values.reshape(-1), minlength=256)).astype(np.uint8)


def _read_pair(pair: Pair, preparation: Preparation, whole_numbers: bool) -> Read:
    pixels, mask = read_pair(pair.image, pair.mask)
    if pixels.shape[1:] != mask.shape:
        raise InputError(
            f"{pair.image}: got {by(pixels.shape[1:])} and a mask of {by(mask.shape)}, wanted one size; "
            "correct the pair"
        )
    image, divisor = preparation.image(pixels, pair.image, whole_numbers)
    found, prepared = distinct(mask), preparation.mask(mask)
    target = prepared.astype(np.uint8, copy=False)  # other numbers are no classes, and are refused by `found`
    lost = prepared is not mask and len(distinct(target)) < len(found)
    return Read(image, divisor, target, found.tolist(), lost)


def _read_image(pair: Pair, preparation: Preparation, whole_numbers: bool) -> Read:
    return Read(*preparation.image(read_image(pair.image), pair.image, whole_numbers))
