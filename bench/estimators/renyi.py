"""Matrix-based Rényi mutual information, from the entropies of normalised Gram matrices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.spatial.distance import squareform

from bench.errors import EstimationError
from bench.estimators.base import above_zero, at_least, switch, variables_of
from bench.estimators.entropies import entropy_of_spectrum
from bench.estimators.grams import Classes, Samples, aligned_width, entropy_of, median_width
from bench.estimators.resampled import Resampled
from bench.estimators.statistic import Statistic
from bench.information.reductions import Distances
from bench.information.variables import Variable

RULES = ("silverman", "median", "alignment")


def renyi(
    t, y, alpha: float = 1.01, width: Literal["silverman", "median", "alignment"] | float = "silverman", given=None
) -> float:
    """Estimate I(T;Y) = S(A) + S(B) - S(A∘B) from the Gram matrices A of t and B of y, in bits.

    With a third variable of Gram matrix C: I(T;Y|C) = S(A∘C) + S(B∘C) - S(A∘B∘C) - S(C). Samples have a Gaussian
    kernel exp(-D/2σ²), labels the delta kernel.

    Args:
        t: (n, ...) floats, or (n,) integers: labels.
        y: The same.
        alpha: Order of the entropy, above 0.
        width: σ of the Gaussian kernel, as in `Renyi`.
        given: (n, ...) floats or (n,) integers, the third variable.

    Returns:
        I(T;Y) or I(T;Y|C) in bits. It can be negative for an order other than 1.

    References:
        Yu et al. 2021, TNNLS, arXiv 1804.06537, eq. 1-3.

    Examples:
        >>> labels = np.repeat([0, 1], 8)
        >>> round(renyi(1e3 * labels[:, None], labels, alpha=2), 6)
        1.0
    """
    return Renyi(alpha, width).statistic(*variables_of(t, y, given)).observed()


@dataclass(frozen=True, eq=False)
class GramEntropies(Statistic):
    """Entropies of Gram matrices in mini-batches of the samples `rows`.

    Attributes:
        sides: The Gram matrices of t, of the target, and of the given variable if there is one.
        codes: (n,) for each side, what its Gram matrices are made of: labels of Classes, row numbers of Samples.
        size: Samples in a mini-batch.
        alpha: Order of the entropies.
    """

    sides: tuple[Samples | Classes, ...]
    codes: tuple[np.ndarray, ...]
    size: int
    alpha: float

    def bits(self, partners):
        t, target, *given = self.sides
        partners = self._batches(partners)
        if not given:
            a, s_a = self._fixed
            return (s_a + target.entropy(partners) - target.joint(a, partners)).mean()
        c, b_c, s_b_given_c = self._fixed
        a = t.at(self.codes[0][partners])
        return (entropy_of(a * c, self.alpha) + s_b_given_c - entropy_of(a * b_c, self.alpha)).mean()

    def ceiling(self):
        sides = (side.entropy(codes[self._own]) for side, codes in zip(self.sides[:2], self.codes[:2], strict=True))
        most = np.minimum(*sides).mean()
        if most < 1e-9:
            raise EstimationError("got identical rows, wanted rows that differ: their entropy is 0")
        return most

    @cached_property
    def _fixed(self) -> tuple[np.ndarray, ...]:
        """The matrices and entropies that are the same in every pairing: A and S(A); with C: C, B∘C and S(B|C)."""
        if len(self.sides) == 2:
            own = self.codes[0][self._own]
            return self.sides[0].at(own), self.sides[0].entropy(own)
        b, c = (side.at(codes[self._own]) for side, codes in zip(self.sides[1:], self.codes[1:], strict=True))
        b_c = c * b
        return c, b_c, entropy_of(b_c, self.alpha) - entropy_of(c, self.alpha)

    @cached_property
    def _own(self) -> np.ndarray:
        """(batches, batch) row numbers of the samples."""
        return self._batches(self.rows)

    def _batches(self, values: np.ndarray) -> np.ndarray:
        """Cut values (m,) into mini-batches (batches, batch). Remaining values are not used.

        One batch of all samples is read in the order of their row numbers, which is fast and changes no entropy.
        """
        if len(values) <= self.size:
            return values[np.argsort(self.rows)][None]
        return values[: len(values) // self.size * self.size].reshape(-1, self.size)


class Renyi(Resampled):
    """Estimator `renyi`: matrix-based mutual information, in bits.

    A layer of feature maps T^1..T^C is one variable. With one width for all maps, the Hadamard product of their Gram
    matrices is the Gaussian kernel of their concatenation. Joined variables keep one width each. The ceiling is
    min(S(A), S(B)).

    Args:
        alpha: Order of the entropy, above 0.
        width: σ of the Gaussian kernel: `silverman`, h n^(-1/(4+d)) with the dimension d of one map; `median`, of the
            distances of all pairs; `alignment`, the width whose kernel is most similar to the delta kernel of the
            samples' classes, or of the target's if t has none; or a number.
        h: Factor of `silverman` for activations.
        h_errors: Factor of `silverman` for the errors of back-propagation.
        batch_size: Samples in a mini-batch. The estimate is the mean over disjoint mini-batches. None means one batch
            of all samples.
        permutations: Number of permutations of the null.
        subsamples: Number of halves for the interval.
        extrapolate: Whether to extrapolate to infinitely many samples (`Extrapolated`).

    References:
        Yu et al. 2021, TNNLS, arXiv 1804.06537. Alignment: Wickstrøm et al. 2023, Entropy 25:899.

    Examples:
        >>> labels = np.repeat([0, 1], 8)
        >>> round(Renyi(alpha=2).estimate(1e3 * labels[:, None], labels, rng=np.random.default_rng(0)).bits, 6)
        1.0
    """

    reads = (Distances(),)
    conditional = True

    def __init__(
        self,
        alpha: float = 1.01,
        width: Literal["silverman", "median", "alignment"] | float = "silverman",
        h: float = 5.0,
        h_errors: float = 0.1,
        batch_size: int | None = None,
        permutations: int = 20,
        subsamples: int = 20,
        extrapolate: bool = False,
    ):
        if width not in RULES and (isinstance(width, bool | str) or not width > 0):
            raise ValueError(f"width: got {width!r}, wanted {', '.join(RULES)} or a number above 0")
        self.alpha = above_zero("alpha", alpha)
        self.width = width
        self.h = above_zero("h", h)
        self.h_errors = above_zero("h_errors", h_errors)
        self.batch_size = None if batch_size is None else at_least("batch_size", batch_size, 4)
        self.permutations = at_least("permutations", permutations, 2)
        self.subsamples = at_least("subsamples", subsamples, 2)
        self.extrapolate = switch("extrapolate", extrapolate)

    @property
    def settings(self) -> dict:
        return {
            "alpha": self.alpha,
            "kernel": "exp(-D/2σ²)",
            "width": self.width,
            "h": self.h,
            "h_errors": self.h_errors,
            "batch_size": self.batch_size,
            "extrapolate": self.extrapolate,
        }

    def discrete(self, target):
        return target.labels is not None and not target.continuous

    def label_entropy(self, target):
        counts = np.unique(target.labels, return_counts=True)[1]
        return entropy_of_spectrum(counts / target.n, self.alpha)

    def statistic(self, t, target, given=None):
        size = min(self.batch_size or t.n, t.n)
        if t.classes is None and self.width == "alignment":
            t = replace(t, classes=target.labels)
        rows, variables = np.arange(t.n), [v for v in (t, target, given) if v is not None]
        sides = tuple(self.side(v, size) for v in variables)
        codes = tuple(self.codes(v, rows) for v in variables)
        return GramEntropies(rows, codes[1] if given is None else rows, sides, codes, size, self.alpha)

    def side(self, side: Variable, size: int) -> Samples | Classes:
        """Return the Gram matrices of a variable, with its kernel for mini-batches of this size."""
        if self.discrete(side):
            return Classes(self.alpha)
        if not side.parts:
            return Samples(side.read(Distances()), self.width_of(side, size), self.alpha)
        scaled = (part.read(Distances()) / self.width_of(part, size) ** 2 for part in side.parts)
        return Samples(sum(scaled, np.zeros(())), 1.0, self.alpha)

    def codes(self, side: Variable, rows: np.ndarray) -> np.ndarray:
        """Return what the Gram matrices of these samples are made of: labels of Classes, rows of Samples."""
        return side.numbered()[rows] if self.discrete(side) else rows

    def width_of(self, side: Variable, batch: int) -> float:
        """Return σ of the Gaussian kernel of a variable in mini-batches of this size."""
        match self.width:
            case "silverman":
                h = self.h if side.signal == "activation" else self.h_errors
                return h * batch ** (-1 / (4 + side.dim // side.maps))
            case "median":
                return median_width(squareform(side.read(Distances()), checks=False))
            case "alignment":
                return aligned_width(side)
        return self.width
