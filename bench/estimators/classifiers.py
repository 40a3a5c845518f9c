"""Softmax classifiers, linear or of one hidden layer: one for each fold and each set of labels, trained at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn.functional import one_hot
from torch.nn.utils.rnn import pad_sequence

from bench.estimators.held_out import trained

PSEUDO_COUNT = 0.5  # of each class, so that one without training samples has a finite log share

Part = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows to train on, to stop by and to test on


class Classifiers:
    """q(y|x) by a classifier for each fold and set, that starts as the shares of the classes where it is trained.

    x: (folds, sets, n, d) float32; 1 in place of sets where all read the same. y: (sets, n) integers below `classes`.
    parts: of each fold; together, the test parts are all samples.
    initial: (folds, d, hidden) weights that every set's hidden layer starts from; None for linear classifiers.
    """

    def __init__(
        self,
        x: torch.Tensor,
        y: torch.Tensor,
        classes: int,
        parts: Sequence[Part],
        initial: torch.Tensor | None = None,
    ):
        self.x, self.y, self.parts = x, y, parts
        self.shape = len(parts), len(y)  # folds, sets
        each = len(parts) * len(y)
        counts = torch.stack([one_hot(y[:, training], classes).sum(dim=1) + PSEUDO_COUNT for training, *_ in parts])
        shares = (counts / counts.sum(dim=2, keepdim=True)).log().view(each, 1, classes)
        if initial is None:
            self.weights = [x.new_zeros(each, x.shape[3], classes), shares]
        else:
            units = initial.shape[2]
            self.weights = [
                initial.repeat_interleave(len(y), dim=0),
                x.new_zeros(each, 1, units),
                x.new_zeros(each, units, classes),
                shares,
            ]

    def fit(self, steps: int, rate: float) -> Classifiers:
        trained(self.weights, self._loss(0), self._loss(1), steps, rate)
        return self

    def log_likelihoods(self) -> torch.Tensor:
        """ln q(y|x), (sets, n), of each sample by the classifiers of the fold that tests on it."""
        of_folds = self._log_likelihoods(self.x, self.y.expand(len(self.parts), -1, -1)).unflatten(0, self.shape)
        tested = torch.empty_like(self.y[0])
        for fold, (*_, test) in enumerate(self.parts):
            tested[test] = fold
        return of_folds[tested, :, torch.arange(len(tested))].mT

    def _loss(self, part: int) -> Callable[[], torch.Tensor]:
        """The mean of -ln q over a part of each fold, (folds x sets,); shorter parts are filled up at weight 0."""
        rows = [torch.from_numpy(fold[part]) for fold in self.parts]
        weights = pad_sequence([torch.full((len(fold),), 1 / len(fold)) for fold in rows], batch_first=True)
        weights = weights.repeat_interleave(len(self.y), dim=0)
        rows = pad_sequence(rows, batch_first=True)
        x = torch.stack([side[:, here] for side, here in zip(self.x, rows, strict=True)])
        y = self.y[:, rows].transpose(0, 1)
        return lambda: -(self._log_likelihoods(x, y) * weights).sum(dim=1)

    def _log_likelihoods(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """(folds, sets or 1, m, d) and (folds, sets, m) -> (folds x sets, m)."""
        weights, bias, *outer = self.weights
        z = torch.einsum("fsmd,fsdk->fskm", x, weights.unflatten(0, self.shape)).flatten(0, 1) + bias.mT
        if outer:
            z = torch.baddbmm(outer[1].mT, outer[0].mT, z.relu())
        return z.log_softmax(dim=1).gather(1, y.flatten(0, 1)[:, None])[:, 0]
