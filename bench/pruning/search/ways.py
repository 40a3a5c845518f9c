"""Ways to ask: the views in which the information in parts is measured, and the estimator and view that decide."""

from __future__ import annotations

from collections.abc import Sequence

from bench.datasets.data import Data
from bench.errors import InputError
from bench.layers.pixels import REACH

LEAST_IMAGES = 32


def select_views(data: Data, views: Sequence[str] | None) -> list[str]:
    """Return the views to measure in.

    Raises:
        InputError: The data have fewer than 32 images for training and validation, or they lack a view.
    """
    images = len(data.train) + len(data.val)
    if images < LEAST_IMAGES:
        raise InputError(
            f"dataset {data.name}: got {images} images to train and validate on, wanted at least {LEAST_IMAGES}; add "
            "images or raise the shares of these splits"
        )
    return views_of(data, views)


def views_of(data: Data, views: Sequence[str] | None) -> list[str]:
    """Return the views that are asked for, or all views of the data: locations for masks, whole images otherwise."""
    known = list(REACH) if data.task == "segmentation" else ["image"]
    if unknown := set(views or known) - set(known):
        raise InputError(f"ask.views: got {min(unknown)!r} for {data.task}, wanted any of {', '.join(known)}")
    return list(dict.fromkeys(views or known))


def choose_estimator_and_view(by: str | None, estimators: Sequence[str], views: Sequence[str]) -> tuple[str, str]:
    """Select the estimator and view that decide about removals: those named, as `estimator.view`, or the first.

    Examples:
        >>> choose_estimator_and_view("probe.patch", ["probe"], ["pixel", "patch"])
        ('probe', 'patch')
    """
    ways = {f"{estimator}.{view}": (estimator, view) for view in views for estimator in estimators}
    by = by or next(iter(ways))
    if by not in ways:
        raise InputError(f"ask.by: got {by!r}, wanted one of {', '.join(ways)}")
    return ways[by]
