"""Check before loading whether data fit in memory."""

from __future__ import annotations

from pathlib import Path

import psutil

from bench.errors import InputError

COPIES = 2  # the samples, and a copy while they are stacked or divided into splits
FLOAT, INT = 4, 8  # bytes of a pixel of an image, and of a mask
RAW_AND_SAMPLES = COPIES * (1 + FLOAT)  # bytes of a pixel of uint8 images that are held while samples are made of them
CGROUPS = Path("/sys/fs/cgroup")
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
    """Return the available memory of the machine, or of the cgroup of the process if that is less, in bytes."""
    return min([psutil.virtual_memory().available, *(_available_in(folder) for folder in _cgroups())])


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
