"""What a probe reads off a representation: held-out lower bound of the information about a label."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import one_hot

from bench.errors import EstimationError
from bench.estimators.base import Answer, Estimator, above_zero, at_least, null_of
from bench.estimators.classifiers import Classifiers, Part
from bench.estimators.conditional import permuted_given
from bench.estimators.held_out import features, generator_of, split
from bench.information.reductions import Distances
from bench.information.statistics import clustered_standard_error, normal_interval
from bench.information.variables import Variable

MOST_AT_ONCE = 3e7  # numbers in the largest tensor of probes trained together: 0.1 GB, of which autograd holds several


class VInformation(Estimator):
    """I(T;Y) >= mean_i log2 q(y_i|t_i) / p(y_i), q a probe that hasn't seen sample i (Barber-Agakov bound).

    p: the class shares, so that it is plug-in H(Y) minus cross-entropy; below 0 where chance has it. V-information, V
    the family of such probes. Whole groups make `folds` test parts; for each, the probe is trained on 3/4 of the other
    groups and stopped by the last 1/4. Interval: the standard error clustered by group, for these probes as trained.

    Given C it is the predictive gain: the bound for (t, C) minus that for C alone, on the same parts. As a difference
    of two bounds it is no bound itself. Its null leaves target and C in place (`permuted_given`).

    hidden: None for a linear probe, else units of one hidden layer. components: of wider variables, as many leading
    principal coordinates are read. steps: of Adam, at most. rate: of learning. permutations: of the null, each with
    probes of its own.
    Source: Barber & Agakov 2003, NeurIPS; Xu et al. 2020, arXiv 2002.10689, definition 2.

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
        if target.labels is None:
            raise EstimationError(
                "got a continuous target, wanted labels, which a probe predicts; cut it into classes, or take an "
                "estimator of densities"
            )
        parts = self._parts(t.groups, rng)
        labels = [target.labels]
        if given is None:
            labels += [target.shuffled(rng, discrete=True) for _ in range(self.permutations)]
        else:
            rows = np.stack([np.arange(t.n), *permuted_given(given, t.groups, self.permutations, rng)])
        labels = np.unique(labels, return_inverse=True)[1].reshape(-1, t.n)
        of_t = self._columns(t, parts)
        if given is None:
            shares = np.stack([np.log2(np.bincount(codes) / t.n)[codes] for codes in labels])
            gains = self._log_likelihoods(of_t, labels, parts, rng) - shares
        else:
            of_given = self._columns(given, parts)
            alone = self._log_likelihoods(of_given, labels, parts, rng)
            gains = self._log_likelihoods(of_given, labels, parts, rng, moving=of_t, rows=rows) - alone
        found = normal_interval(gains[0].mean(), clustered_standard_error(gains[0], t.groups))
        return Answer(found.mean, found.bounds, null_of(gains[1:].mean(axis=1)), np.inf)

    def _parts(self, groups: np.ndarray, rng: np.random.Generator) -> list[Part]:
        """Rows to train on, to stop by and to test on, for each fold."""
        count = len(np.unique(groups))
        if count < 2 * self.folds:
            raise EstimationError(
                f"got {count} groups of samples, wanted at least {2 * self.folds} for {self.folds} folds"
            )
        rows = np.arange(len(groups))
        tests = split(groups, rows, np.ones(self.folds), rng)
        return [(*split(groups, np.setdiff1d(rows, test), (3, 1), rng), test) for test in tests]

    def _columns(self, side: Variable, parts: list[Part]) -> torch.Tensor:
        """(folds, n, columns) float32: what the probe of each fold reads."""
        if side.labels is not None:
            codes = np.unique(side.labels, return_inverse=True)[1]
            return one_hot(torch.from_numpy(codes)).float().expand(len(parts), -1, -1)
        read = [torch.from_numpy(features(side, self.components, training)).float() for training, *_ in parts]
        return torch.stack(read)

    def _log_likelihoods(self, x, labels, parts, rng, moving=None, rows=None) -> np.ndarray:
        """log2 q(y|x) of each sample, (sets, n), by the probe of the fold that tests on it.

        Sets are of labels (sets, n), or of rows (sets, n) that say which of `moving` is read in place of each sample.
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
