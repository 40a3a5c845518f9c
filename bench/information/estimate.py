"""Estimate: a number of bits with its interval, null, ceiling and response to known truth."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field

import numpy as np
import scipy  # it loads its modules when they are first used

SATURATED = 0.95
CLOSE = 0.1  # bits; a difference that does not matter
RECOVERED = 2  # the largest factor between planted truth and the excess that recovers it
ROUNDING = 1e-9  # bits
QUANTILE = 0.95  # of a null, which a significant estimate exceeds
BELOW = 0.999  # of p values; a greater one means that the estimate is below its null


def agree(bits: np.ndarray, other: np.ndarray | float) -> np.ndarray:
    """Whether numbers of bits are within a factor of 2 or 0.1 bits of each other, element by element.

    Examples:
        >>> agree(np.array([0.3, 0.3, -0.02]), np.array([0.6, 0.7, 0.05])).tolist()
        [True, False, True]
    """
    by_factor = (bits <= other * RECOVERED) & (other <= bits * RECOVERED)
    return by_factor | (np.abs(bits - other) <= CLOSE)


@dataclass(frozen=True)
class Null:
    """The estimates of samples whose pairing is broken by permutations, in bits."""

    mean: float
    spread: float
    quantile: float  # at 95 %
    permutations: int

    def p_value(self, bits: float) -> float:
        """Compute how likely an estimate of at least `bits` is without information.

        The estimate and the permutations are then exchangeable. The estimate exceeds the quantile with probability
        r / (1 + permutations), where r permutations are at the quantile or above it: 1/21 for 20 permutations. Several
        layers need smaller p values. Beyond the quantile, the tail is that of an exponential distribution with the
        spread of the null, which is itself estimated. This is cautious for a normal null. A null of few columns is
        skewed, like chi-squared; if it is exponential itself, a p value of 1 % occurs in 1.5 % of cases, and with 4
        permutations in 2.7 %. Below the quantile, the p value is that of Student's t for a normal null, and at least
        (1 + r) / (1 + permutations).

        Examples:
            >>> null = Null(0.0, 0.1, 0.2, permutations=20)
            >>> [round(null.p_value(bits), 4) for bits in (0.0, 0.2, 0.5, 1.0)]
            [0.5, 0.0952, 0.0031, 0.0001]
        """
        at_least = self.permutations - math.ceil(QUANTILE * (self.permutations - 1))
        share, degrees = at_least / (1 + self.permutations), self.permutations - 1
        if self.spread <= ROUNDING:
            return share if bits > self.quantile + ROUNDING else 1.0
        if bits > self.quantile:
            scale = self.spread * math.sqrt(degrees * self.permutations)
            return share * (1 + (bits - self.quantile) / scale) ** -degrees
        t = (bits - self.mean) / (self.spread * (1 + 1 / self.permutations) ** 0.5)
        return max(share + 1 / (1 + self.permutations), float(scipy.special.stdtr(degrees, -t)))


@dataclass(frozen=True)
class Planted:
    """The response of an estimator to known truth that is planted on the same activations.

    Attributes:
        bits: The planted information, in bits.
        excess: The estimate minus the mean of its null, in bits.
        significant: Whether the estimate is above the 95 % quantile of its null.
        reason: Why nothing could be planted; None where it could.
    """

    bits: float
    excess: float
    significant: bool
    reason: str | None = None

    @property
    def recovered_ok(self) -> bool:
        """Whether the excess is significant and within a factor of 2 of the truth."""
        return bool(self.significant and self.bits / RECOVERED <= self.excess <= self.bits * RECOVERED)


@dataclass(frozen=True)
class Calibrated:
    """The information for which an estimator is likely to answer as it did, by its answers to planted doses.

    Attributes:
        bits: The median of the doses that fit the estimate; NaN where they are not identifiable.
        low: The lower end of the 95 % interval of the doses that fit.
        high: The upper end of the interval.
        reliable: Whether 90 % of the doses that fit have `bits` within a factor of 2 or 0.1 bits.
        reason: Why it is reliable or not, in words.
    """

    bits: float
    low: float
    high: float
    reliable: bool
    reason: str


@dataclass(frozen=True)
class Estimate:
    """An estimate of information in bits. It is never clipped at 0.

    Attributes:
        bits: The estimate.
        interval: The 95 % interval of the estimator's own expectation for n samples.
        null: None where the estimate depends on one variable alone, so that there is no pairing to break.
        ceiling: The largest value that the estimator can return for these samples.
        limit: The smaller one of the ceiling and the entropy of the label.
        n: Number of samples.
        dims: Columns of the representation and of the target.
        label_entropy: H(Y) in the estimator's own bits, Shannon or Rényi; None where the target is not a label.
        settings: Kernel, noise, bins or network of the estimator.
        seconds: Time of the computation.
        planted: The response to known truth; None where it was not measured.
        calibrated: The information by doses of known truth; None where they were not planted.

    Examples:
        >>> Estimate(3.0, (2.9, 3.1), None, 4.0, 4.0, n=100, dims=(5, 1)).saturation
        0.75
    """

    bits: float
    interval: tuple[float, float]
    null: Null | None
    ceiling: float
    limit: float
    n: int
    dims: tuple[int, int]
    label_entropy: float | None = None
    settings: dict = field(default_factory=dict)
    seconds: float = 0.0
    planted: Planted | None = None
    calibrated: Calibrated | None = None

    @property
    def excess(self) -> float | None:
        """The bits minus the mean of the null."""
        return None if self.null is None else self.bits - self.null.mean

    @property
    def saturation(self) -> float:
        """The bits divided by the ceiling."""
        return self.bits / self.ceiling

    @property
    def significant(self) -> bool | None:
        """Whether the bits are above the 95 % quantile of the null."""
        return None if self.null is None else self.bits > self.null.quantile + ROUNDING

    @property
    def p_value(self) -> float | None:
        """How likely an estimate of at least these bits is without information (`Null.p_value`)."""
        return None if self.null is None else self.null.p_value(self.bits)

    @property
    def below_null(self) -> bool:
        """Whether the bits are so far below the null that one in 1,000 would be without information.

        The samples then depend on their targets in a way that misleads the estimator.
        """
        return self.null is not None and self.null.p_value(self.bits) > BELOW and self.bits < self.null.mean - ROUNDING

    @property
    def reliable(self) -> bool | None:
        """Whether the number can be believed.

        False if the bits are at the ceiling or far below the null, if the mean of the null is at the limit, if planted
        truth is not recovered, or if the calibrated bits are not reliable. None without a null, since then only a
        comparison with untrained references shows it.
        """
        if self.saturation >= SATURATED or (self.planted and not self.planted.recovered_ok):
            return False
        if self.below_null or (self.calibrated and not self.calibrated.reliable):
            return False
        return None if self.null is None else self.null.mean < SATURATED * self.limit

    def row(self) -> dict:
        """Return the columns of a LayerTable that an Estimate fills."""
        null = self.null and asdict(self.null)
        return {
            "bits": self.bits,
            "low": self.interval[0],
            "high": self.interval[1],
            "null_mean": null and null["mean"],
            "null_spread": null and null["spread"],
            "null_quantile": null and null["quantile"],
            "excess": self.excess,
            "ceiling": self.ceiling,
            "limit": self.limit,
            "label_entropy": self.label_entropy,
            "saturation": self.saturation,
            "significant": self.significant,
            "p_value": self.p_value,
            "planted": self.planted and self.planted.bits,
            "recovered": self.planted and self.planted.excess,
            "recovered_ok": self.planted and self.planted.recovered_ok,
            "calibrated": self.calibrated and self.calibrated.bits,
            "calibrated_low": self.calibrated and self.calibrated.low,
            "calibrated_high": self.calibrated and self.calibrated.high,
            "reliable": self.reliable,
            "n": self.n,
            "dim": self.dims[0],
            "target_dim": self.dims[1],
            "settings": json.dumps(self.settings, sort_keys=True),
            "seconds": self.seconds,
            "reason": (self.planted and self.planted.reason) or (self.calibrated and self.calibrated.reason),
        }
