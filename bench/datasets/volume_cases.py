"""Cases of different sizes, each a volume or a stack of slices, in memory or in the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from bench.datasets.cache import Cache
from bench.datasets.data import Volumes
from bench.datasets.memory import COPIES, FLOAT, INT, check_cache, check_memory, stays_in_memory
from bench.datasets.storage import CLASSES, IMAGES, Files, OnDisk
from bench.datasets.workers import map_in_processes

Item = TypeVar("Item")


class Case(NamedTuple):
    """The k volumes or slices of a case.

    Attributes:
        images: (k, channels, *spatial) float32.
        masks: (k, *spatial) class numbers; uint8 where they are stored.
        names: k names.
        group: The group of all of them.
        lost: Whether the mask has fewer values than its file.
    """

    images: Any
    masks: Any
    names: list[str]
    group: str
    lost: bool = False


class Need(NamedTuple):
    """Voxels of all cases and of the largest one, channels, and words for messages."""

    voxels: float
    largest: float
    channels: int
    what: str
    fix: str


def read_cases(
    read: Callable[[Item], Case],
    items: Sequence[Item],
    title: str,
    unit: str,
    need: Callable[[], Need],
    entry: Cache,
    cache: str,
) -> list[Case]:
    """Read and preprocess cases, or open their entry in the cache.

    Args:
        read: Reads one case.
        items: What it is called with.
        title: Name of the dataset.
        unit: What the items are, in the plural.
        need: Returns how large the cases are, by their headers.
        entry: Their entry in the cache.
        cache: `auto`, `memory` or `disk`.

    Raises:
        InputError: They do not fit in memory or on the disk, or `read` refuses one.
    """
    check_cache(cache)
    if cache == "memory" or not entry.exists():
        size = need()
        in_memory = (size.channels * FLOAT + INT) * size.voxels
        if stays_in_memory(in_memory, cache):
            check_memory(COPIES * in_memory, size.what, size.fix)
            return [_decoded(case) for case in map_in_processes(read, items, f"load {title}", unit)]
        check_memory(COPIES * (size.channels * FLOAT + INT) * size.largest, size.what, size.fix)

        def write(folder: Path) -> dict[str, Any]:
            def write_one(number: int) -> dict[str, Any]:
                case = read(items[number])
                for path, values in zip(_files(folder, number), case[:2], strict=True):
                    np.save(path, values, allow_pickle=False)
                return {"names": case.names, "group": case.group, "lost": case.lost}

            return {"cases": list(map_in_processes(write_one, range(len(items)), f"load {title}", unit))}

        note = entry.make(write, (size.channels * FLOAT + 1) * size.voxels)
    else:
        note = entry.open()
    return [_opened(entry, number, about) for number, about in enumerate(note["cases"])]


def _decoded(case: Case) -> Case:
    return case._replace(images=IMAGES.decode(case.images), masks=CLASSES.decode(case.masks))


def _opened(entry: Cache, number: int, about: dict[str, Any]) -> Case:
    images, masks = _files(entry.path, number)
    return Case(OnDisk(images, IMAGES), OnDisk(masks, CLASSES), about["names"], about["group"], about["lost"])


def _files(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"{number:06d}_images.npy", folder / f"{number:06d}_masks.npy"


def volumes_of(cases: Sequence[Case], least: tuple[int, ...] | None = None) -> Volumes:
    """Join the volumes or slices of cases.

    Args:
        cases: The cases.
        least: They are padded with zeros to this size. None does not pad.
    """
    sides: list[Sequence[torch.Tensor]] = []
    for part in ("images", "masks"):
        places = [(getattr(case, part), row) for case in cases for row in range(len(case.names))]
        files = Files(places, least)
        sides.append(files if any(not isinstance(samples, torch.Tensor) for samples, _ in places) else tuple(files))
    return Volumes(
        sides[0],
        sides[1],
        np.array([case.group for case in cases for _ in case.names]),
        tuple(name for case in cases for name in case.names),
    )
