"""Cases of different sizes, each a volume or a stack of slices, in memory or in the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from bench.datasets.cache import Cache
from bench.datasets.memory import COPIES, FLOAT, INT, Extent, check_cache, check_memory, stays_in_memory
from bench.datasets.spacing import Spacing, stack_spacings
from bench.datasets.splits import Volumes
from bench.datasets.storage import CLASSES, IMAGES, OnDisk
from bench.datasets.stored_volumes import in_order
from bench.datasets.workers import map_in_processes

Item = TypeVar("Item")


class Case(NamedTuple):
    """The k volumes or slices of a case.

    Attributes:
        images: (k, channels, *spatial) float32.
        masks: (k, *spatial) class numbers; uint8 where they are stored.
        names: k names.
        group: The group of all of them.
        spacing: Size of a pixel along each axis in millimetres, or None if it is not known.
        values: Distinct values in the file of the mask.
        kept: Distinct values of the masks.
    """

    images: Any
    masks: Any
    names: list[str]
    group: str
    spacing: Spacing | None = None
    values: Sequence[float] = ()
    kept: Sequence[int] = ()

    @property
    def lost(self) -> bool:
        """Whether the masks have fewer values than their file."""
        return len(self.kept) < len(self.values)


def read_cases(
    read: Callable[[Item], Case],
    items: Sequence[Item],
    title: str,
    unit: str,
    extent: Callable[[], Extent],
    entry: Cache,
    cache: str,
) -> list[Case]:
    """Read and preprocess cases, or open their entry in the cache.

    Args:
        read: Reads one case.
        items: What it is called with.
        title: Name of the dataset.
        unit: What the items are, in the plural.
        extent: Returns how large the cases are, by their headers.
        entry: Their entry in the cache.
        cache: `auto`, `memory` or `disk`.

    Raises:
        InputError: They do not fit in memory or on the disk, or `read` refuses one.
    """
    check_cache(cache)
    if cache == "memory" or not entry.exists():
        size = extent()
        in_memory = (size.channels * FLOAT + INT) * size.pixels
        if stays_in_memory(in_memory, cache):
            check_memory(COPIES * in_memory, size.what, size.fix)
            return _of_one_unit(
                title, [_decoded(case) for case in map_in_processes(read, items, f"load {title}", unit)]
            )
        check_memory(COPIES * (size.channels * FLOAT + INT) * size.largest, size.what, size.fix)

        def write(folder: Path) -> dict[str, Any]:
            def write_one(number: int) -> dict[str, Any]:
                case = read(items[number])
                for path, values in zip(_files(folder, number), case[:2], strict=True):
                    np.save(path, values, allow_pickle=False)
                return case._replace(images=None, masks=None)._asdict()

            return {"cases": list(map_in_processes(write_one, range(len(items)), f"load {title}", unit))}

        note = entry.make(write, (size.channels * FLOAT + 1) * size.pixels)
    else:
        note = entry.open()
    return _of_one_unit(title, [_opened(entry, number, about) for number, about in enumerate(note["cases"])])


def _of_one_unit(title: str, cases: list[Case]) -> list[Case]:
    """Return the cases, without spacing if some have none."""
    known = stack_spacings(title, [case.names[0] for case in cases], [case.spacing for case in cases])
    return cases if known is not None else [case._replace(spacing=None) for case in cases]


def _decoded(case: Case) -> Case:
    return case._replace(images=IMAGES.decode(case.images), masks=CLASSES.decode(case.masks))


def _opened(entry: Cache, number: int, about: dict[str, Any]) -> Case:
    images, masks = _files(entry.path, number)
    return Case(**about | {"images": OnDisk(images, IMAGES), "masks": OnDisk(masks, CLASSES)})


def _files(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"{number:06d}_images.npy", folder / f"{number:06d}_masks.npy"


def volumes_of(cases: Sequence[Case], least: tuple[int, ...] | None = None) -> Volumes:
    """Join the volumes or slices of cases.

    Args:
        cases: The cases.
        least: They are padded with zeros to this size. None does not pad.
    """
    places = {
        part: [(getattr(case, part), row) for case in cases for row in range(len(case.names))]
        for part in ("images", "masks")
    }
    return Volumes(
        in_order(places["images"], least),
        in_order(places["masks"], least),
        np.array([case.group for case in cases for _ in case.names]),
        tuple(name for case in cases for name in case.names),
        None if any(case.spacing is None for case in cases) else _spacings(cases),
    )


def _spacings(cases: Sequence[Case]) -> np.ndarray:
    return np.array([case.spacing for case in cases for _ in case.names], dtype=float)
