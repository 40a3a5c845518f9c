"""Estimate: a number of bits with what is needed to believe or doubt it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

SATURATED = 0.95
RECOVERED = 2  # the factor within which planted truth must be found
ROUNDING = 1e-9  # bits


@dataclass(frozen=True)
class Null:
    """What the estimator says when the pairing is broken by permutations, in bits."""

    mean: float
    spread: float
    quantile: float  # 95 %
    permutations: int


@dataclass(frozen=True)
class Planted:
    """What an estimator says of known truth planted on the same activations: true bits, and the excess that it found.

    reason: why nothing could be planted.
    """

    bits: float
    excess: float
    significant: bool
    reason: str | None = None

    @property
    def found(self) -> bool:
        """Significant, and within a factor of 2 of the truth."""
        return bool(self.significant and self.bits / RECOVERED <= self.excess <= self.bits * RECOVERED)


@dataclass(frozen=True)
class Estimate:
    """Information in bits with what is needed to believe or doubt it. Never clipped at 0.

    interval: 95 %, of the estimator's own expectation at this n. null: None where the estimate reads one side alone,
    so that there is no pairing to break. ceiling: the most that the estimator could have said. limit: the most that
    the answer can be, the ceiling or the label's entropy. planted: the response to known truth, where it was measured.

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
    settings: dict = field(default_factory=dict)
    seconds: float = 0.0
    planted: Planted | None = None

    @property
    def excess(self) -> float | None:
        return None if self.null is None else self.bits - self.null.mean

    @property
    def saturation(self) -> float:
        return self.bits / self.ceiling

    @property
    def significant(self) -> bool | None:
        return None if self.null is None else self.bits > self.null.quantile + ROUNDING

    @property
    def reliable(self) -> bool | None:
        """False at the ceiling, where the null leaves no room below the limit, or where planted truth is not found.

        None without a null, where only the untrained control can tell.
        """
        if self.saturation >= SATURATED or (self.planted and not self.planted.found):
            return False
        return None if self.null is None else self.null.mean < SATURATED * self.limit

    def row(self) -> dict:
        """The columns of a LayerTable that an Estimate fills."""
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
            "saturation": self.saturation,
            "significant": self.significant,
            "planted": self.planted and self.planted.bits,
            "recovered": self.planted and self.planted.excess,
            "found": self.planted and self.planted.found,
            "reliable": self.reliable,
            "n": self.n,
            "dim": self.dims[0],
            "target_dim": self.dims[1],
            "settings": json.dumps(self.settings, sort_keys=True),
            "seconds": self.seconds,
            "reason": self.planted and self.planted.reason,
        }
