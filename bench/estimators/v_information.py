"""What a probe reads off a representation: held-out lower bound of the information about a label."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from bench.errors import EstimationError
from bench.estimators.base import Answer, Estimator, above_zero, at_least, null_of
from bench.estimators.conditional import permuted_given
from bench.estimators.held_out import clustered_error, features, generator_of, one_hot, split, trained
from bench.reductions import Distances

MOST_AT_ONCE = 3e7  # numbers in the largest tensor of probes trained together: 0.1 GB, of which autograd holds several
UNSEEN = 0.5  # added to the count of each class, so that one without training samples has a finite log share


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
        parts = list(self._parts(t.groups, rng))
        own, labels = np.arange(t.n), [target.labels]
        if given is None:
            rows = own[None]
            labels += [target.shuffled(rng, discrete=True) for _ in range(self.permutations)]
        else:
            rows = np.stack([own, *permuted_given(given, t.groups, self.permutations, rng)])
        labels = np.unique(labels, return_inverse=True)[1].reshape(-1, t.n)
        shares = np.stack([np.log2(np.bincount(codes) / t.n)[codes] for codes in labels])
        gains = np.empty((self.permutations + 1, t.n))
        for training, stopping, test in parts:
            of_t = features(t, self.components, training)
            if given is None:
                gains[:, test] = self._logs([of_t], rows, labels, training, stopping, test, rng) - shares[:, test]
                continue
            of_given = one_hot(given.labels) if given.labels is not None else features(given, self.components, training)
            alone = self._logs([of_given], own[None], labels, training, stopping, test, rng)
            gains[:, test] = self._logs([of_t, of_given], rows, labels, training, stopping, test, rng) - alone
        bits, error = gains[0].mean(), 1.96 * clustered_error(gains[0], t.groups)
        return Answer(bits, (bits - error, bits + error), null_of(gains[1:].mean(axis=1)), np.inf)

    def _parts(self, groups: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, ...]]:
        """Rows to train on, to stop by and to test on, for each fold."""
        count = len(np.unique(groups))
        if count < 2 * self.folds:
            raise EstimationError(
                f"got {count} groups of samples, wanted at least {2 * self.folds} for {self.folds} folds"
            )
        rows = np.arange(len(groups))
        for test in split(groups, rows, np.ones(self.folds), rng):
            training, stopping = split(groups, np.setdiff1d(rows, test), (3, 1), rng)
            yield training, stopping, test

    def _logs(self, sides, rows, labels, training, stopping, test, rng) -> np.ndarray:
        """log2 q(y|t) of the test part, (sets, m): the first side moved by rows (sets or 1, n), the others in place."""
        classes, columns = labels.max() + 1, sum(side.shape[1] for side in sides)
        first = torch.randn(columns, self.hidden or 1, generator=generator_of(rng)) * (2 / columns) ** 0.5
        sets, moves = max(len(rows), len(labels)), len(rows) > 1
        at_once = max(1, int(MOST_AT_ONCE / len(training) / (moves * columns + (self.hidden or 0) + classes)))
        sides = [torch.from_numpy(side).float() for side in sides]
        logs = []
        for left in range(0, sets, at_once):
            here = slice(left, left + at_once)
            moved = rows[here] if moves else rows
            x = torch.stack([torch.cat([sides[0][order], *sides[1:]], dim=1) for order in moved])
            y = torch.from_numpy(labels if moves else labels[here])
            logs.append(self._fit(x, y, int(classes), first, training, stopping, test))
        return torch.cat(logs).numpy() / np.log(2)

    def _fit(self, x, y, classes, first, training, stopping, test) -> torch.Tensor:
        """Features (sets or 1, n, d) and labels (sets or 1, n) -> log q of the test part; one probe for each set."""
        sets = max(len(x), len(y))
        y = y.expand(sets, -1)
        counts = torch.nn.functional.one_hot(y[:, training], classes).sum(dim=1) + UNSEEN
        shares = (counts / counts.sum(dim=1, keepdim=True)).log()[:, None]
        if self.hidden is None:
            weights = [x.new_zeros(sets, x.shape[2], classes), shares]
        else:
            hidden = [first.repeat(sets, 1, 1), x.new_zeros(sets, 1, self.hidden)]
            weights = [*hidden, x.new_zeros(sets, self.hidden, classes), shares]

        def logs(rows):
            part = x[:, rows]
            z = torch.einsum("nd,sdk->snk", part[0], weights[0]) if len(x) == 1 else part @ weights[0]
            z = z + weights[1]
            if self.hidden is not None:
                z = torch.baddbmm(weights[3], z.relu(), weights[2])
            return z.log_softmax(dim=2).gather(2, y[:, rows, None])[..., 0]

        trained(
            weights, lambda: -logs(training).mean(dim=1), lambda: -logs(stopping).mean(dim=1), self.steps, self.rate
        )
        return logs(test)
