"""Estimator: mutual information of two variables, with the safeguards that every number carries."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from numbers import Real

import numpy as np

from bench.errors import EstimationError, EstimatorFailed, explain
from bench.information.estimate import Estimate, Null
from bench.information.reductions import Reduction
from bench.information.tables import FAILED
from bench.information.variables import Variable, plug_in_entropy

MOST = 10**6  # permutations, units, steps: more than any machine can do
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """Bits, their 95 % interval, the null where one exists, and the most that this estimator could have said."""

    bits: float
    interval: tuple[float, float]
    null: Null | None
    ceiling: float


class Estimator(ABC):
    """Mutual information in bits between a representation and the input, a label, or another representation.

    reads: reductions that a streamed variable must hold; a variable that holds its samples has them all.
    permutations: of the null. conditional: whether it can be asked what t tells of the target given a third variable.
    noise: a declared noise channel on t; without one, an estimator of densities (`diverges`) refuses what a
    deterministic layer tells of a continuous input, which has no bound.
    """

    reads: tuple[Reduction, ...] = ()
    permutations: int = 20
    conditional: bool = False
    diverges: bool = False
    noise: float | None = None

    @property
    @abstractmethod
    def settings(self) -> dict:
        """Kernel, noise, bins or network, recorded with every number."""

    @abstractmethod
    def answer(self, t: Variable, target: Variable, given: Variable | None, rng: np.random.Generator) -> Answer:
        """The estimate with its safeguards, for variables that have passed the checks of `estimate`."""

    def pairs(self, target: Variable) -> bool:
        """Whether the estimate reads the pairing with this target, so that a null exists."""
        return True

    def discrete(self, target: Variable) -> bool:
        """Whether the target is read as labels."""
        return target.labels is not None

    def estimate(self, t, target, *, given=None, rng: np.random.Generator) -> Estimate:
        """I(t; target) or I(t; target | given) in bits with null, ceiling and interval.

        t: the representation, a Variable or an array (n, ...). target: the input X (floats) or a label (integers; a
        discrete Variable), a Variable or an array of the same n; so is given. rng: of permutations, subsamples, folds
        and initialisations. Raises EstimationError where the question can't be answered from these samples, and
        EstimatorFailed, which is one, for an error of no known kind: one estimate must not end a run.
        """
        started = time.perf_counter()
        t = Variable.of(t)
        target = Variable.of(target, t.groups)
        given = None if given is None else Variable.of(given)
        self.check(t, target, given)
        found = self._answered(t, target, given, rng)
        null = () if found.null is None else (found.null.mean, found.null.spread, found.null.quantile)
        if not np.isfinite([found.bits, *found.interval, *null]).all() or np.isnan(found.ceiling):
            raise EstimationError(
                f"got {found.bits} bits from {found.interval[0]} to {found.interval[1]}, ceiling {found.ceiling}, "
                f"wanted finite numbers: {type(self).__name__} has diverged"
            )
        label_entropy = np.inf if target.labels is None else plug_in_entropy(target.labels)
        return Estimate(
            bits=float(found.bits),
            interval=(float(found.interval[0]), float(found.interval[1])),
            null=found.null,
            ceiling=float(found.ceiling),
            limit=float(min(found.ceiling, label_entropy)),
            n=t.n,
            dims=(t.dim, target.dim),
            settings=self.settings,
            seconds=time.perf_counter() - started,
        )

    def _answered(self, t: Variable, target: Variable, given: Variable | None, rng: np.random.Generator) -> Answer:
        try:
            with np.errstate(all="ignore"):  # what is not finite is refused above
                return self.answer(t, target, given, rng)
        except EstimationError:
            raise
        except Exception as error:  # from any library beneath, for values that it was not written for
            if explain(error):  # known to concern more than this estimate, such as memory
                raise
            log.warning("%s failed; the row of this estimate has the reason", type(self).__name__, exc_info=error)
            raise EstimatorFailed(f"{FAILED}{type(error).__name__}: {' '.join(str(error).split())}") from error

    def check(self, t: Variable, target: Variable, given: Variable | None = None) -> None:
        """Raise EstimationError for a question that can't be answered from these samples."""
        name = type(self).__name__
        if t.n != target.n:
            raise EstimationError(f"got {t.n} samples of t and {target.n} of the target, wanted the same n")
        if given is not None and given.n != t.n:
            raise EstimationError(f"got {t.n} samples of t and {given.n} of what is given, wanted the same n")
        if given is not None and not self.conditional:
            raise EstimationError(f"got a question with a third variable given, which {name} can't answer")
        if target.labels is not None and len(np.unique(target.labels)) < 2:
            raise EstimationError("got a label with one class, wanted at least 2: it has nothing to be informed about")
        if len(np.unique(t.groups)) < 4:
            raise EstimationError("got fewer than 4 groups of samples, wanted more for an interval and a null")
        if self.diverges and t.deterministic and target.labels is None and self.noise is None:
            raise EstimationError(
                "what a deterministic layer tells of a continuous input is infinite; declare a noise channel on t, "
                f"such as noise=0.1 of {name}"
            )


def null_of(draws) -> Null:
    """The null that permuted estimates make, bits.

    The quantile is a draw, the higher one of two: one more draw exceeds the highest of 20 in 1 of 21 cases, so that
    `significant` is wrong in less than 5 % where there is nothing.
    """
    quantile = np.quantile(draws, 0.95, method="higher")
    return Null(float(np.mean(draws)), float(np.std(draws, ddof=1)), float(quantile), len(draws))


def at_least(name: str, value: int, least: int) -> int:
    """The value, or a ValueError that says got and wanted."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
        raise ValueError(f"{name}: got {value!r}, wanted an integer of at least {least} and at most {MOST:,}")
    return value


def above_zero(name: str, value: float) -> float:
    """The value, or a ValueError where it is not a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < np.inf:
        raise ValueError(f"{name}: got {value!r}, wanted a number above 0, which is finite")
    return value
