"""Losses for unbalanced classes: weights of classes, and losses of MONAI."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from bench.datasets.data import Data
from bench.datasets.splits import in_regions
from bench.errors import InputError

OF_MASKS = ("dice", "dice_ce", "dice_focal", "tversky")  # losses of overlap
FALSE_POSITIVES, FALSE_NEGATIVES = 0.3, 0.7  # weights in `tversky`, as in Salehi et al.
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def monai_loss(name: str, binary: bool) -> Loss:
    """Return a loss of MONAI, of logits (n, outputs, ...) and of class numbers (n, 1, ...) or binary targets.

    Args:
        name: `dice`, `dice_ce`, `dice_focal`, `focal` or `tversky`.
        binary: Whether each output is binary, with a sigmoid. Else the outputs are classes, with a softmax.

    References:
        Focal: Lin et al. 2017, arXiv 1708.02002, with exponent 2. Tversky: Salehi et al. 2017, arXiv 1706.05721, with
        weights of 0.3 for false positives and 0.7 for false negatives.
    """
    from monai import losses  # here, because MONAI takes seconds to load

    if name == "focal":
        return losses.FocalLoss() if binary else losses.FocalLoss(to_onehot_y=True, use_softmax=True)
    kind = {
        "dice": losses.DiceLoss,
        "dice_ce": losses.DiceCELoss,
        "dice_focal": losses.DiceFocalLoss,
        "tversky": losses.TverskyLoss,
    }[name]
    options = {"alpha": FALSE_POSITIVES, "beta": FALSE_NEGATIVES} if name == "tversky" else {}
    outputs = {"sigmoid": True} if binary else {"softmax": True, "to_onehot_y": True}
    return kind(**outputs, **options)


def weighted_loss(data: Data, binary: bool) -> Loss:
    """Return a cross-entropy in which each class has the same total weight in the training split.

    The weight of a class is n / (K n_k), with n_k of n pixels or images in class k of K. In a binary output, positive
    pixels or images have the weight of the ratio of negative to positive ones.

    Raises:
        InputError: A class does not occur in the training split.

    Examples:
        >>> from bench.datasets import phantoms
        >>> data = phantoms("classification", classes=2, n=(8, 2, 2), size=16)
        >>> weighted_loss(data, binary=False)(torch.zeros(2, 2), torch.tensor([0, 1]))
        tensor(0.6931)
    """
    positive, negative = _count_binary(data) if binary else (_count_classes(data), None)
    if (positive == 0).any():
        names = (tuple(data.regions or ()) or data.classes[-len(positive) :]) if binary else data.classes
        raise InputError(
            f"train.loss: got a weighted loss, but the class {names[int((positive == 0).nonzero()[0])]} does not occur "
            "in the training split, wanted all classes; choose another loss or another split"
        )
    if negative is None:
        weights = _on_each_device(positive.sum() / (len(positive) * positive))
        return lambda logits, targets: cross_entropy(logits, targets, weights(logits.device))
    ratios = _on_each_device(negative / positive)

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        shaped = ratios(logits.device).reshape(-1, *[1] * (logits.ndim - 2))  # (outputs, 1, ...)
        return binary_cross_entropy_with_logits(logits, targets.reshape(logits.shape), pos_weight=shaped)

    return loss


def _on_each_device(values: torch.Tensor) -> Callable[[torch.device], torch.Tensor]:
    """Return a function from a device to the values there. It copies them once, because a copy waits for a GPU."""
    return cache(values.to)


def _count_classes(data: Data) -> torch.Tensor:
    """Return the number of training pixels or images of each class: (K,) float32."""
    counts = torch.zeros(len(data.classes), dtype=torch.float64)
    for target in data.whole("train").targets:
        counts += torch.bincount(target.reshape(-1), minlength=len(counts))
    return counts.float()


def _count_binary(data: Data) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the numbers of positive and negative training pixels or images of each output: two of (outputs,)."""
    positive, total = torch.zeros(data.outputs, dtype=torch.float64), 0
    for target in data.whole("train").targets:
        truth = in_regions(target[None], data.regions)[0] if data.regions else target.reshape(data.outputs, -1)
        truth = truth.reshape(data.outputs, -1)
        positive += (truth > 0).sum(dim=1)
        total += truth.shape[1]
    return positive.float(), (total - positive).float()
