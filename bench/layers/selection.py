"""Selection: the samples, taps and views that a probe measures, and the relative depth of a tap."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from fnmatch import fnmatch

import numpy as np
from torch import nn

from bench.datasets.data import SPLITS, Data
from bench.datasets.splits import Loaded
from bench.errors import InputError
from models import Tap

MIN_SAMPLES = 16
VIEWS = ("image", "pixel", "patch")


def named_rng(seed: int, *names) -> np.random.Generator:
    """Return a generator that depends only on the seed and the names."""
    return np.random.default_rng([seed, zlib.crc32("/".join(map(str, names)).encode())])


def choose_samples(data: Data, split: str, n: int | None, seed: int) -> Loaded:
    """Draw n samples from a split, or all for None, in the order of the split, and load them into memory.

    Raises:
        InputError: There is no such split, or it has too few samples.
    """
    if split not in (*SPLITS, "trainval", "all"):
        raise InputError(f"probe.split: got {split!r}, wanted one of {', '.join(SPLITS)}, trainval, all")
    samples = data.split(split)
    wanted = len(samples) if n is None else n
    if wanted > len(samples):
        raise InputError(
            f"probe.n: got {wanted}, wanted at most {len(samples)}, the size of probe.split={split}; "
            "lower it or set probe.split=all"
        )
    if wanted < MIN_SAMPLES:
        raise InputError(
            f"probe.n: got {wanted} samples (probe.split={split}), wanted at least {MIN_SAMPLES}; "
            "set probe.split=all or add samples to the split"
        )
    rows = named_rng(seed, "probe samples").choice(len(samples), wanted, replace=False)
    return samples.take(np.sort(rows)).loaded()


def taps_of(network: nn.Module) -> list[Tap]:
    """Return the taps of a network."""
    return network.taps()  # type: ignore[operator]  # PyTorch declares any attribute as a tensor or a module


def choose_taps(taps: list[Tap], patterns: Sequence[str] | None) -> list[Tap]:
    """Return the taps whose names match a pattern, in their given order; for None all but the skips.

    Raises:
        InputError: There are no taps, or a pattern matches none of them.
    """
    if not taps:
        raise InputError("model: got no taps, wanted at least one; `python -m bench taps model=…` lists its modules")
    if patterns is None:
        return [tap for tap in taps if tap.role != "skip"]
    for pattern in patterns:
        if not any(fnmatch(tap.name, pattern) for tap in taps):
            names = ", ".join(tap.name for tap in taps)
            raise InputError(f"probe.taps: got {pattern!r}, which matches no tap of the model; wanted any of {names}")
    return [tap for tap in taps if any(fnmatch(tap.name, pattern) for pattern in patterns)]


def choose_views(views: Sequence[str] | None, task: str) -> list[str]:
    """Return the views, each once, in the given order; by default `pixel` for masks and `image` for other labels.

    Raises:
        InputError: There is no such view.
    """
    if views is None:
        return ["pixel"] if task == "segmentation" else ["image"]
    for view in views:
        if view not in VIEWS:
            raise InputError(f"probe.views: got {view!r}, wanted any of {', '.join(VIEWS)}")
    return list(dict.fromkeys(views))


def relative_depth(tap: Tap, taps: list[Tap]) -> int:
    """Compute the relative depth of a tap, 0 to 100. The last tap of the bottleneck, if there is one, has 50.

    Examples:
        >>> taps = [Tap(f"conv{i}", f"conv{i}", "feature", i, i) for i in range(5)]
        >>> [relative_depth(tap, taps) for tap in taps]
        [0, 25, 50, 75, 100]
    """
    orders = sorted(each.order for each in taps)
    position = sum(order < tap.order for order in orders)
    last = max(len(orders) - 1, 1)
    bottleneck = max((each.order for each in taps if each.role == "bottleneck"), default=None)
    if bottleneck is None:
        return round(100 * position / last)
    middle = orders.index(bottleneck)
    if position <= middle:
        return round(50 * position / max(middle, 1))
    return round(50 + 50 * (position - middle) / (last - middle))
