"""Neural lower bounds of information: a critic learns the log density ratio of pairs and of products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch.nn.functional import softplus

from bench.errors import EstimationError
from bench.estimators.base import Answer, Estimator, above_zero, at_least, null_of
from bench.estimators.channel import noised
from bench.estimators.held_out import features, generator_of, split, trained
from bench.estimators.ratio import Ratio
from bench.information.reductions import Distances
from bench.information.statistics import normal_interval, standard_error
from bench.information.variables import Variable

SHARES = (0.5, 0.2, 0.3)  # of the groups, to train on, to stop by and to test on
BATCHES = 4  # of the stopping and of the test part, each taken against the whole part
LEAST_GROUPS = 40  # so that each of those parts holds several groups
EVERY, PATIENCE = 20, 300  # steps
SPIKE = 2.0  # a critic sharper than its embeddings match has gradients that would undo what it learned
KEPT = 0.99  # of MINE's moving average, each step


class Critic(Estimator):
    """A variational lower bound of I(T;target) on samples that the critic hasn't seen, in bits; below 0 where f is bad.

    Pairs are those of one sample, products those of two samples of different groups; p(y) of a label is its shares.
    f(t, y) = a(t) + b(y) - s |u(t) - v(y)|², an inner product of embeddings and biases, but easy to make sharp.
    infonce: <f - ln mean_j exp f(t, y_j)>, ceiling log2 of the samples in the mean. nwj: <f> + 1 - <exp f>. mine:
    <f> - ln <exp f>, its gradient with a moving average. smile: the same with exp f between exp ±clip, of a critic
    trained to tell pairs from products. The last three have no ceiling and, at many bits, a large variance.

    Groups stay whole: half of them train, a fifth stops the training, and the rest test: the bound is its mean over 4
    batches of them, each against all of them, its interval their standard error. components: of wider variables, as
    many leading principal coordinates are read. noise: of a channel on t, its standard deviation in units of t's
    (`noised`). permutations: of the null, each with a critic of its own.
    Source: van den Oord et al. 2018, arXiv 1807.03748; Nguyen et al. 2010, arXiv 0809.0853; Belghazi et al. 2018,
    arXiv 1801.04062; Song & Ermon 2020, arXiv 1910.06222.

    >>> t, noise = np.random.default_rng(0).normal(size=(2, 1000, 1))
    >>> critic = Critic("infonce", steps=200, permutations=2)
    >>> round(critic.estimate(t, t + noise / 3, rng=np.random.default_rng(0)).bits, 1)  # truth 1.7
    1.4
    """

    reads = (Distances(),)
    diverges = True

    def __init__(
        self,
        bound: Literal["infonce", "nwj", "mine", "smile"],
        hidden: int = 64,
        embedding: int = 16,
        components: int = 64,
        batch_size: int = 256,
        steps: int = 1500,
        rate: float = 2e-3,
        clip: float = 5.0,
        noise: float | None = None,
        permutations: int = 4,
    ):
        if bound not in ("infonce", "nwj", "mine", "smile"):
            raise ValueError(f"bound: got {bound!r}, wanted infonce, nwj, mine or smile")
        self.bound = bound
        self.hidden = at_least("hidden", hidden, 1)
        self.embedding = at_least("embedding", embedding, 1)
        self.components = at_least("components", components, 1)
        self.batch_size = at_least("batch_size", batch_size, 4)
        self.steps = at_least("steps", steps, 1)
        self.rate = above_zero("rate", rate)
        self.clip = above_zero("clip", clip)
        self.noise = None if noise is None else above_zero("noise", noise)
        self.permutations = at_least("permutations", permutations, 2)

    @property
    def settings(self) -> dict:
        names = ("bound", "hidden", "embedding", "components", "batch_size", "steps", "rate", "clip", "noise")
        return {name: getattr(self, name) for name in names}

    def answer(self, t, target, given, rng):
        groups = np.unique(t.groups, return_inverse=True)[1]
        if groups.max() + 1 < LEAST_GROUPS:
            raise EstimationError(
                f"got {groups.max() + 1} groups of samples, wanted at least {LEAST_GROUPS}, for parts to train on, to "
                "stop by and to test on"
            )
        t = t if self.noise is None else noised(t, self.noise, rng)
        training, stopping, test = split(groups, np.arange(t.n), SHARES, rng)
        checks, tests = (split(groups, part, np.ones(BATCHES), rng) for part in (stopping, test))
        sides = features(t, self.components, training), self._targets(target, training, rng)
        shares = None if target.labels is None else sides[1][0].mean(axis=0)
        ratio = Ratio(*sides, groups, shares, self.hidden, self.embedding, generator_of(rng))
        objective = self._objective()

        def bound(rows, others):
            return self._bound(*ratio.of(rows, others, self.bound == "infonce"))

        def stop():
            return -torch.stack([bound(rows, stopping) for rows in checks]).mean(dim=0)

        def loss():
            rows = rng.choice(training, min(self.batch_size, len(training)), replace=False)
            return objective(*ratio.of(rows, rows, self.bound == "infonce"))

        trained(ratio.weights, loss, stop, self.steps, self.rate, patience=PATIENCE, every=EVERY, spike=SPIKE)
        values = torch.stack([bound(rows, test) for rows in tests]).numpy() / np.log(2)  # (batches, sets)
        found = normal_interval(values[:, 0].mean(), standard_error(values[:, 0]))
        ceiling = np.inf
        if self.bound == "infonce":
            ceiling = np.mean([ratio.among(rows, test).sum(dim=1).log2().mean() for rows in tests])
        return Answer(found.mean, found.bounds, null_of(values[:, 1:].mean(axis=0)), ceiling)

    def _targets(self, target: Variable, training: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(sets, n, k): the target as it is, and shuffled for each permutation; a label has a column a class."""
        discrete = self.discrete(target)
        own = target.labels if discrete else np.arange(target.n)
        sets = np.stack([own, *(target.shuffled(rng, discrete) for _ in range(self.permutations))])
        if discrete:
            return (sets[:, :, None] == np.unique(sets)).astype(np.float64)
        return features(target, self.components, training)[sets]

    def _bound(self, own: torch.Tensor, scores: torch.Tensor, logs: torch.Tensor) -> torch.Tensor:
        """Nats (sets,) of f at pairs (sets, m) and at products (sets, m, k) with the logarithms of their weights."""
        if self.bound == "infonce":
            return (own - (scores + logs).logsumexp(dim=2)).mean(dim=1)
        if self.bound == "nwj":
            return own.mean(dim=1) + 1 - (scores + logs).exp().sum(dim=(1, 2))
        if self.bound == "smile":
            scores = scores.clamp(-self.clip, self.clip)
        return own.mean(dim=1) - (scores + logs).logsumexp(dim=(1, 2))

    def _objective(self) -> Callable[..., torch.Tensor]:
        """What training lowers, (sets,)."""
        average = None

        def mine(own, scores, logs):
            nonlocal average
            now = (scores + logs).logsumexp(dim=(1, 2))
            new = now.detach()
            average = new if average is None else torch.logaddexp(average + np.log(KEPT), new + np.log(1 - KEPT))
            return (now - average).exp() - own.mean(dim=1)

        def told_apart(own, scores, logs):
            return softplus(-own).mean(dim=1) + (softplus(scores) * logs.exp()).sum(dim=(1, 2))

        return {"mine": mine, "smile": told_apart}.get(self.bound, lambda *f: -self._bound(*f))
