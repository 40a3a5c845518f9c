"""Whether data fit in memory, asked before they are loaded."""

from __future__ import annotations

from pathlib import Path

import psutil

from bench.errors import InputError

COPIES = 2  # the samples, and their copy while they are stacked or divided into splits
FLOAT, INT = 4, 8  # bytes of a pixel of an image, and of a mask
RAW_AND_SAMPLES = COPIES * (1 + FLOAT)  # bytes of a pixel of images that are kept as uint8 while they become samples
CGROUPS = Path("/sys/fs/cgroup")
FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))  # of cgroup v2, of v1


def check_memory(needed: int, what: str, fix: str) -> None:
    """Raise InputError where data need more bytes than are available.

    Args:
        needed: bytes, copies included.
        what: the data, with their number and size.
        fix: the setting that lowers the need.
    """
    available = available_memory()
    if needed > available:
        raise InputError(
            f"{what}: got data that need {needed / 1e9:,.1f} GB of memory, wanted at most what is available, "
            f"{available / 1e9:,.1f} GB; {fix}"
        )


def available_memory() -> int:
    """Bytes that this process may still take: those of the machine, or of its cgroup where that allows fewer."""
    return min([psutil.virtual_memory().available, *(_left_in(folder) for folder in _cgroups())])


def _cgroups() -> list[Path]:
    """The folders of this process's memory cgroup and of those above it."""
    folders = []
    listing = Path("/proc/self/cgroup")  # lines ID:CONTROLLERS:PATH, with no controllers in version 2
    for line in listing.read_text().splitlines() if listing.exists() else ():
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "memory" in controllers.split(","):
            root = CGROUPS / "memory" if controllers else CGROUPS
            own = root / path.lstrip("/")
            folders += [own, *(above for above in own.parents if above.is_relative_to(root))]
    return folders


def _left_in(folder: Path) -> float:
    """Bytes between a cgroup's limit and its use; the cache of files, which is given back, is not counted as used."""
    for limit, usage in FILES:
        if (folder / limit).is_file() and (allowed := (folder / limit).read_text().strip()) != "max":
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            cache = int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
            return max(int(allowed) - int((folder / usage).read_text()) + cache, 0)
    return float("inf")
