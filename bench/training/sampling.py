"""Sampling: the samples of an epoch, shuffled or balanced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import torch

from bench.datasets.data import Data


class Draw(NamedTuple):
    """A sample of an epoch: its row in the training split, and how often this epoch has drawn it before."""

    epoch: int
    row: int
    repeat: int


def balanced_weights(data: Data) -> torch.Tensor:
    """Return the probability of each training sample in an epoch in which all classes are equally likely.

    A class is drawn, and then a sample that has it. A sample of several classes counts for each of them. Samples
    without foreground, or without labels, are a class of their own. In a binary segmentation, half of the images
    therefore have foreground, if there are images with and without it. Patches of volumes are balanced on the
    foreground in addition, by the transform that draws them.

    Returns:
        (n,) float64 with sum 1.

    References:
        Class-aware sampling: Shen et al. 2016, arXiv 1512.05830.

    Examples:
        >>> from dataclasses import replace
        >>> from bench.datasets import phantoms
        >>> data = phantoms("classification", classes=2, n=(4, 2, 2), size=16)
        >>> train = replace(data.train, targets=torch.tensor([0, 0, 0, 1]))
        >>> balanced_weights(replace(data, train=train)).tolist()
        [0.16666666666666666, 0.16666666666666666, 0.16666666666666666, 0.5]
    """
    whole = data.whole("train")
    has = torch.zeros(len(whole), len(data.classes) + 1, dtype=torch.float64)  # the last one: none of the classes
    for row in range(len(whole)):
        target = whole.targets[row].long()
        if data.task == "multilabel":
            has[row, :-1] = target
        else:
            has[row, :-1] = torch.bincount(target.reshape(-1), minlength=len(data.classes)) > 0
    if data.task == "segmentation":
        has[:, 0] = 0  # all images have background
    has[:, -1] = ~has[:, :-1].any(dim=1)
    has = has[:, has.any(dim=0)]
    return (has / has.sum(dim=0)).mean(dim=1)


class Draws:
    """The batches of draws of an epoch, and of the next one at the next iteration."""

    def __init__(self, count: int, patches: int, size: int, seed: int, weights: torch.Tensor | None):
        self.count = count
        self.patches = patches
        self.size = size
        self.weights = weights
        self.generator = torch.Generator().manual_seed(seed)
        self.epoch = 0

    def __iter__(self) -> Iterator[list[Draw]]:
        self.epoch += 1
        if self.weights is None:
            rows = torch.randperm(self.count * self.patches, generator=self.generator) % self.count
        else:
            many = self.count * self.patches
            rows = torch.multinomial(self.weights, many, replacement=True, generator=self.generator)
        drawn: Counter[int] = Counter()
        for part in rows.split(self.size):
            batch = []
            for row in part.tolist():
                batch.append(Draw(self.epoch, row, drawn[row]))
                drawn[row] += 1
            yield batch
