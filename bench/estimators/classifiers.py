"""Softmax classifiers, linear or with one hidden layer. One for each fold and set of samples, trained at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn.functional import one_hot
from torch.nn.utils.rnn import pad_sequence

from bench.estimators.held_out import trained

PSEUDO_COUNT = 0.5  # added to each class, so that a class without training samples has a finite log share

Part = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows for training, stopping and testing


class Classifiers:
    """Classifiers q(y|x), one for each fold and set. Each starts as the shares of the classes in its training part.

    Args:
        x: (folds, n, d) float32, the columns that all sets share.
        y: (sets, n) integers below `classes`.
        classes: Number of classes.
        parts: Rows of each fold. The test parts of all folds together are all samples.
        moving: (folds, n, k) further columns. Sample i of set s has row rows[s, i] of them.
        rows: (sets, n) integers.
        initial: (folds, k + d, hidden) initial weights of the hidden layer of every set. None for linear classifiers.
    """

    def __init__(
        self,
        x: torch.Tensor,
        y: torch.Tensor,
        classes: int,
        parts: Sequence[Part],
        *,
        moving: torch.Tensor | None = None,
        rows: torch.Tensor | None = None,
        initial: torch.Tensor | None = None,
    ):
        self.x, self.y, self.parts, self.moving, self.rows = x, y, parts, moving, rows
        self.shape = len(parts), len(y)  # folds, sets
        self.columns = [0 if moving is None else moving.shape[2], x.shape[2]]
        each = len(parts) * len(y)
        counts = torch.stack([one_hot(y[:, training], classes).sum(dim=1) + PSEUDO_COUNT for training, *_ in parts])
        shares = (counts / counts.sum(dim=2, keepdim=True)).log().view(each, 1, classes)
        if initial is None:
            self.weights = [x.new_zeros(each, sum(self.columns), classes), shares]
        else:
            units = initial.shape[2]
            self.weights = [
                initial.repeat_interleave(len(y), dim=0),
                x.new_zeros(each, 1, units),
                x.new_zeros(each, units, classes),
                shares,
            ]

    def fit(self, steps: int, rate: float) -> Classifiers:
        """Train all classifiers, for at most `steps` steps from learning rate `rate`."""
        trained(self.weights, self._loss(0), self._loss(1), steps, rate)
        return self

    def log_likelihoods(self) -> torch.Tensor:
        """Compute ln q(y|x) of each sample, (sets, n), by the classifiers of the fold that tests on it."""
        everyone = torch.arange(self.y.shape[1]).expand(len(self.parts), -1)
        of_folds = self._log_likelihoods_of(everyone)().unflatten(0, self.shape)
        tested = torch.empty_like(self.y[0])
        for fold, (*_, test) in enumerate(self.parts):
            tested[test] = fold
        return of_folds[tested, :, torch.arange(len(tested))].mT

    def _loss(self, part: int) -> Callable[[], torch.Tensor]:
        """Return a function that computes the mean of -ln q over a part of each fold, (folds x sets,).

        Shorter parts are padded with samples of weight 0.
        """
        samples = [torch.from_numpy(fold[part]) for fold in self.parts]
        weights = pad_sequence([torch.full((len(fold),), 1 / len(fold)) for fold in samples], batch_first=True)
        weights = weights.repeat_interleave(len(self.y), dim=0)
        log_likelihoods = self._log_likelihoods_of(pad_sequence(samples, batch_first=True))
        return lambda: -(log_likelihoods() * weights).sum(dim=1)

    def _log_likelihoods_of(self, samples: torch.Tensor) -> Callable[[], torch.Tensor]:
        """Return a function that computes ln q(y|x), (folds x sets, m), of samples (folds, m) with its weights."""
        x = torch.stack([side[here] for side, here in zip(self.x, samples, strict=True)])
        y = self.y[:, samples].transpose(0, 1).flatten(0, 1)[:, None]
        moved = None if self.rows is None else self.rows[:, samples].transpose(0, 1)[:, :, None]

        def by_the_weights() -> torch.Tensor:
            weights, bias, *outer = self.weights
            of_moving, in_place = weights.unflatten(0, self.shape).split(self.columns, dim=2)
            z = _products(in_place, x)
            if self.moving is not None and moved is not None:
                # the products are reordered for each set, since copies of the columns would be slow
                z = z + _products(of_moving, self.moving).gather(3, moved.expand_as(z))
            z = z.flatten(0, 1) + bias.mT
            if outer:
                z = torch.baddbmm(outer[1].mT, outer[0].mT, z.relu())
            return z.log_softmax(dim=1).gather(1, y)[:, 0]

        return by_the_weights


def _products(weights: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Multiply weights (folds, sets, d, units) by columns (folds, m, d): (folds, sets, units, m)."""
    return (weights.mT.flatten(1, 2) @ x.mT).unflatten(1, (weights.shape[1], -1))
