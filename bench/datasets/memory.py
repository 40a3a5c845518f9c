"""Check before loading whether data fit in memory, and decide whether they stay there."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.errors import InputError

COPIES = 2  # the samples, and a copy while they are stacked or divided into splits
FLOAT, INT = 4, 8  # bytes of a pixel of an image, and of a mask
RAW_AND_SAMPLES = 3  # bytes of a pixel of uint8 images: those of each file, of all files, and of the splits
CACHES = ("auto", "memory", "disk")
SHARE = 1 / 4  # of the available memory that samples may take
CGROUPS = Path("/sys/fs/cgroup")
STATM = Path("/proc/self/statm")
FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))  # cgroup v2 and v1


def check_memory(needed: float, what: str, fix: str) -> None:
    """Raise InputError if data need more memory than is available.

    Args:
        needed: Memory in bytes, including copies.
        what: Description of the data, with their number and size.
        fix: Setting that lowers the need.
    """
    available = available_memory()
    if needed > available:
        raise InputError(
            f"{what}: got data that need {needed / 1e9:,.1f} GB of memory, wanted at most the available "
            f"{available / 1e9:,.1f} GB; {fix}"
        )


def available_memory() -> int:
    """Return the available memory of the machine, or what limits of the process leave of it if that is less, in bytes.

    The limits are those of its cgroups, and of its address space and data (`ulimit -v` and `ulimit -d`).
    """
    return int(min(psutil.virtual_memory().available, *map(_available_in, _cgroups()), *_left_by_limits()))


def check_cache(cache: str) -> None:
    """Raise InputError if there is no such choice of where samples are held."""
    if cache not in CACHES:
        raise InputError(f"dataset.cache: got {cache!r}, wanted one of {list(CACHES)}; change dataset.cache")


class Extent(NamedTuple):
    """Pixels or voxels of all images and of the largest one, channels, and words for messages."""

    pixels: float
    largest: float
    channels: int
    what: str
    fix: str


def stays_in_memory(needed: float, cache: str) -> bool:
    """Return whether samples stay in memory. Those on disk are in the cache.

    Args:
        needed: Bytes of the samples in memory.
        cache: `memory`, `disk`, or `auto`: memory for samples of at most a quarter of the available memory.
    """
    return cache == "memory" or (cache == "auto" and needed <= available_memory() * SHARE)


def _cgroups() -> list[Path]:
    """Return the folders of the memory cgroup of this process and of the cgroups above it."""
    folders = []
    listing = Path("/proc/self/cgroup")  # lines ID:CONTROLLERS:PATH, with no controllers in version 2
    for line in listing.read_text().splitlines() if listing.exists() else ():
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "memory" in controllers.split(","):
            root = CGROUPS / "memory" if controllers else CGROUPS
            own = root / path.lstrip("/")
            folders += [own, *(above for above in own.parents if above.is_relative_to(root))]
    return folders


def _available_in(folder: Path) -> float:
    """Return the available memory of a cgroup in bytes. The cache of files can be freed and does not count as used."""
    for limit, usage in FILES:
        if (folder / limit).is_file() and (allowed := (folder / limit).read_text().strip()) != "max":
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            cache = int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
            return max(int(allowed) - int((folder / usage).read_text()) + cache, 0)
    return float("inf")


def _left_by_limits() -> list[float]:
    """Return what the limits of the process leave of its address space and of its data, in bytes."""
    pages = [int(number) for number in STATM.read_text().split()] if STATM.exists() else []
    if not pages:
        return []
    used = {resource.RLIMIT_AS: pages[0], resource.RLIMIT_DATA: pages[5]}  # size and data
    soft = {kind: resource.getrlimit(kind)[0] for kind in used}
    limited = [kind for kind in used if soft[kind] != resource.RLIM_INFINITY]
    return [max(0.0, soft[kind] - used[kind] * resource.getpagesize()) for kind in limited]
