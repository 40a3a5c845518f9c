"""Neural lower bounds of mutual information: a critic learns the log density ratio of pairs and of products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch.nn.functional import softplus

from bench.errors import EstimationError
from bench.estimators.base import Answer, Estimator, above_zero, at_least, null_of, variables_of
from bench.estimators.held_out import features, generator_of, split, trained
from bench.estimators.ratio import Ratio
from bench.information.reductions import Distances
from bench.information.statistics import normal_interval, standard_error
from bench.information.variables import Variable

SHARES = (0.5, 0.2, 0.3)  # of the groups, for training, stopping and testing
BATCHES = 4  # of the stopping part and of the test part, each compared with the whole part
LEAST_GROUPS = 40  # so that each of these parts holds several groups
EVERY, PATIENCE = 20, 300  # steps
SPIKE = 2.0  # a critic sharper than its embeddings allow has gradients that would undo what it learned
DECAY = 0.99  # of MINE's moving average, for each step


def critic(
    t,
    y,
    bound: Literal["infonce", "nwj", "mine", "smile"] = "infonce",
    *,
    rng: np.random.Generator,
    groups=None,
    **settings,
) -> float:
    """Estimate a variational lower bound of I(T;Y) on samples that the critic was not trained on, in bits.

    Pairs are (t_i, y_i) of one sample. Products are (t_i, y_j) of two samples of different groups; for a label, y_j has
    the shares of the classes. The critic is f(t, y) = a(t) + b(y) - s |u(t) - v(y)|². This is an inner product of
    embeddings with biases, written so that it becomes sharp easily. The bounds are

    - infonce: <f - ln mean_j exp f(t, y_j)>, at most log2 of the number of samples in the mean;
    - nwj: <f> + 1 - <exp f>;
    - mine: <f> - ln <exp f>, with a moving average in its gradient;
    - smile: the same with exp f clipped to exp ±clip, for a critic trained to separate pairs from products.

    The last three have no upper limit, and a large variance at many bits.

    Args:
        t: (n, ...) floats.
        y: (n, ...) floats, or (n,) integers: labels.
        bound: Name of the bound.
        rng: Generator of parts, mini-batches and initial weights.
        groups: (n,) the group of each sample, at least 40 of them. Groups stay whole: half of them train, a fifth stop
            the training, and the others test.
        **settings: Arguments of `Critic`.

    Returns:
        The bound in bits. It is negative if the critic is bad.

    References:
        van den Oord et al. 2018, arXiv 1807.03748; Nguyen et al. 2010, arXiv 0809.0853; Belghazi et al. 2018,
        arXiv 1801.04062; Song & Ermon 2020, arXiv 1910.06222.

    Examples:
        >>> t, noise = np.random.default_rng(0).normal(size=(2, 1000, 1))
        >>> round(critic(t, t + noise / 3, steps=200, rng=np.random.default_rng(0)), 1)  # truth 1.7
        1.4
    """
    t, target, _ = variables_of(t, y, groups=groups)
    estimator = Critic(bound, **settings)
    estimator.check(t, target)
    return float(estimator.bounds(t, target, 0, rng)[0].mean())


class Critic(Estimator):
    """Estimator `critic`: a variational lower bound on held-out samples, in bits.

    The estimate is the mean over 4 batches of the test part, each compared with the whole part. Their standard error
    gives the interval.

    Args:
        bound: `infonce`, `nwj`, `mine` or `smile`.
        hidden: Units in each of the two hidden layers.
        embedding: Columns of the embeddings u and v.
        components: A side with more columns enters by this number of leading principal coordinates.
        batch_size: Samples in a training batch.
        steps: Largest number of training steps.
        rate: Initial learning rate.
        clip: Of smile, in nats.
        noise: Standard deviation of a noise channel on t, in units of t's (`add_noise`). None means no channel.
        permutations: Number of permutations of the null. Each has a critic of its own.

    Examples:
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

    def check(self, t, target, given=None):
        super().check(t, target, given)
        groups = len(np.unique(t.groups))
        if groups < LEAST_GROUPS:
            raise EstimationError(
                f"got {groups} groups of samples, wanted at least {LEAST_GROUPS} for training, stopping and testing"
            )

    def answer(self, t, target, given, rng):
        values, ceiling = self.bounds(t, target, self.permutations, rng)
        found = normal_interval(values[:, 0].mean(), standard_error(values[:, 0]))
        return Answer(found.mean, found.bounds, null_of(values[:, 1:].mean(axis=0)), ceiling)

    def bounds(
        self, t: Variable, target: Variable, permutations: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, float]:
        """Train one critic for the target and one for each permutation of it.

        Returns:
            The bounds (batches, 1 + permutations) on each batch of the test part, in bits, and the ceiling.
        """
        groups = np.unique(t.groups, return_inverse=True)[1]
        training, stopping, test = split(groups, np.arange(t.n), SHARES, rng)
        checks, tests = (split(groups, part, np.ones(BATCHES), rng) for part in (stopping, test))
        sides = features(t, self.components, training), self._targets(target, permutations, training, rng)
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
        ceiling = np.inf
        if self.bound == "infonce":
            ceiling = float(np.mean([ratio.among(rows, test).sum(dim=1).log2().mean() for rows in tests]))
        return torch.stack([bound(rows, test) for rows in tests]).numpy() / np.log(2), ceiling

    def _targets(self, target: Variable, permutations: int, training: np.ndarray, rng) -> np.ndarray:
        """Return the target and its permutations (sets, n, k). A label has one column per class."""
        discrete = self.discrete(target)
        own = target.numbered() if discrete else np.arange(target.n)
        sets = np.stack([own, *(target.shuffled(rng, discrete) for _ in range(permutations))])
        if discrete:
            return (sets[:, :, None] == np.unique(sets)).astype(np.float64)
        return features(target, self.components, training)[sets]

    def _bound(self, own: torch.Tensor, scores: torch.Tensor, logs: torch.Tensor) -> torch.Tensor:
        """Compute the bound in nats.

        Args:
            own: (sets, m) f at pairs.
            scores: (sets, m, k) f at products.
            logs: (m, k) the logarithms of the products' weights.

        Returns:
            (sets,) nats.
        """
        if self.bound == "infonce":
            return (own - (scores + logs).logsumexp(dim=2)).mean(dim=1)
        if self.bound == "nwj":
            return own.mean(dim=1) + 1 - (scores + logs).exp().sum(dim=(1, 2))
        if self.bound == "smile":
            scores = scores.clamp(-self.clip, self.clip)
        return own.mean(dim=1) - (scores + logs).logsumexp(dim=(1, 2))

    def _objective(self) -> Callable[..., torch.Tensor]:
        """Return the function (sets,) that training minimises. It has the arguments of `_bound`."""
        average = None

        def mine(own, scores, logs):
            nonlocal average
            now = (scores + logs).logsumexp(dim=(1, 2))
            new = now.detach()
            average = new if average is None else torch.logaddexp(average + np.log(DECAY), new + np.log(1 - DECAY))
            return (now - average).exp() - own.mean(dim=1)

        def cross_entropy(own, scores, logs):
            return softplus(-own).mean(dim=1) + (softplus(scores) * logs.exp()).sum(dim=(1, 2))

        return {"mine": mine, "smile": cross_entropy}.get(self.bound, lambda *f: -self._bound(*f))
