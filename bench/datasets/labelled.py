"""Make a `Data` from image files and the labels of whole images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bench.datasets.augment import augmentation
from bench.datasets.common import require_samples, rows_by_split
from bench.datasets.data import SPLITS, Data, Task
from bench.datasets.load import load_images
from bench.datasets.splits import Split


def labelled(
    name: str,
    files: Sequence[Path],
    labels: np.ndarray,
    assigned: np.ndarray,
    groups: np.ndarray,
    names: Sequence[str],
    classes: Sequence[str],
    *,
    task: Task = "classification",
    n: Sequence[int | None] | None = None,
    seed: int = 0,
    augment: str | Sequence[str] | None,
    licence: str,
    source: str,
    **preprocessing,
) -> Data:
    """Make a `Data` for classification. Only images that are drawn are read.

    Args:
        name: Name of the dataset.
        files: The files of m images.
        labels: (m,) classes, or (m, L) of 0 and 1 for multilabel.
        assigned: (m,) the split of each image.
        groups: (m,) the group of each image.
        names: Names of the m images.
        classes: Names of the classes.
        task: `classification` or `multilabel`.
        n: Number of images to draw for (train, val, test). None in it, or for it, takes all.
        seed: Seed of the draw.
        augment: Names of augmentations.
        licence: Licence of the data.
        source: Where the data come from.
        **preprocessing: `size`, `crop`, `channels` and `intensity` of `load_images`.

    Raises:
        InputError: A split is empty, or `load_images` refuses a file.
    """
    require_samples(assigned, source)
    rows = rows_by_split(assigned, n, seed)
    kept = np.sort(np.concatenate(list(rows.values())))
    images = load_images([files[row] for row in kept], title=name, **preprocessing)
    targets = torch.from_numpy(labels[kept].astype(np.int64))
    whole = Split(images, targets, groups[kept], tuple(str(names[row]) for row in kept))
    train, val, test = (whole.take(np.searchsorted(kept, rows[part])) for part in SPLITS)
    return Data(
        name=name,
        task=task,
        classes=tuple(classes),
        train=train,
        val=val,
        test=test,
        augment=augmentation(augment, spatial_dims=images.ndim - 2),
        licence=licence,
        source=source,
    )
