"""Nearest-neighbour information of Kraskov, Stögbauer and Grassberger, and what it became for labels and mixtures."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from scipy.special import digamma

from bench.errors import EstimationError
from bench.estimators.base import at_least
from bench.estimators.channel import Noised
from bench.estimators.neighbours import Cloud, clouds, equal_rows
from bench.estimators.resampled import Statistic
from bench.information.reductions import Distances
from bench.information.variables import Variable


class KSG(Noised):
    """I(T;Y) = ψ(k) + ψ(n) - <ψ(n_t + 1) + ψ(n_y + 1)>, in bits, below 0 where chance has it.

    n_t, n_y: samples closer in t, in y, than the k-th neighbour is in both. Given C: <ψ(k) - ψ(n_tc + 1) - ψ(n_yc + 1)
    + ψ(n_c + 1)>. The distance in several variables is the largest of theirs, each divided by its variable's root mean
    square; within a variable it is Euclidean, or the largest difference of any column where all variables hold their
    samples and have at most 8 columns together. Labels are at distance 0 or infinity: with one, the estimator is that
    of Ross. In a class of k or fewer, the k-th neighbour is the last; a sample alone in its class is left out.

    variant: 1; 2, in which t and y have distances of their own (two continuous variables alone, else as 1); `mixture`,
    for samples with ties: ψ(k) is then of 1 + those closer in both, or where the k-th is at distance 0, equal in both.
    k: neighbours; more for less variance and more bias. noise: of a channel on t, its standard deviation in units of
    t's (`noised`). Ceiling ψ(n) - ψ(k), for labels ψ(n) - <ψ(samples in the own class)>.
    Source: Kraskov et al. 2004, Phys. Rev. E 69:066138, eq. 8 and 9; Ross 2014, PLoS ONE 9:e87357; Frenzel & Pompe
    2007, Phys. Rev. Lett. 99:204101; Gao et al. 2017, arXiv 1709.06212 and their code; with C and ties, Mesner &
    Shalizi 2020, arXiv 1912.03387.

    >>> t, noise = np.random.default_rng(0).normal(size=(2, 1000, 1))
    >>> round(KSG(k=5).estimate(t, t + noise, rng=np.random.default_rng(0)).bits, 1)  # truth 0.5
    0.5
    """

    reads = (Distances(),)
    conditional = True

    def __init__(
        self,
        variant: Literal[1, 2, "mixture"] = 1,
        k: int = 3,
        noise: float | None = None,
        permutations: int = 20,
        subsamples: int = 20,
    ):
        if variant not in (1, 2, "mixture"):
            raise ValueError(f"variant: got {variant!r}, wanted 1, 2 or mixture")
        super().__init__(noise)
        self.variant = variant
        self.k = at_least("k", k, 1)
        self.permutations = at_least("permutations", permutations, 2)
        self.subsamples = at_least("subsamples", subsamples, 2)

    @property
    def settings(self) -> dict:
        return {"variant": self.variant, "k": self.k, "noise": self.noise}

    def statistic(self, t, target, given):
        t = replace(t, labels=None) if t.continuous else t
        if self.variant != "mixture":
            require_continuous({"t": t, "the target": target, "what is given": given})
        of_t, of_target, of_given = clouds(t, target, given)

        def at(rows):
            order = np.argsort(rows)  # the order of pairs is free, and that of the samples asks for no copy of theirs
            own = of_t.at(rows[order])

            def bits(partners):
                discrete, partners = target.labels is not None, partners[order]
                return self._bits(own, Cloud.labels(partners) if discrete else of_target.at(partners), None)

            return bits

        def at_given(rows):
            c = of_given.at(rows)
            y_c = of_target.at(rows).joined(c)
            return lambda moved: self._bits(of_t.at(moved), y_c, c)

        ceiling = np.inf if target.labels is not None else self._ceiling(t, target, given)
        return Statistic(at if given is None else at_given, lambda rows: ceiling)

    def _bits(self, t: Cloud, y_c: Cloud, c: Cloud | None) -> float:
        joint = t.joined(y_c)
        kept = np.flatnonzero(joint.sizes > 1)
        require_samples(len(kept), self.k)
        if len(kept) < joint.m:
            t, y_c, c, joint = (cloud and cloud.at(kept) for cloud in (t, y_c, c, joint))
        if self.variant == 2 and c is None and joint.classes is None:
            return second_variant(t, y_c, joint.metric.nearest(self.k), self.k) / np.log(2)
        radius = joint.radius(self.k)
        n_tc, n_yc = (cloud.closer(radius) + 1 for cloud in (t.joined(c), y_c))
        k = self.k if self.variant != "mixture" and joint.classes is None else joint.closer(radius) + 1
        whole = self._whole(joint.m) if c is None else digamma(c.closer(radius) + 1)
        return (digamma(k) - digamma(n_tc) - digamma(n_yc) + whole).mean() / np.log(2)

    def _whole(self, n: int) -> float:
        """Gao et al. take the logarithm."""
        return np.log(n) if self.variant == "mixture" else digamma(n)

    def _ceiling(self, t: Variable, target: Variable, given: Variable | None) -> float:
        """For n_tc + 1 and n_yc + 1 as few as k, and as the ties, allow."""
        sides = [v for v in (t, target, given) if v is not None]
        labels = [v for v in sides if v.labels is not None]
        in_class = equal_rows(*labels) if labels else np.full(t.n, t.n)
        kept = in_class > 1
        ties = any(equal_rows(v).max() > 1 for v in sides if v.labels is None)
        k = 1 if ties else np.minimum(self.k, in_class[kept] - 1)
        least = max(digamma(np.maximum(k, equal_rows(side, given, among=kept))).mean() for side in (t, target))
        if given is None:
            whole = self._whole(kept.sum())
        else:
            whole = digamma(kept.sum() if given.labels is None else equal_rows(given, among=kept)).mean()
        if self.variant == 2 and given is None and not labels:
            whole -= 1 / self.k
        return (whole - least) / np.log(2)


def second_variant(t: Cloud, y: Cloud, nearest: np.ndarray, k: int) -> float:
    """ψ(k) - 1/k - <ψ(n_t) + ψ(n_y)> + ψ(n) in nats; n_t, n_y: no farther than the farthest of the k nearest is."""
    counts = [side.closer(np.nextafter(side.metric.reach(nearest), np.inf)) for side in (t, y)]
    return digamma(k) - 1 / k - sum(digamma(count).mean() for count in counts) + digamma(t.m)


def require_samples(n: int, k: int) -> None:
    if n < k + 2:
        raise EstimationError(
            f"got {n} samples in classes of at least 2, wanted at least {k + 2} for k={k}, in each half too"
        )


def require_continuous(variables: dict[str, Variable | None]) -> None:
    """Neighbour distances in a density: no ties, and at least one variable that has one."""
    continuous = {name: v for name, v in variables.items() if v is not None and v.labels is None}
    if not continuous:
        raise EstimationError("got labels alone, wanted a continuous variable; use variant=mixture")
    for name, variable in continuous.items():
        equal = equal_rows(variable)
        if equal[0] == variable.n:
            raise EstimationError(f"got identical rows of {name}, wanted rows that differ")
        if equal.max() > 1:
            raise EstimationError(
                f"got {(equal > 1).sum()} duplicated rows of {name}, wanted none: a density has no ties; use "
                "variant=mixture of KSG, or a noise channel on t"
            )
