"""Estimator: the base class of all estimators, with the checks that every estimate passes."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real

import numpy as np

from bench.errors import EstimationError, EstimatorFailed, explain
from bench.information.estimate import QUANTILE, Estimate, Null
from bench.information.reductions import Reduction
from bench.information.tables import FAILED
from bench.information.variables import Variable, plug_in_entropy

MOST = 10**6  # an upper bound of permutations, units and steps, above what any machine can compute
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """Bits, their 95 % interval, the null where one exists, and the largest value that the estimator can return."""

    bits: float
    interval: tuple[float, float]
    null: Null | None
    ceiling: float


class Estimator(ABC):
    """Estimate mutual information in bits between a representation and the input, a label, or another representation.

    Attributes:
        reads: Reductions that a streamed variable must hold. A variable that holds its samples has all of them.
        permutations: Number of permutations of the null.
        conditional: Whether the estimator accepts a third variable `given`.
        diverges: Whether the estimator reads densities. It then refuses a deterministic layer and a continuous input,
            whose mutual information is infinite, unless `noise` is set.
        noise: Standard deviation of a Gaussian noise channel on t, in units of the standard deviation of t
            (`add_noise`). None means no channel.
    """

    reads: tuple[Reduction, ...] = ()
    permutations: int = 20
    conditional: bool = False
    diverges: bool = False
    noise: float | None = None

    @property
    @abstractmethod
    def settings(self) -> dict:
        """Kernel, noise, bins or network. They are recorded with every number."""

    @abstractmethod
    def answer(self, t: Variable, target: Variable, given: Variable | None, rng: np.random.Generator) -> Answer:
        """Compute the estimate with null, interval and ceiling, for variables that passed the checks of `estimate`."""

    def reordered(
        self, t: Variable, target: Variable, orders: Sequence[np.ndarray], rng: np.random.Generator
    ) -> np.ndarray:
        """Estimate the information between t and each order of the target, without null and interval.

        Args:
            t: The representation.
            target: The target.
            orders: Row numbers (n,). Sample i gets the target order[i].
            rng: Generator of folds and initial weights.

        Returns:
            (orders,) bits.

        Raises:
            EstimationError: These samples do not allow an estimate, or it is not a finite number.
            EstimatorFailed: As in `estimate`.
        """
        with self._failures():
            bits = self.bits_of_orders(t, target, orders, rng)
        if not np.isfinite(bits).all():
            raise EstimationError(f"got {bits[~np.isfinite(bits)][0]} bits, wanted finite numbers")
        return bits

    def bits_of_orders(
        self, t: Variable, target: Variable, orders: Sequence[np.ndarray], rng: np.random.Generator
    ) -> np.ndarray:
        """Compute the bits of `reordered`. A subclass does so faster where the orders share work."""
        return np.array([self.answer(t, target.reordered(order), None, rng).bits for order in orders])

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn an unexpected error of an estimate into EstimatorFailed."""
        try:
            with np.errstate(all="ignore"):  # values that are not finite are refused by the caller
                yield
        except EstimationError:
            raise
        except Exception as error:  # from any library, for values that it was not written for
            if explain(error):  # a known fault that concerns more than this estimate, such as memory
                raise
            log.warning("%s failed; the row of this estimate has the reason", type(self).__name__, exc_info=error)
            raise EstimatorFailed(f"{FAILED}{type(error).__name__}: {' '.join(str(error).split())}") from error

    def pairs(self, target: Variable) -> bool:
        """Return whether the estimate depends on the pairing with this target, so that a null exists."""
        return True

    def discrete(self, target: Variable) -> bool:
        """Return whether the target is read as labels."""
        return target.labels is not None

    def label_entropy(self, target: Variable) -> float:
        """Return the entropy of a label in bits, on the scale of this estimator."""
        assert target.labels is not None
        return plug_in_entropy(target.labels)

    def estimate(self, t, target, *, given=None, rng: np.random.Generator) -> Estimate:
        """Estimate I(t; target) or I(t; target | given) in bits, with null, ceiling and interval.

        Args:
            t: The representation, a Variable or an array (n, ...).
            target: The input X (floats) or a label (integers), a Variable or an array with the same n.
            given: A third variable, in the same form as target.
            rng: Generator of permutations, subsamples, folds and initial weights.

        Returns:
            The Estimate. Its bits are never clipped at 0.

        Raises:
            EstimationError: These samples do not allow the estimate.
            EstimatorFailed: The estimator ended in an unexpected error. It is an EstimationError, so that one estimate
                does not end a run.
        """
        started = time.perf_counter()
        t, target, given = variables_of(t, target, given)
        self.check(t, target, given)
        with self._failures():
            measured = t if self.noise is None else add_noise(t, self.noise, rng)
            found = self.answer(measured, target, given, rng)
        null = () if found.null is None else (found.null.mean, found.null.spread, found.null.quantile)
        if not np.isfinite([found.bits, *found.interval, *null]).all() or np.isnan(found.ceiling):
            raise EstimationError(
                f"got {found.bits} bits from {found.interval[0]} to {found.interval[1]}, ceiling {found.ceiling}, "
                f"wanted finite numbers: {type(self).__name__} has diverged"
            )
        entropy = np.inf if target.labels is None else plug_in_entropy(target.labels)
        return Estimate(
            bits=float(found.bits),
            interval=(float(found.interval[0]), float(found.interval[1])),
            null=found.null,
            ceiling=float(found.ceiling),
            limit=float(min(found.ceiling, entropy)),
            n=t.n,
            dims=(t.dim, target.dim),
            label_entropy=None if target.labels is None else float(self.label_entropy(target)),
            settings=self.settings,
            seconds=time.perf_counter() - started,
        )

    def check(self, t: Variable, target: Variable, given: Variable | None = None) -> None:
        """Raise EstimationError for a question that these samples cannot answer."""
        name = type(self).__name__
        if given is not None and not self.conditional:
            raise EstimationError(
                f"got a third variable given, wanted none: {name} estimates no conditional information; use ksg, renyi "
                "or probe"
            )
        if target.labels is not None and len(np.unique(target.labels)) < 2:
            raise EstimationError("got a label with one class, wanted at least 2 classes: its entropy is 0")
        if len(np.unique(t.groups)) < 4:
            raise EstimationError("got fewer than 4 groups of samples, wanted at least 4 for an interval and a null")
        if self.diverges and t.deterministic and target.labels is None and self.noise is None:
            raise EstimationError(
                "got a deterministic layer and a continuous target, whose mutual information is infinite; declare a "
                f"noise channel on t, such as noise=0.1 of {name}"
            )


def variables_of(t, target, given=None, groups=None) -> tuple[Variable, Variable, Variable | None]:
    """Make Variables of arrays, and check that they have the same number of samples.

    Args:
        t: A Variable or an array (n, ...).
        target: A Variable or an array with the same n.
        given: A Variable, an array with the same n, or None.
        groups: (n,) the group of each sample of t and target, such as a patient. None makes each sample a group.
    """
    t = Variable.of(t, groups)
    target = Variable.of(target, t.groups)
    given = None if given is None else Variable.of(given)
    for name, side in (("the target", target), ("the given variable", given)):
        if side is not None and side.n != t.n:
            raise EstimationError(f"got {t.n} samples of t and {side.n} of {name}, wanted the same number")
    return t, target, given


def add_noise(t: Variable, noise: float, rng: np.random.Generator) -> Variable:
    """Add Gaussian noise to each column of t.

    Where t holds distances alone, the noise is added along its principal coordinates. Their number is n - 1 or the
    number of columns of t, whichever is smaller. All other directions are orthogonal to every sample.

    Args:
        t: The representation.
        noise: Standard deviation of the noise, in units of the root mean variance of the columns of t.
        rng: Generator of the noise.
    """
    if t.samples is None:
        most = min(t.n - 1, t.dim)
        columns = t.coordinates(most)  # fewer than `most` where some directions have no variance
        columns = np.pad(columns, [(0, 0), (0, most - columns.shape[1])])
    else:
        columns = t.samples.astype(np.float64)
    spread = noise * np.sqrt(columns.var(axis=0).sum() / t.dim)
    return Variable.of(columns + spread * rng.normal(size=columns.shape), t.groups)


def null_of(draws) -> Null:
    """Summarise the estimates (draws,) of permuted samples, in bits.

    The 95 % quantile is one of the draws, the higher one of two. An independent estimate exceeds the highest of 20
    draws in 1 of 21 cases, so that `significant` is wrong in less than 5 % of cases without information.
    """
    quantile = np.quantile(draws, QUANTILE, method="higher")
    return Null(float(np.mean(draws)), float(np.std(draws, ddof=1)), float(quantile), len(draws))


def at_least(name: str, value: int, least: int) -> int:
    """Return the value. Raise ValueError unless it is an integer from `least` to MOST."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
        raise ValueError(f"{name}: got {value!r}, wanted an integer of at least {least} and at most {MOST:,}")
    return value


def switch(name: str, value: bool) -> bool:
    """Return the value. Raise ValueError unless it is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name}: got {value!r}, wanted true or false")
    return value


def above_zero(name: str, value: float) -> float:
    """Return the value. Raise ValueError unless it is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < np.inf:
        raise ValueError(f"{name}: got {value!r}, wanted a number above 0, which is finite")
    return value
