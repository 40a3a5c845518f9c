"""Samples: a dataset from images and labels that are tensors, arrays or batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.datasets.class_names import Task
from bench.datasets.data import Data
from bench.datasets.splits import Loaded
from bench.errors import InputError

KEYS = ("image", "label")  # keys of a batch that is a mapping, as from MONAI's loaders


def data_of(images: Any, labels: Any = None, groups: Any = None) -> Data:
    """Make a dataset of labelled images. All three splits are the same, because nothing is trained.

    Args:
        images: (n, channels, *spatial), as a tensor or an array, or an iterable of such batches.
        labels: (n,) classes, (n, *spatial) or (n, 1, *spatial) class masks, or (n, labels) of 0 and 1; or batches of
            them. None if each batch of images is a pair of images and labels, or a mapping with `image` and `label`.
        groups: (n,) the group of each image, such as a patient. None makes each image a group.

    Raises:
        InputError: Shapes do not fit, labels are not whole numbers, or images are not finite.

    Examples:
        >>> data = data_of(np.zeros((4, 1, 8, 8)), np.array([0, 1, 2, 1]))
        >>> data.task, data.classes
        ('classification', ('0', '1', '2'))
    """
    if labels is None:
        images, labels = _split_pairs(images)
    images, labels = joined(images, "images").float(), joined(labels, "labels")
    if images.dim() not in (4, 5):
        raise InputError(
            f"images: got the shape {tuple(images.shape)}, wanted (n, channels, *spatial) with 2 or 3 axes"
        )
    if len(labels) != len(images):
        raise InputError(f"labels: got {len(labels)} of them, wanted one for each of {len(images)} images")
    task, labels = _task_of(labels, tuple(images.shape[2:]))
    groups = np.arange(len(images)) if groups is None else np.asarray(groups)
    if groups.shape != (len(images),):
        raise InputError(f"groups: got the shape {groups.shape}, wanted ({len(images)},), one for each image")
    count = labels.shape[1] if task == "multilabel" else int(labels.max()) + 1
    classes = tuple(map(str, range(max(count, 2))))
    split = Loaded(images, labels, groups, tuple(map(str, range(len(images)))))
    return Data("of the images given", task, classes, split, split, split)


def _split_pairs(batches: Any) -> tuple[list, list]:
    if isinstance(batches, Tensor | np.ndarray) or not isinstance(batches, Iterable):
        raise InputError("labels: got None, wanted labels, or images that are an iterable of pairs (images, labels)")
    pairs = [_split_pair(batch) for batch in batches]
    return [images for images, _ in pairs], [labels for _, labels in pairs]


def _split_pair(batch: Any) -> tuple[Any, Any]:
    if isinstance(batch, Mapping):
        if missing := [key for key in KEYS if key not in batch]:
            raise InputError(
                f"images: got batches with the keys {', '.join(map(str, batch))}, wanted {missing[0]!r} too"
            )
        return tuple(batch[key] for key in KEYS)
    if not isinstance(batch, list | tuple) or len(batch) < 2:
        raise InputError(f"images: got batches of {type(batch).__name__}, wanted pairs (images, labels)")
    return batch[0], batch[1]


def joined(values: Any, name: str) -> Tensor:
    """Return a tensor, an array or an iterable of batches as one tensor on the CPU.

    Raises:
        InputError: The values have another type, are empty, or are batches that do not fit together.
    """
    if isinstance(values, Tensor | np.ndarray):
        batches = [values]
    elif isinstance(values, Iterable):
        batches = list(values)
    else:
        raise InputError(f"{name}: got {type(values).__name__}, wanted a tensor, an array or an iterable of batches")
    try:
        whole = torch.cat([torch.atleast_1d(torch.as_tensor(batch)).detach().cpu() for batch in batches])
    except (RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name}: got batches that can't form one tensor ({reason}), wanted equal shapes") from error
    if len(whole) == 0:
        raise InputError(f"{name}: got none, wanted at least one batch")
    return whole


def _task_of(labels: Tensor, size: tuple[int, ...]) -> tuple[Task, Tensor]:
    """Return the task that the shape of the labels implies, and the labels as whole numbers."""
    if labels.is_floating_point() or labels.dtype == torch.bool:
        whole = labels.long()
        if not torch.equal(whole.to(labels.dtype), labels):
            raise InputError("labels: got fractions, wanted whole numbers: classes, class masks, or 0 and 1")
        labels = whole
    labels = labels.long()
    if (labels < 0).any():
        raise InputError(f"labels: got {int(labels.min())}, wanted classes from 0 up")
    if labels.dim() == len(size) + 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dim() == 1:
        return "classification", labels
    if tuple(labels.shape[1:]) == size:
        return "segmentation", labels
    if labels.dim() == 2 and labels.shape[1] > 1 and int(labels.max()) <= 1:
        return "multilabel", labels
    if labels.dim() == 2 and labels.shape[1] == 1:
        return "classification", labels[:, 0]
    raise InputError(
        f"labels: got the shape {tuple(labels.shape)} for images of {size}, wanted (n,) classes, (n, *spatial) or "
        "(n, 1, *spatial) class masks of the images' size, or (n, labels) of 0 and 1"
    )
