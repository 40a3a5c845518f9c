"""Objectives: check, before training, that a run will log the metrics that a sweeper optimises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch.nn.functional import one_hot

from bench.datasets.data import Data
from bench.datasets.splits import Split, in_regions
from bench.errors import InputError
from bench.training.cost import cost
from bench.training.evaluate import evaluate

OF_ALL = ("summary/best_epoch", "summary/val_score", "val/loss", "val/score")
OF_LAYERS = ("layers.*/*", "profile/*")  # patterns, because the names contain taps and estimators


def check_objectives(
    objectives: Sequence[str] | None, network: torch.nn.Module, data: Data, logged: Sequence[str], epochs: int
) -> None:
    """Check that the run will log every objective.

    Args:
        objectives: Names of metrics, or None.
        network: Network of the run.
        data: Data of the run.
        logged: Names and patterns of the metrics of the diagnostics.
        epochs: Number of epochs of training.

    Raises:
        InputError: If the run will not log an objective.
    """
    if objectives is None:
        return
    costs = cost(network, data.test.images[:1])
    known = [*OF_ALL, *(["train/loss"] if epochs else []), *(f"cost/{name}" for name in costs), *metrics_of_test(data)]
    for name in objectives:
        if not any(fnmatchcase(name, pattern) for pattern in (*known, *logged, *OF_LAYERS)):
            raise InputError(
                f"objectives: got {name!r}, wanted metrics of the run, any of {', '.join(sorted([*known, *logged]))}"
            )


def metrics_of_test(data: Data) -> list[str]:
    """List the names of the metrics of an evaluation on test data in which all metrics are defined.

    Examples:
        >>> from bench.datasets import phantoms
        >>> metrics_of_test(phantoms("classification", n=(2, 2, 2), size=16))[:3]
        ['test/accuracy', 'test/accuracy_low', 'test/accuracy_high']
    """
    targets = _all_classes(data)
    if data.task == "multilabel":
        logits = 2.0 * targets - 1
    elif data.regions:
        logits = 2.0 * in_regions(targets, data.regions) - 1
    else:
        shown = one_hot(targets, len(data.classes)).movedim(-1, 1)
        logits = (shown[:, 1:] if data.outputs == 1 else shown) * 2.0 - 1
    names = tuple(str(number) for number in range(len(targets)))
    spacing = None if data.whole("test").spacing is None else np.ones((len(targets), len(data.image_size)))
    right = Split(logits, targets, np.array(names), names, spacing)
    metrics, _ = evaluate(_Repeat(), replace(data, train=right, val=right, test=right, volumes=None), "test", seed=0)
    return [f"test/{name}" for name in metrics]


def _all_classes(data: Data) -> torch.Tensor:
    """Build at least 2 targets: each mask has every class, and each label is set in one target and not in another."""
    classes = len(data.classes)
    if data.task == "segmentation":
        axes = len(data.image_size)
        stripes = torch.arange(classes).view(1, classes, *[1] * (axes - 1))
        return stripes.expand(2, classes, *[2] * (axes - 1))
    if data.task == "multilabel":
        return torch.tensor([[0], [1]]).expand(2, classes)
    return torch.arange(classes).repeat(2)


class _Repeat(torch.nn.Module):
    """Network that returns its input, for images that contain the correct logits."""

    def __init__(self):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(()))  # the device of the parameters is the device of the network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images
