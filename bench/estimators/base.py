"""Estimator: a statistic of two variables, and the safeguards that every number carries."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.errors import EstimationError
from bench.tables import Estimate, Null
from bench.variables import Reduction, Variable, plug_in_entropy


@dataclass(frozen=True)
class Statistic:
    """What an estimator makes of two variables.

    bits(rows, partners): the estimate from t at `rows` (m,), each paired with the target at `partners` (m,).
    ceiling: the most that it could be for these samples.
    """

    bits: Callable[[np.ndarray, np.ndarray], float]
    ceiling: float


class Estimator(ABC):
    """Mutual information in bits between a representation and the input or a label.

    A subclass says which reductions it reads and its statistic; null and interval are the same for all.
    permutations: of the null. subsamples: random halves of the groups, for the interval; at half of the samples
    without replacement, the spread of the statistic is that of the full one (delete-half jackknife).
    """

    permutations: int = 20
    subsamples: int = 20

    @property
    @abstractmethod
    def reads(self) -> tuple[Reduction, ...]:
        """Reductions that continuous variables must hold."""

    @property
    @abstractmethod
    def settings(self) -> dict:
        """Kernel, noise or bins, recorded with every number."""

    @abstractmethod
    def statistic(self, t: Variable, target: Variable) -> Statistic:
        """The statistic of these variables; what all its values share is computed here, once."""

    def pairs(self, target: Variable) -> bool:
        """Whether the statistic reads the pairing with this target, so that a null exists."""
        return True

    def estimate(self, t, target, *, rng: np.random.Generator) -> Estimate:
        """I(t; target) in bits with null, ceiling and interval.

        t: the representation, a Variable or an array (n, ...). target: the input X (floats) or a label (integers; a
        discrete Variable), a Variable or an array of the same n. rng: of the permutations and subsamples.
        Raises EstimationError where the question can't be answered from these samples.
        """
        started = time.perf_counter()
        t, target = (Variable.of(side, self.reads) for side in (t, target))
        if t.n != target.n:
            raise EstimationError(f"got {t.n} samples of t and {target.n} of the target, wanted the same n")
        if target.labels is not None and len(np.unique(target.labels)) < 2:
            raise EstimationError("got a label with one class, wanted at least 2: it has nothing to be informed about")
        if len(np.unique(t.groups)) < 4:
            raise EstimationError("got fewer than 4 groups of samples, wanted more for an interval and a null")
        statistic = self.statistic(t, target)
        rows = rng.permutation(t.n)  # so that consecutive samples make a random mini-batch
        bits = statistic.bits(rows, rows)
        halves = [statistic.bits(half, half) for half in self._halves(t.groups, rng)]
        margin = 1.96 * np.std(halves, ddof=1)
        label_entropy = np.inf if target.labels is None else plug_in_entropy(target.labels)
        return Estimate(
            bits=float(bits),
            interval=(float(bits - margin), float(bits + margin)),
            null=self._null(statistic, rows, t.groups, rng) if self.pairs(target) else None,
            ceiling=float(statistic.ceiling),
            limit=float(min(statistic.ceiling, label_entropy)),
            n=t.n,
            dims=(t.dim, target.dim),
            settings=self.settings,
            seconds=time.perf_counter() - started,
        )

    def _null(self, statistic: Statistic, rows: np.ndarray, groups: np.ndarray, rng) -> Null:
        draws = [statistic.bits(rows, permuted_groups(groups, rng)[rows]) for _ in range(self.permutations)]
        return Null(
            float(np.mean(draws)), float(np.std(draws, ddof=1)), float(np.quantile(draws, 0.95)), self.permutations
        )

    def _halves(self, groups: np.ndarray, rng) -> Iterator[np.ndarray]:
        distinct = np.unique(groups)
        for _ in range(self.subsamples):
            half = rng.choice(distinct, len(distinct) // 2, replace=False)
            yield rng.permutation(np.flatnonzero(np.isin(groups, half)))


def permuted_groups(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A permutation that moves whole groups: (n,) such that row i gets the partner of row order[i].

    Groups are laid end to end in a random order; with one sample a group this is a uniform permutation.
    """
    by_group = np.argsort(groups, kind="stable")
    sizes = np.unique(groups, return_counts=True)[1]
    blocks = np.split(by_group, np.cumsum(sizes)[:-1])
    order = np.empty(len(groups), dtype=np.int64)
    order[by_group] = np.concatenate([blocks[i] for i in rng.permutation(len(blocks))])
    return order


def at_least(name: str, value: int, least: int) -> int:
    """The value, or a ValueError that says got and wanted."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}: got {value!r}, wanted an integer of at least {least}")
    return value


def above_zero(name: str, value: float) -> float:
    if isinstance(value, bool | str) or not value > 0:
        raise ValueError(f"{name}: got {value!r}, wanted a number above 0")
    return value
