"""Label views: the targets of a dataset as discrete variables."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d, adaptive_avg_pool3d, one_hot

from bench.datasets.data import Data
from bench.datasets.splits import Loaded
from bench.errors import InputError
from bench.information.reductions import distinct_rows
from bench.information.variables import Variable

GRID = 4
FOREGROUND_SHARE = 1 / 16
CLUSTERS = 64
HALVINGS = 3


def classes(data: Data, split: Loaded, seed: int = 0) -> np.ndarray:
    """Return the class, or the combination of labels in multi-label data: (n,)."""
    return distinct_rows(split.targets.reshape(len(split), -1).numpy())


def fractions(data: Data, split: Loaded, seed: int = 0) -> np.ndarray:
    """Divide the samples into 8 classes of about equal size by the shares of foreground pixels: (n,), at most 3 bits.

    The classes are octiles of the foreground share for binary masks. With more classes in the masks, each set of
    samples is halved three times, each time at the median of the share that varies most.
    """
    shares = _one_hot(data, split)[:, 1:].flatten(2).mean(dim=2).numpy()  # (n, foreground classes)
    cells = np.zeros(len(shares), dtype=np.int64)
    for _ in range(HALVINGS):
        halves = 2 * cells
        for cell in np.unique(cells):
            rows = np.flatnonzero(cells == cell)
            widest = shares[rows, shares[rows].std(axis=0).argmax()]
            halves[rows] += widest > np.median(widest)
        cells = halves
    return distinct_rows(cells[:, None])


def mask(data: Data, split: Loaded, seed: int = 0) -> np.ndarray:
    """Return the mask itself: each distinct mask is a class, (n,)."""
    return classes(data, split, seed)


def coarse(data: Data, split: Loaded, seed: int = 0) -> np.ndarray:
    """Reduce each mask to a 4×4 (3-D: 4×4×4) grid of bits; each distinct grid is a class, (n,).

    A bit is 1 if more than 1/16 of the pixels of its block are foreground.

    References:
        Lee & Bajić 2021, arXiv 2101.08427, section 3.
    """
    foreground = (split.targets > 0).float()[:, None]
    pool = adaptive_avg_pool3d if foreground.ndim == 5 else adaptive_avg_pool2d
    return distinct_rows((pool(foreground, GRID) > FOREGROUND_SHARE).flatten(1).numpy())


def kmeans(data: Data, split: Loaded, seed: int = 0) -> np.ndarray:
    """Return the nearest of 64 k-means centres of the flattened training masks: (n,).

    References:
        Lee & Bajić 2021, arXiv 2101.08427, section 3.
    """
    from sklearn.cluster import KMeans  # here, because it takes a second to load

    if len(data.train) < CLUSTERS:
        raise InputError(f"probe.labels: got kmeans with {len(data.train)} training masks, wanted at least {CLUSTERS}")
    flat = [(part.targets > 0).flatten(1).float().numpy() for part in (data.train.loaded(), split)]
    return KMeans(CLUSTERS, n_init=1, random_state=seed).fit(flat[0]).predict(flat[1]).astype(np.int64)


VIEWS = {
    "segmentation": {view.__name__: view for view in (fractions, mask, coarse, kmeans)},
    "classification": {"classes": classes},
    "multilabel": {"classes": classes},
}


def label_view(name: str, data: Data, split: Loaded, seed: int) -> Variable:
    """Return the targets of a split as a discrete Variable.

    For the view `mask`, the Variable also holds the pixels of the masks as samples.

    Args:
        name: One of the label views of the task.
        data: The dataset.
        split: The samples.
        seed: Seed of the first centres of k-means.

    Raises:
        InputError: The task has no such view, or `kmeans` has too few training masks.
    """
    views = VIEWS[data.task]
    if name not in views:
        raise InputError(f"probe.labels: got {name!r}, wanted one of {', '.join(views)} for {data.task}")
    labels = views[name](data, split, seed)
    if name != "mask":
        return Variable(len(split), 1, split.groups, labels=labels)
    masks = _one_hot(data, split)[:, 1:].flatten(1).numpy()
    return Variable(len(split), masks.shape[1], split.groups, labels=labels, samples=masks)


def _one_hot(data: Data, split: Loaded) -> torch.Tensor:
    return one_hot(split.targets, len(data.classes)).movedim(-1, 1).float()  # (n, classes, *spatial)
