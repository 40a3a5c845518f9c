"""Read samples of one shape in several processes, into memory or into the cache."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.datasets.cache import Cache
from bench.datasets.common import by, list_values
from bench.datasets.files import shape_of
from bench.datasets.memory import COPIES, FLOAT, INT, Extent, check_cache, check_memory, stays_in_memory
from bench.datasets.npy import Writer
from bench.datasets.preparing import Preparation
from bench.datasets.storage import Encoding, OnDisk, Samples, in_memory
from bench.datasets.workers import map_in_processes
from bench.errors import InputError

IMAGES, MASKS = "images.npy", "masks.npy"
FIX = "lower dataset.size or dataset.crop"
Masks = Path | tuple[Path, ...] | dict[int, Path]


class Pair(NamedTuple):
    """The files of an image and its mask."""

    name: str
    image: Path
    mask: Masks = ()  # several files are instances of one class, or of classes by bit; none without masks


class Prepared(NamedTuple):
    """A prepared sample, and what is noted of the file of its mask."""

    image: np.ndarray
    divisor: int | None  # of the image
    mask: np.ndarray | None = None
    values: Sequence[float] = ()  # distinct values in the file
    kept: Sequence[int] = ()  # distinct values of the prepared mask


class ReadSamples(NamedTuple):
    """Samples that were read. The two functions decode them."""

    images: Callable[[Encoding], Samples]
    masks: Callable[[Encoding], Samples]
    note: dict[str, Any]  # divisor of the images, values and kept values of each mask


ReadOne = Callable[[Pair, Preparation, bool], Prepared]


class Reader:
    """Reads all samples of a dataset.

    Args:
        pairs: The files.
        read_one: Reads and prepares a sample. Its last argument says whether pixels may stay whole numbers.
        preparation: How samples are prepared.
        title: Name of the dataset.
        cache: `auto`, `memory` or `disk`.
        folder: Folder of the cache.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        read_one: ReadOne,
        preparation: Preparation,
        title: str,
        cache: str,
        folder: str | Path,
    ):
        check_cache(cache)
        self.pairs, self.read_one, self.preparation, self.title, self.cache = pairs, read_one, preparation, title, cache
        self.has_masks = pairs[0].mask != ()
        self.folder = folder

    def read(self) -> ReadSamples:
        """Read the samples, or open their entry in the cache."""
        entry = None if self.cache == "memory" else self._entry()
        if entry and entry.exists():
            return self._open(entry, entry.open())
        in_memory, on_disk = self._bytes()
        if entry is None or stays_in_memory(in_memory, self.cache):
            check_memory(COPIES * in_memory, self.what, f"{FIX}, or take fewer images")
            return self._read_into_memory()
        return self._open(entry, entry.make(self._write, on_disk))

    def _entry(self) -> Cache:
        kind = "pairs" if self.has_masks else "images"
        arguments = {"kind": kind, "bits": bits_of(self.pairs), **self.preparation.arguments()}
        return Cache(self.folder, self.title, files_of(self.pairs), arguments)

    def _bytes(self) -> tuple[float, float]:
        """Return the bytes of all samples in memory and on disk, by the headers of the files.

        Raises:
            InputError: A single image does not fit in memory, or images have different numbers of channels.
        """
        self.preparation, extent = settle(self.pairs, self.preparation, self.title)
        self.what = extent.what
        count, mask = extent.channels, INT if self.has_masks else 0
        check_memory(COPIES * (count * FLOAT + mask) * extent.largest, extent.what, extent.fix)  # of one, also on disk
        return extent.pixels * (count * FLOAT + mask), extent.pixels * (count * FLOAT + 2 * self.has_masks)

    def _read_into_memory(self) -> ReadSamples:
        images, masks, note = self._fill(lambda _, shape, dtype: Shared(shape, dtype))
        return ReadSamples(lambda code: in_memory(images.array, code), lambda code: in_memory(masks.array, code), note)

    def _write(self, folder: Path) -> dict[str, Any]:
        return self._fill(lambda name, shape, dtype: Writer(folder / name, shape, dtype))[2]

    def _open(self, entry: Cache, note: dict[str, Any]) -> ReadSamples:
        return ReadSamples(
            lambda code: OnDisk(entry.path / IMAGES, code), lambda code: OnDisk(entry.path / MASKS, code), note
        )

    def _fill(self, create: Callable[[str, tuple[int, ...], np.dtype], Any]) -> tuple[Any, Any, dict[str, Any]]:
        """Fill an array of images and an array of masks. Whole numbers become float32 if images have several types."""
        filled = self._try(create, whole_numbers=True) or self._try(create, whole_numbers=False)
        assert filled is not None  # as float32, all images have one type
        return filled

    def _try(self, create, whole_numbers: bool) -> tuple[Any, Any, dict[str, Any]] | None:
        """Fill the arrays, or return None if an image has another type than the first."""
        count = len(self.pairs)
        first = self.read_one(self.pairs[0], self.preparation, whole_numbers)
        images = create(IMAGES, (count, *first.image.shape), first.image.dtype)
        masks = None if first.mask is None else create(MASKS, (count, *first.mask.shape), first.mask.dtype)

        def put(row: int) -> tuple[Sequence[float], Sequence[int]] | None:
            read = self.read_one(self.pairs[row], self.preparation, whole_numbers)
            self._check(read, first, self.pairs[row])
            if (read.image.dtype, read.divisor) != (first.image.dtype, first.divisor):
                return None
            images.write(row, read.image)
            if masks is not None:
                masks.write(row, read.mask)
            return read.values, read.kept

        values, kept = [], []
        for noted in map_in_processes(put, range(count), f"load {self.title}", "images"):
            if noted is None:
                return None
            values.append(noted[0])
            kept.append(noted[1])
        return images, masks, {"divisor": first.divisor, "values": values, "kept": kept}

    def _check(self, read: Prepared, first: Prepared, pair: Pair) -> None:
        """Raise InputError if the size of an image is not that of the first, or if its pixels are not finite."""
        if read.image.shape[1:] != first.image.shape[1:]:
            raise InputError(
                f"{pair.image}: got {by(read.image.shape[1:])}, but {self.pairs[0].name} has "
                f"{by(first.image.shape[1:])}, wanted images of one size; set dataset.size, or "
                "dataset.patch if the dataset has it"
            )
        if read.image.dtype == np.float32 and not np.isfinite(read.image).all():
            raise InputError(
                f"dataset {self.title}: {pair.name} has NaN or infinite pixels after scaling, wanted numbers; change "
                "dataset.intensity, or remove the image"
            )


def settle(pairs: Sequence[Pair], preparation: Preparation, title: str) -> tuple[Preparation, Extent]:
    """Determine the number of channels and the size of all prepared images, by the headers of their files.

    Raises:
        InputError: A single image does not fit in memory, or images have different numbers of channels.
    """
    paths = [pair.image for pair in pairs]
    shapes = list(map_in_processes(shape_of, paths, f"check {title}", "images"))
    counts = sorted({shape[0] for shape in shapes})
    if preparation.channels == "auto":
        if len(counts) > 1 and counts[:-1] != [1]:
            raise InputError(
                f"images: got {list_values(counts)} channels, wanted one number, or grey and one other number; "
                "split the folder"
            )
        preparation = preparation.with_channels(counts[-1])
    count, mask = int(preparation.channels), INT if pairs[0].mask != () else 0
    largest = max(range(len(paths)), key=lambda row: prod(shapes[row]))
    what = f"{paths[largest]} of {by(shapes[largest])}"
    check_memory(COPIES * (FLOAT + mask) * prod(shapes[largest]), what, "shrink it or cut it into several")
    kept = [preparation.shape(shape[1:]) for shape in shapes]
    what = f"dataset: {len(paths)} images of {count} channels and {by(kept[-1])}"
    return preparation, Extent(sum(map(prod, kept)), max(map(prod, kept)), count, what, FIX)


class Shared:
    """An array in memory that forked processes share, so that they can write its rows."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype):
        content = mmap.mmap(-1, max(1, prod(shape) * np.dtype(dtype).itemsize))
        self.array = np.frombuffer(content, dtype, prod(shape)).reshape(shape)

    def write(self, row: int, values: np.ndarray) -> None:
        self.array[row] = values


def files_of(pairs: Sequence[Pair]) -> list[Path]:
    """Return the files of all pairs."""
    masks = [(mask,) if isinstance(mask, Path) else tuple(mask.values()) if isinstance(mask, dict) else mask
             for _, _, mask in pairs]  # fmt: skip
    return [file for pair, several in zip(pairs, masks, strict=True) for file in (pair.image, *several)]


def bits_of(pairs: Sequence[Pair]) -> list[list[int]]:
    """Return the numbers of the bits of the files of each mask, which is empty if no mask has bits."""
    return [[*pair.mask] for pair in pairs if isinstance(pair.mask, dict)]
