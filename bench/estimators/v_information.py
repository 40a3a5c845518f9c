"""Information about a label that a probe reads from a representation: a lower bound on held-out samples."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import one_hot

from bench.errors import EstimationError
from bench.estimators.base import Answer, Estimator, above_zero, at_least, null_of, variables_of
from bench.estimators.classifiers import Classifiers, Part
from bench.estimators.held_out import features, generator_of, split
from bench.estimators.resampled import permuted_given
from bench.information.reductions import Distances
from bench.information.statistics import clustered_standard_error, normal_interval
from bench.information.variables import Variable, plug_in_entropy

MOST_AT_ONCE = 3e7  # entries of the largest tensor of probes trained together: 0.1 GB, and autograd holds several

CONTINUOUS = (
    "got a continuous target, wanted labels, which a probe predicts; cut it into classes, or use an estimator of "
    "densities, such as ksg"
)


def probe(t, y, *, rng: np.random.Generator, given=None, groups=None, **settings) -> float:
    """Estimate a lower bound of I(T;Y) by a probe on samples that it was not trained on, in bits.

    The bound is mean_i log2 q(y_i|t_i) / p(y_i), where q is the probe and p the shares of the classes: the plug-in H(Y)
    minus the cross-entropy. It is also the V-information of the family V of such probes. Whole groups make the test
    parts. For each part, the probe is trained on 3/4 of the other groups and stopped by the last 1/4.

    With C, the estimate is the predictive gain: the bound of (t, C) minus the bound of C alone, on the same parts. The
    difference of two bounds is no bound of I(T;Y|C).

    Args:
        t: (n, ...) floats, or (n,) integers: labels.
        y: (n,) integers, the labels.
        rng: Generator of parts and initial weights.
        given: (n, ...) floats or (n,) integers, the third variable C.
        groups: (n,) the group of each sample, such as a patient. None makes each sample a group.
        **settings: Arguments of `VInformation`.

    Returns:
        The bound or the gain in bits. It can be negative.

    References:
        Barber & Agakov 2003, NeurIPS; Xu et al. 2020, arXiv 2002.10689, definition 2.

    Examples:
        >>> y = np.repeat([0, 1], 50)
        >>> round(probe(1.0 * y[:, None], y, rng=np.random.default_rng(0)), 1)
        1.0
    """
    return float(VInformation(**settings).gains(*variables_of(t, y, given, groups), 0, rng)[0].mean())


class VInformation(Estimator):
    """Estimator `probe`: a lower bound of the information about a label on held-out samples, in bits.

    The interval is the standard error clustered by group, for these probes as trained. The null of a predictive gain
    permutes t and keeps target and C in place (`permuted_given`). There is no ceiling.

    Args:
        hidden: Units of one hidden layer. None means a linear probe.
        components: A side with more columns enters by this number of leading principal coordinates.
        folds: Number of test parts.
        steps: Largest number of training steps.
        rate: Initial learning rate.
        permutations: Number of permutations of the null. Each has probes of its own.

    Examples:
        >>> y = np.repeat([0, 1], 50)
        >>> round(VInformation().estimate(1.0 * y[:, None], y, rng=np.random.default_rng(0)).bits, 1)
        1.0
    """

    reads = (Distances(),)
    conditional = True

    def __init__(
        self,
        hidden: int | None = None,
        components: int = 256,
        folds: int = 4,
        steps: int = 300,
        rate: float = 0.03,
        permutations: int = 20,
    ):
        self.hidden = None if hidden is None else at_least("hidden", hidden, 1)
        self.components = at_least("components", components, 1)
        self.folds = at_least("folds", folds, 2)
        self.steps = at_least("steps", steps, 1)
        self.rate = above_zero("rate", rate)
        self.permutations = at_least("permutations", permutations, 2)

    @property
    def settings(self) -> dict:
        return {name: getattr(self, name) for name in ("hidden", "components", "folds", "steps", "rate")}

    def answer(self, t, target, given, rng):
        gains = self.gains(t, target, given, self.permutations, rng)
        found = normal_interval(gains[0].mean(), clustered_standard_error(gains[0], t.groups))
        return Answer(found.mean, found.bounds, null_of(gains[1:].mean(axis=1)), np.inf)

    def bits_of_orders(self, t, target, orders, rng):
        if target.labels is None:
            raise EstimationError(CONTINUOUS)
        parts = self._parts(t.groups, rng)
        labels = np.unique(target.labels, return_inverse=True)[1]
        sets = np.stack([labels[order] for order in orders])
        entropy = plug_in_entropy(labels)
        return entropy + self._log_likelihoods(self._columns(t, parts), sets, parts, rng).mean(axis=1)

    def gains(
        self, t: Variable, target: Variable, given: Variable | None, permutations: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Train probes for the target and for each permutation.

        Returns:
            (1 + permutations, n) bits: the log likelihood of each label minus the log of its share, or minus its log
            likelihood by a probe of the given variable alone.
        """
        if target.labels is None:
            raise EstimationError(CONTINUOUS)
        parts = self._parts(t.groups, rng)
        sets = [target.labels]
        if given is None:
            sets += [target.shuffled(rng, discrete=True) for _ in range(permutations)]
        else:
            rows = np.stack([np.arange(t.n), *permuted_given(given, t.groups, permutations, rng)])
        labels = np.unique(sets, return_inverse=True)[1].reshape(-1, t.n)
        of_t = self._columns(t, parts)
        if given is None:
            shares = np.stack([np.log2(np.bincount(codes) / t.n)[codes] for codes in labels])
            return self._log_likelihoods(of_t, labels, parts, rng) - shares
        of_given = self._columns(given, parts)
        alone = self._log_likelihoods(of_given, labels, parts, rng)
        return self._log_likelihoods(of_given, labels, parts, rng, moving=of_t, rows=rows) - alone

    def _parts(self, groups: np.ndarray, rng: np.random.Generator) -> list[Part]:
        """Draw the rows of each fold for training, stopping and testing."""
        count = len(np.unique(groups))
        if count < 2 * self.folds:
            raise EstimationError(
                f"got {count} groups of samples, wanted at least {2 * self.folds} for {self.folds} folds"
            )
        rows = np.arange(len(groups))
        tests = split(groups, rows, np.ones(self.folds), rng)
        parts = []
        for test in tests:
            training, stopping = split(groups, np.setdiff1d(rows, test), (3, 1), rng)
            parts.append((training, stopping, test))
        return parts

    def _columns(self, side: Variable, parts: list[Part]) -> torch.Tensor:
        """Return the input (folds, n, columns) float32 of the probe of each fold."""
        if side.labels is not None:
            codes = np.unique(side.labels, return_inverse=True)[1]
            return one_hot(torch.from_numpy(codes)).float().expand(len(parts), -1, -1)
        read = [torch.from_numpy(features(side, self.components, training)).float() for training, *_ in parts]
        return torch.stack(read)

    def _log_likelihoods(self, x, labels, parts, rng, moving=None, rows=None) -> np.ndarray:
        """Compute log2 q(y|x) of each sample, by the probe of the fold that tests on it.

        Args:
            x: (folds, n, d) columns that do not move.
            labels: (sets, n), or (1, n) if `rows` defines the sets.
            parts: Rows of each fold.
            rng: Generator of initial weights.
            moving: (folds, n, k) further columns, which move.
            rows: (sets, n) the sample whose `moving` columns each sample gets.

        Returns:
            (sets, n) bits.
        """
        classes, width = int(labels.max() + 1), self.hidden or 0
        columns = x.shape[2] + (0 if moving is None else moving.shape[2])
        initial = None
        if self.hidden is not None:
            initial = torch.randn(len(parts), columns, width, generator=generator_of(rng)) * (2 / columns) ** 0.5
        sets = len(labels) if rows is None else len(rows)
        y = torch.from_numpy(labels).expand(sets, -1)
        at_once = max(1, int(MOST_AT_ONCE / labels.shape[1] / len(parts) / (width + classes)))
        logs = []
        for left in range(0, sets, at_once):
            here = slice(left, left + at_once)
            moved = None if rows is None else torch.from_numpy(rows[here])
            probes = Classifiers(x, y[here], classes, parts, moving=moving, rows=moved, initial=initial)
            logs.append(probes.fit(self.steps, self.rate).log_likelihoods())
        return torch.cat(logs).numpy() / np.log(2)
