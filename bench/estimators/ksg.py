"""Nearest-neighbour mutual information of Kraskov, Stögbauer and Grassberger, also for labels and for mixtures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.special import digamma

from bench.errors import EstimationError
from bench.estimators.base import above_zero, at_least, switch, variables_of
from bench.estimators.neighbours import Cloud, Metric, clouds, equal_rows
from bench.estimators.resampled import Resampled
from bench.estimators.statistic import Statistic
from bench.information.reductions import Distances
from bench.information.variables import Variable


def ksg(t, y, k: int = 3, variant: Literal[1, 2, "mixture"] = 1, given=None) -> float:
    """Estimate I(T;Y), or I(T;Y|C), from the neighbours of each sample, in bits.

    I(T;Y) = ψ(k) + ψ(n) - <ψ(n_t + 1) + ψ(n_y + 1)>, where n_t samples are closer in t, and n_y in y, than the k-th
    neighbour in both. I(T;Y|C) = <ψ(k) - ψ(n_tc + 1) - ψ(n_yc + 1) + ψ(n_c + 1)>.

    The distance in several variables is the largest of their distances, each divided by the root mean square of its
    variable. Within a variable the distance is the largest difference of any column, or the Euclidean distance if all
    variables together have more than 8 columns. Two labels have distance 0 or infinity. With a label the estimator is
    that of Ross. In a class of k samples or fewer, the last neighbour counts as the k-th. A sample alone in its class
    is left out.

    Args:
        t: (n, ...) floats; also (n,) integers if the variant is `mixture` or another variable is continuous.
        y: (n, ...) floats, or (n,) integers: labels.
        k: Number of neighbours. More neighbours give less variance and more bias.
        variant: 1; 2, in which t and y have distances of their own (equal to 1 with labels or `given`); or `mixture`,
            for samples with ties: ψ(k) is then of 1 + the number of samples closer in both, or equal in both if the
            k-th neighbour is at distance 0, and ψ(n) is ln n without `given`.
        given: (n, ...) floats or (n,) integers, the third variable C.

    Returns:
        I(T;Y) or I(T;Y|C) in bits. It can be negative.

    Raises:
        EstimationError: The samples have ties (unless the variant is `mixture`) or are fewer than k + 2.

    References:
        Kraskov et al. 2004, Phys. Rev. E 69:066138, eq. 8 and 9. Labels: Ross 2014, PLoS ONE 9:e87357. With C: Frenzel
        & Pompe 2007, Phys. Rev. Lett. 99:204101. Mixtures: Gao et al. 2017, arXiv 1709.06212; with C, Mesner & Shalizi
        2020, arXiv 1912.03387.

    Examples:
        >>> t, noise = np.random.default_rng(0).normal(size=(2, 1000, 1))
        >>> round(ksg(t, t + noise, k=5), 1)  # truth 0.5
        0.5
    """
    return KSG(variant, k).statistic(*variables_of(t, y, given)).observed()


@dataclass(frozen=True, eq=False)
class Neighbourhoods(Statistic):
    """Numbers of close samples among samples `rows`, and the information that follows from them.

    Attributes:
        variables: t, the target and the given variable or None.
        clouds: The distances of each.
        k: Number of neighbours.
        variant: 1, 2 or `mixture`.
    """

    variables: tuple[Variable, Variable, Variable | None]
    clouds: tuple[Cloud, Cloud, Cloud | None]
    k: int
    variant: Literal[1, 2, "mixture"]

    def bits(self, partners):
        t, yc, c = self._paired(partners)
        joint = t.joined(yc)
        kept = np.flatnonzero(joint.sizes > 1)
        require_samples(len(kept), self.k)
        if len(kept) < joint.m:
            t, yc, c, joint = (cloud and cloud.at(kept) for cloud in (t, yc, c, joint))
        if self.variant == 2 and c is None and joint.classes is None:
            return second_variant(t.metric, yc.metric, joint.metric.nearest(self.k), self.k) / np.log(2)
        radius = joint.radius(self.k)
        n_tc, n_yc = (cloud.closer(radius) + 1 for cloud in (t.joined(c), yc))
        k = self.k if self.variant != "mixture" and joint.classes is None else joint.closer(radius) + 1
        n = self._psi_of_all(joint.m) if c is None else digamma(c.closer(radius) + 1)
        return (digamma(k) - digamma(n_tc) - digamma(n_yc) + n).mean() / np.log(2)

    def ceiling(self):
        """Return the bits for counts n_tc + 1 and n_yc + 1 as small as k and the ties allow; inf for a label."""
        t, target, given = self.variables
        if target.labels is not None:
            return np.inf
        sides = [v for v in (t, target, given) if v is not None]
        labels = [v for v in sides if v.labels is not None]
        in_class = equal_rows(*labels) if labels else np.full(t.n, t.n)
        kept = in_class > 1
        ties = any(equal_rows(v).max() > 1 for v in sides if v.labels is None)
        k = 1 if ties else np.minimum(self.k, in_class[kept] - 1)
        least = max(digamma(np.maximum(k, equal_rows(side, given, among=kept))).mean() for side in (t, target))
        if given is None:
            whole = self._psi_of_all(kept.sum())
        else:
            whole = digamma(kept.sum() if given.labels is None else equal_rows(given, among=kept)).mean()
        if self.variant == 2 and given is None and not labels:
            whole -= 1 / self.k
        return (whole - least) / np.log(2)

    def _paired(self, partners: np.ndarray) -> tuple[Cloud, Cloud, Cloud | None]:
        """Return the clouds of t, of the target joined with C, and of C, in this pairing."""
        t, y, c = self.clouds
        if c is not None:
            yc, c = self._fixed
            return t.at(partners), yc, c
        partners = partners[self._order]
        return self._fixed[0], Cloud.labels(partners) if y.metric is None else y.at(partners), None

    @cached_property
    def _order(self) -> np.ndarray:
        """Sorted row numbers of all samples need no copy of their distances, and the order of pairs is free."""
        return np.argsort(self.rows)

    @cached_property
    def _fixed(self) -> tuple[Cloud, ...]:
        """The clouds that are the same in every pairing: t; with C, the target joined with C, and C."""
        t, y, c = self.clouds
        if c is None:
            return (t.at(self.rows[self._order]),)
        c = c.at(self.rows)
        return y.at(self.rows).joined(c), c

    def _psi_of_all(self, n: int) -> float:
        """Return ψ(n), or the logarithm that Gao et al. take for mixtures."""
        return np.log(n) if self.variant == "mixture" else digamma(n)


class KSG(Resampled):
    """Estimator `ksg`: information from the neighbours of each sample, in bits.

    A streamed variable has Euclidean distances. The ceiling is ψ(n) - ψ(k) in bits, and lower with ties. With labels
    there is none.

    Args:
        variant: 1, 2 or `mixture`.
        k: Number of neighbours.
        noise: Standard deviation of a noise channel on t, in units of t's (`add_noise`). None means no channel.
        permutations: Number of permutations of the null.
        subsamples: Number of halves for the interval.
        extrapolate: Whether to extrapolate to infinitely many samples (`Extrapolated`).

    Examples:
        >>> t, noise = np.random.default_rng(0).normal(size=(2, 1000, 1))
        >>> round(KSG(k=5).estimate(t, t + noise, rng=np.random.default_rng(0)).bits, 1)  # truth 0.5
        0.5
    """

    reads = (Distances(),)
    conditional = True
    diverges = True

    def __init__(
        self,
        variant: Literal[1, 2, "mixture"] = 1,
        k: int = 3,
        noise: float | None = None,
        permutations: int = 20,
        subsamples: int = 20,
        extrapolate: bool = False,
    ):
        if variant not in (1, 2, "mixture"):
            raise ValueError(f"variant: got {variant!r}, wanted 1, 2 or mixture")
        self.variant = variant
        self.k = at_least("k", k, 1)
        self.noise = None if noise is None else above_zero("noise", noise)
        self.permutations = at_least("permutations", permutations, 2)
        self.subsamples = at_least("subsamples", subsamples, 2)
        self.extrapolate = switch("extrapolate", extrapolate)

    @property
    def settings(self) -> dict:
        return {"variant": self.variant, "k": self.k, "noise": self.noise, "extrapolate": self.extrapolate}

    def statistic(self, t, target, given=None):
        t = replace(t, labels=None) if t.continuous else t
        if self.variant != "mixture":
            require_continuous({"t": t, "the target": target, "the given variable": given})
        rows = np.arange(t.n)
        partners = target.labels if target.labels is not None and given is None else rows
        sides = t, target, given
        return Neighbourhoods(rows, partners, sides, tuple(clouds(*sides)), self.k, self.variant)


def second_variant(t: Metric, y: Metric, nearest: np.ndarray, k: int) -> float:
    """Compute ψ(k) - 1/k - <ψ(n_t) + ψ(n_y)> + ψ(n) in nats.

    n_t, n_y: numbers of samples at most as far in t, or in y, as the farthest of the k nearest in both.

    Args:
        t: Distances of m samples.
        y: Distances of their partners.
        nearest: (m, k + 1) the nearest samples in both, with the sample itself.
        k: Number of neighbours.
    """
    counts = [side.closer(slice(None), np.nextafter(side.reach(nearest), np.inf)) for side in (t, y)]
    return digamma(k) - 1 / k - sum(digamma(count).mean() for count in counts) + digamma(len(nearest))


def require_samples(n: int, k: int) -> None:
    """Raise EstimationError if n samples are too few for k neighbours."""
    if n < k + 2:
        raise EstimationError(
            f"got {n} samples in classes of at least 2, wanted at least {k + 2} for k={k}, in each half too; take "
            "more samples or lower k"
        )


def require_continuous(variables: dict[str, Variable | None]) -> None:
    """Raise EstimationError unless at least one of the variables is continuous, and none of those has ties."""
    continuous = {name: v for name, v in variables.items() if v is not None and v.labels is None}
    if not continuous:
        raise EstimationError("got labels alone, wanted a continuous variable; use variant=mixture")
    for name, variable in continuous.items():
        equal = equal_rows(variable)
        if equal[0] == variable.n:
            raise EstimationError(f"got identical rows of {name}, wanted rows that differ")
        if equal.max() > 1:
            raise EstimationError(
                f"got {(equal > 1).sum()} duplicated rows of {name}, wanted none, since a density has no ties; use "
                "variant=mixture of KSG, or a noise channel on t"
            )
