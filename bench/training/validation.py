"""Validation: the loss and the score of a network on validation data, and the classes that it predicts there."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch

from bench.datasets.data import Data
from bench.datasets.splits import in_regions
from bench.errors import TrainingError
from bench.training.evaluate import mean_score, part_scores
from bench.training.losses import Loss
from bench.training.predictions import predictions
from bench.training.segmentation import predicted_classes

SAME = 1e-3  # logits of two images that differ by less are equal


@dataclass(frozen=True)
class Predicted:
    """What a network predicts on validation data.

    Attributes:
        distinct: The distinct predictions, as by `distinct_predictions`.
        missed: Names of the classes, or regions, that the labels have and the network never predicts.
    """

    distinct: frozenset[int] = frozenset()
    missed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Validated:
    """The results of a network on validation data.

    Attributes:
        loss: Its mean loss.
        score: Its score.
        predicted: What it predicts.
    """

    loss: float
    score: float
    predicted: Predicted


def validate(model: torch.nn.Module, data: Data, loss: Loss, epoch: int) -> Validated:
    """Compute the results of a network on validation data.

    Args:
        model: The network.
        data: The dataset.
        loss: Function from logits and targets to a mean over samples.
        epoch: The epoch of its weights, for the error.

    Raises:
        TrainingError: The loss or the score is not finite.
    """
    losses, counts, scores = [], [], []
    distinct, predicted, labelled = set[int](), set[int](), set[int]()
    for logits, targets in predictions(model, data, "val"):
        counts.append(len(targets))
        losses.append(require_finite(float(loss(logits, targets)), "validation loss", epoch))
        scores.append(part_scores(logits, targets, data))
        distinct |= distinct_predictions(logits, data.task, bool(data.regions))
        for seen, here in zip((predicted, labelled), predicted_and_labelled(logits, targets, data), strict=True):
            seen |= here
    mean_loss = losses[0] if len(losses) == 1 else float(np.average(losses, weights=counts))
    score = require_finite(mean_score(scores, data), "validation score", epoch)
    missed = missed_classes(predicted, labelled, data)
    return Validated(mean_loss, score, Predicted(frozenset(distinct), missed))


def require_finite(value: float, name: str, epoch: int) -> float:
    """Return a number of an epoch.

    Raises:
        TrainingError: It is not finite.
    """
    if not math.isfinite(value):
        raise TrainingError(
            f"{name}: got {value} in epoch {epoch}, wanted a finite number; "
            "lower train.optimizer.lr or check the images for NaN"
        )
    return value


def distinct_predictions(logits: torch.Tensor, task: str, overlap: bool = False) -> frozenset[int]:
    """Return the classes that a network predicts, at any pixel and for any image.

    For multi-label data, a network that predicts no label for any image can still rank the images. The result then is
    {0} if the logits of all images are equal, else {0, 1}. For regions that overlap, 1 is a pixel in any region.

    Args:
        logits: (n, outputs, *spatial).
        task: Task of the data.
        overlap: Whether the outputs are regions that may overlap.
    """
    if task == "multilabel":
        spread = (logits.amax(dim=0) - logits.amin(dim=0)).max()
        return frozenset({0} if spread < SAME else {0, 1})
    predicted = (logits > 0).any(dim=1).long() if overlap else predicted_classes(logits)
    return frozenset(torch.bincount(predicted.flatten()).nonzero().flatten().tolist())


def predicted_and_labelled(logits: torch.Tensor, targets: torch.Tensor, data: Data) -> list[frozenset[int]]:
    """Return the classes, or regions, that a network predicts and those that the labels have, at any pixel.

    Labels of multi-label data can be rare and still rank the images, so that both are empty for them.

    Args:
        logits: (n, outputs, *spatial).
        targets: Targets of a `Split`.
        data: The dataset.

    Returns:
        Predicted and labelled: positions in `data.regions`, or in `data.classes` without regions.
    """
    if data.task in ("multilabel", "reconstruction"):
        return [frozenset(), frozenset()]
    if data.regions:
        masks = logits > 0, in_regions(targets, data.regions) > 0
        present = [mask.transpose(0, 1).flatten(1).any(dim=1) for mask in masks]
    else:
        present = [torch.bincount(each.flatten().long()) for each in (predicted_classes(logits), targets)]
    return [frozenset(each.nonzero().flatten().tolist()) for each in present]


def missed_classes(predicted: Collection[int], labelled: Collection[int], data: Data) -> tuple[str, ...]:
    """Return the names of the classes, or regions, that the labels have and the network never predicts.

    Examples:
        >>> from bench.datasets import phantoms
        >>> missed_classes({0}, {0, 1}, phantoms("segmentation", n=(1, 1, 1), size=16))
        ('organ',)
    """
    names = tuple(data.regions or data.classes)
    return tuple(names[each] for each in sorted(set(labelled) - set(predicted)))


def describe_missed(missed: Collection[str]) -> str:
    """Format what `missed_classes` returns.

    Examples:
        >>> describe_missed(["lesion"])
        'classes of the validation data that the network never predicts: lesion'
    """
    return f"classes of the validation data that the network never predicts: {', '.join(missed)}"
