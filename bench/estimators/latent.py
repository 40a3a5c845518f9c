"""Latent mutual information: autoencoders that predict each other compress both sides, then neighbours are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bench.errors import EstimationError
from bench.estimators.autoencoders import Autoencoders
from bench.estimators.base import Answer, Estimator, above_zero, at_least, null_of, variables_of
from bench.estimators.held_out import features, generator_of, split
from bench.estimators.ksg import KSG
from bench.estimators.statistic import Statistic
from bench.information.permutations import permuted_groups
from bench.information.reductions import Distances
from bench.information.statistics import normal_interval
from bench.information.variables import Variable

LEAST_GROUPS = 40  # so that the parts for training, stopping and testing hold several groups each
SHARES = (3, 1)  # of the groups of the other folds, for training and stopping


def latent(t, y, *, rng: np.random.Generator, groups=None, **settings) -> float:
    """Estimate I(T;Y) from latent variables of both sides, in bits.

    An autoencoder of each side has a few latent columns, from which a decoder reconstructs both sides. Both are trained
    together. The estimate is I(Z_T;Z_Y) of the latent columns of samples that the networks were not trained on, by
    `ksg` with the variant `mixture`. By the data-processing inequality it is at most I(T;Y), up to the error of `ksg`.
    A label enters the autoencoders as one column per class, and the estimate is I(Z_T;Y).

    Args:
        t: (n, ...) floats.
        y: (n, ...) floats, or (n,) integers: labels.
        rng: Generator of parts, mini-batches and initial weights.
        groups: (n,) the group of each sample, at least 40 of them. Groups stay whole. For each fold, networks are
            trained on 3/4 of the other groups and stopped by the last 1/4.
        **settings: Arguments of `Latent`.

    Returns:
        The mean over the folds in bits. It can be negative.

    References:
        Gowri et al. 2024, NeurIPS, arXiv 2409.02732, with networks of one hidden layer, and with folds in place of one
        split. There, the own reconstruction has the same weight as that of the other side.

    Examples:
        >>> t, noise = np.random.default_rng(0).normal(size=(2, 400, 1))
        >>> round(latent(t, t + noise, rng=np.random.default_rng(0)), 1)  # truth 0.5
        0.5
    """
    t, target, _ = variables_of(t, y, groups=groups)
    estimator = Latent(**settings)
    estimator.check(t, target)
    return float(estimator.bits_of_orders(t, target, [np.arange(t.n)], rng)[0])


@dataclass(frozen=True)
class HeldOut:
    """The samples of one fold: their rows (m,), their groups (m,), and the KSG statistic of their latent columns."""

    rows: np.ndarray
    groups: np.ndarray
    statistic: Statistic


class Latent(Estimator):
    """Estimator `latent`: the information between latent variables of held-out samples, in bits.

    The null permutes the pairs of held-out samples and keeps the networks. They were trained on other samples, so that
    without information all pairings of the held-out samples have the same probability. The interval is for these
    networks too. It combines the delete-half jackknife of each fold.

    Args:
        latent: Latent columns of each side.
        hidden: Units of the hidden layer of each encoder and decoder. An encoder also has a linear map.
        reconstruction: Weight of the error of a side from its own latent columns. From those of the other side, the
            weight is 1.
        components: A side with more columns enters by this number of leading principal coordinates.
        k: Number of neighbours.
        folds: Number of test parts.
        batch_size: Samples in a training batch.
        steps: Largest number of training steps.
        rate: Initial learning rate.
        noise: Standard deviation of a noise channel on t, in units of t's (`add_noise`). None means no channel.
        permutations: Number of permutations of the null.
        subsamples: Number of halves of each fold for the interval.

    Examples:
        >>> t, noise = np.random.default_rng(0).normal(size=(2, 400, 1))
        >>> round(Latent().estimate(t, t + noise, rng=np.random.default_rng(0)).bits, 1)  # truth 0.5
        0.5
    """

    reads = (Distances(),)
    diverges = True

    def __init__(
        self,
        latent: int = 2,
        hidden: int = 32,
        reconstruction: float = 0.1,
        components: int = 128,
        k: int = 3,
        folds: int = 2,
        batch_size: int = 256,
        steps: int = 500,
        rate: float = 5e-3,
        noise: float | None = None,
        permutations: int = 20,
        subsamples: int = 20,
    ):
        self.latent = at_least("latent", latent, 1)
        self.hidden = at_least("hidden", hidden, 1)
        self.reconstruction = above_zero("reconstruction", reconstruction)
        self.components = at_least("components", components, 1)
        self.k = at_least("k", k, 1)
        self.folds = at_least("folds", folds, 2)
        self.batch_size = at_least("batch_size", batch_size, 4)
        self.steps = at_least("steps", steps, 1)
        self.rate = above_zero("rate", rate)
        self.noise = None if noise is None else above_zero("noise", noise)
        self.permutations = at_least("permutations", permutations, 2)
        self.subsamples = at_least("subsamples", subsamples, 2)

    @property
    def settings(self) -> dict:
        names = [
            "latent",
            "hidden",
            "reconstruction",
            "components",
            "k",
            "folds",
            "batch_size",
            "steps",
            "rate",
            "noise",
        ]
        return {name: getattr(self, name) for name in names}

    def check(self, t, target, given=None):
        super().check(t, target, given)
        groups, least = len(np.unique(t.groups)), max(LEAST_GROUPS, 8 * self.folds)
        if groups < least:
            raise EstimationError(
                f"got {groups} groups of samples, wanted at least {least} for training, stopping and testing"
            )

    def answer(self, t, target, given, rng):
        folds = [one for (one,) in self.folded(t, target, [np.arange(t.n)], rng)]
        found = [one.statistic.with_error(one.groups, self.subsamples, rng) for one in folds]
        bits, errors = np.transpose(found)
        draws = [self._permuted(folds, target, rng) for _ in range(self.permutations)]
        interval = normal_interval(bits.mean(), np.sqrt((errors**2).sum()) / len(folds))
        ceiling = float(np.mean([one.statistic.ceiling() for one in folds]))
        return Answer(interval.mean, interval.bounds, null_of(draws), ceiling)

    def bits_of_orders(self, t, target, orders, rng):
        folds = self.folded(t, target, orders, rng)
        return np.mean([[one.statistic.observed() for one in fold] for fold in folds], axis=0)

    def folded(
        self, t: Variable, target: Variable, orders: Sequence[np.ndarray], rng: np.random.Generator
    ) -> list[list[HeldOut]]:
        """Train autoencoders for each fold and each order of the target, and return the held-out samples of each."""
        groups, rows = np.unique(t.groups, return_inverse=True)[1], np.arange(t.n)
        neighbours = KSG("mixture", self.k)
        folds = []
        for test in split(groups, rows, np.ones(self.folds), rng):
            training, stopping = split(groups, np.setdiff1d(rows, test), SHARES, rng)
            x = torch.from_numpy(features(t, self.components, training)).float()
            y = torch.from_numpy(self._columns(target, training)[np.stack(orders)]).float()
            nets = Autoencoders(x, y, self.latent, self.hidden, self.reconstruction, generator_of(rng))
            nets.fit(training, stopping, self.batch_size, self.steps, self.rate, rng)
            fold = []
            for order, of_t, of_target in zip(orders, *nets.latents(test), strict=True):
                read = of_target if target.labels is None else target.labels[order][test]
                sides = Variable.of(of_t, groups[test]), Variable.of(read, groups[test])
                fold.append(HeldOut(test, groups[test], neighbours.statistic(*sides)))
            folds.append(fold)
        return folds

    def _permuted(self, folds: list[HeldOut], target: Variable, rng: np.random.Generator) -> float:
        """Return the mean bits of the folds after one permutation: of labels as the target draws it, else of a fold."""
        if target.labels is None:
            return float(np.mean([one.statistic.permuted(permuted_groups(one.groups, rng)) for one in folds]))
        labels = target.shuffled(rng, discrete=True)
        return float(np.mean([one.statistic.bits(labels[one.rows]) for one in folds]))

    def _columns(self, target: Variable, training: np.ndarray) -> np.ndarray:
        """Return the columns (n, k) of the target that the autoencoders read. A label has one column per class."""
        if target.labels is None:
            return features(target, self.components, training)
        members = (target.labels[:, None] == np.unique(target.labels)).astype(np.float64)
        return (members - members.mean(axis=0)) / members.std(axis=0)
