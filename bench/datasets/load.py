"""Load image files, and pairs of image and mask files: crop, resize, scale and check them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from bench.datasets.cache import FOLDER, Cache
from bench.datasets.common import by
from bench.datasets.files import read_image, read_pair
from bench.datasets.mask_values import read_classes
from bench.datasets.memory import Extent
from bench.datasets.overlapping import BACKGROUND, Regions, number_combinations
from bench.datasets.preparing import Channels, Preparation, Size
from bench.datasets.reading import Pair, Prepared, Reader, bits_of, files_of, settle
from bench.datasets.storage import Encoding, Samples, recoded
from bench.datasets.stored_volumes import in_order
from bench.datasets.volume_cases import Case, read_cases
from bench.errors import InputError

log = logging.getLogger(__name__)


class Pairs(NamedTuple):
    """Loaded images and masks.

    Attributes:
        images: n images (C, *spatial) float32: `Samples`, or a sequence of tensors if their sizes differ.
        masks: n class masks (*spatial) int64, likewise.
        classes: Names of the classes.
        regions: Numbers of each class that may overlap, or None.
    """

    images: Any
    masks: Any
    classes: tuple[str, ...]
    regions: Regions | None


@dataclass(frozen=True)
class Loading:
    """How pairs become samples.

    Attributes:
        size: Size of the resized images, as in `image_folder`.
        crop: Central window in pixels, as in `image_folder`.
        channels: Number of channels, or `auto`.
        intensity: `unit`, `minmax` or `zscore`.
        classes: Names or number of classes, or None.
        overlapping: Names of the classes whose masks are bits; empty for class numbers.
        cache: `auto`, `memory` or `disk`, as in `image_folder`.
        cache_folder: Folder of the cache.
    """

    size: Size
    crop: Size
    channels: Channels
    intensity: str
    classes: int | Sequence[str] | None
    overlapping: tuple[str, ...] = ()
    cache: str = "memory"
    cache_folder: str | Path = FOLDER

    @property
    def preparation(self) -> Preparation:
        return Preparation(self.size, self.crop, self.channels, self.intensity)

    def encode(
        self, pairs: Sequence[Pair], values: Sequence[Sequence[float]], kept: Sequence[Sequence[int]]
    ) -> tuple[Encoding, tuple[str, ...], Regions | None]:
        """Return how stored masks become class numbers, the names of the classes, and their regions."""
        lost = sum(len(after) < len(before) for before, after in zip(values, kept, strict=True))
        warn_of_lost(lost, "dataset.crop and dataset.size")
        if self.overlapping:
            background = self.classes[0] if isinstance(self.classes, Sequence) else BACKGROUND
            codes, masks = set().union(*kept), pairs[0].image.parent.parent / "masks"
            table, names, regions = number_combinations(codes, self.overlapping, background, masks)
            return Encoding(torch.int64, table=table), names, regions
        files = [pair.mask if isinstance(pair.mask, Path) else pair.name for pair in pairs]
        names, step = read_classes(dict(zip(files, map(np.array, values), strict=True)), self.classes)
        return Encoding(torch.int64, step), names, None


def load_pairs(pairs: Sequence[Pair], loading: Loading, title: str) -> Pairs:
    """Load n pairs of images and masks of one size.

    Args:
        pairs: The files.
        loading: How they are loaded.
        title: Name of the dataset, for the progress bar.

    Raises:
        InputError: A file is not usable. The message names the file.
    """
    found = Reader(pairs, _read_pair, loading.preparation, title, loading.cache, loading.cache_folder).read()
    encoding, classes, regions = loading.encode(pairs, found.note["values"], found.note["kept"])
    images = found.images(Encoding(torch.float32, found.note["divisor"]))
    return Pairs(images, found.masks(encoding), classes, regions)


def load_large(pairs: Sequence[Pair], loading: Loading, title: str) -> Pairs:
    """Load n pairs of images and masks, each of its own size. Arguments and errors are those of `load_pairs`."""
    held = loading.preparation
    arguments = {"kind": "large", "bits": bits_of(pairs), **held.arguments()}

    def extent() -> Extent:
        nonlocal held
        held, found = settle(pairs, held, title)
        return found

    def read(pair: Pair) -> Case:
        one = _read_pair(pair, held, whole_numbers=False)
        assert one.mask is not None
        return Case(one.image[None], one.mask[None], [pair.name], pair.name, values=one.values, kept=one.kept)

    entry = Cache(loading.cache_folder, title, files_of(pairs), arguments)
    cases = read_cases(read, pairs, title, "images", extent, entry, loading.cache)
    encoding, classes, regions = loading.encode(pairs, [case.values for case in cases], [case.kept for case in cases])
    images = in_order([(case.images, 0) for case in cases])
    return Pairs(images, in_order([(recoded(case.masks, encoding), 0) for case in cases]), classes, regions)


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
    pairs = [Pair(path.name, path) for path in paths]
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


def _read_pair(pair: Pair, preparation: Preparation, whole_numbers: bool) -> Prepared:
    pixels, mask = read_pair(pair.image, pair.mask)
    if pixels.shape[1:] != mask.shape:
        raise InputError(
            f"{pair.image}: got {by(pixels.shape[1:])} and a mask of {by(mask.shape)}, wanted one size; "
            "correct the pair"
        )
    image, divisor = preparation.image(pixels, pair.image, whole_numbers)
    found, prepared = distinct(mask), preparation.mask(mask)
    stored = np.uint16 if isinstance(pair.mask, Mapping) else np.uint8  # others are no classes; `found` refuses them
    target = prepared.astype(stored, copy=False)
    kept = found if prepared is mask else distinct(target)
    return Prepared(image, divisor, target, found.tolist(), kept.tolist())


def _read_image(pair: Pair, preparation: Preparation, whole_numbers: bool) -> Prepared:
    return Prepared(*preparation.image(read_image(pair.image), pair.image, whole_numbers))
