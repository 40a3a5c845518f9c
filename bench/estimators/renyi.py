"""Matrix-based Rényi information: entropies of normalised Gram matrices, without densities."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from scipy.spatial.distance import squareform

from bench.errors import EstimationError
from bench.estimators.base import above_zero, at_least
from bench.estimators.grams import Classes, Samples, entropy_of
from bench.estimators.resampled import Resampled, Statistic
from bench.estimators.widths import RULES, aligned_width, median_width
from bench.information.reductions import Distances
from bench.information.variables import Variable


class Renyi(Resampled):
    """I(T; target) = S(A) + S(B) - S(A∘B) of the Gram matrices A and B, in bits.

    Given a third variable with Gram matrix C: S(A∘C) + S(B∘C) - S(A∘B∘C) - S(C). Gaussian kernels for samples, the
    delta kernel for labels. Ceiling min(S(A), S(B)).

    A layer of feature maps T^1..T^C is one variable: with one width for all maps, the Hadamard product of their Gram
    matrices is the Gaussian kernel on their concatenation. Variables that were joined keep a width each.

    alpha: order, above 0. width: `silverman`, h n^(-1/(4+d)) with the d of one map, and h_errors in place of h for the
    errors of back-propagation; `median`, of the pairwise distances; `alignment`, that whose kernel is most like the
    delta kernel on the samples' classes, else the target's; or a number. batch_size: None takes all samples at once,
    else the mean over disjoint mini-batches.
    Source: Yu et al. 2021, TNNLS, arXiv 1804.06537, eq. 1-3; alignment, Wickstrøm et al. 2023, Entropy 25:899.

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

    @property
    def settings(self) -> dict:
        return {
            "alpha": self.alpha,
            "kernel": "exp(-D/2σ²)",
            "width": self.width,
            "h": self.h,
            "h_errors": self.h_errors,
            "batch_size": self.batch_size,
        }

    def discrete(self, target):
        return target.labels is not None and not target.continuous

    def statistic(self, t, target, given):
        size = min(self.batch_size or t.n, t.n)
        if t.classes is None and self.width == "alignment":
            t = replace(t, classes=target.labels)
        of_t, of_target = self.side(t, size), self.side(target, size)
        of_given = given and self.side(given, size)

        def at(rows):
            order = _order(rows, size)
            own = self.codes(t, _batches(rows[order], size))
            a, s_a = of_t.at(own), of_t.entropy(own)

            def bits(partners):
                partners = _batches(partners[order], size)
                return (s_a + of_target.entropy(partners) - of_target.joint(a, partners)).mean()

            return bits

        def at_given(rows):
            order = _order(rows, size)
            own = _batches(rows[order], size)
            c = of_given.at(self.codes(given, own))
            b_c = c * of_target.at(self.codes(target, own))
            fixed = entropy_of(b_c, self.alpha) - entropy_of(c, self.alpha)

            def bits(moved):
                a = of_t.at(self.codes(t, _batches(moved[order], size)))
                return (entropy_of(a * c, self.alpha) + fixed - entropy_of(a * b_c, self.alpha)).mean()

            return bits

        def ceiling(rows):
            batches = _batches(rows[_order(rows, size)], size)
            sides = (side.entropy(self.codes(variable, batches)) for side, variable in ((of_t, t), (of_target, target)))
            most = np.minimum(*sides).mean()
            if most < 1e-9:
                raise EstimationError("got identical rows, wanted rows that differ: their entropy is 0")
            return most

        return Statistic(at if given is None else at_given, ceiling)

    def side(self, side: Variable, size: int) -> Samples | Classes:
        """A variable's Gram matrices, with the kernel that it has in mini-batches of this size."""
        if self.discrete(side):
            return Classes(self.alpha)
        if not side.parts:
            return Samples(side.read(Distances()), self.width_of(side, size), self.alpha)
        scaled = (part.read(Distances()) / self.width_of(part, size) ** 2 for part in side.parts)
        return Samples(sum(scaled), 1.0, self.alpha)

    def codes(self, side: Variable, rows: np.ndarray) -> np.ndarray:
        """What stands for these samples of a side: labels of Classes, rows of Samples."""
        return side.labels[rows] if self.discrete(side) else rows

    def width_of(self, side: Variable, batch: int) -> float:
        """σ of a variable's Gaussian kernel in mini-batches of this size."""
        match self.width:
            case "silverman":
                h = self.h if side.signal == "activation" else self.h_errors
                return h * batch ** (-1 / (4 + side.dim // side.maps))
            case "median":
                return median_width(squareform(side.read(Distances()), checks=False))
            case "alignment":
                return aligned_width(side)
        return self.width


def _batches(rows: np.ndarray, size: int) -> np.ndarray:
    """(m,) -> (batches, batch); what is left over makes no mini-batch."""
    batch = min(size, len(rows))
    return rows[: len(rows) // batch * batch].reshape(-1, batch)


def _order(rows: np.ndarray, size: int) -> np.ndarray:
    """The order to read samples in: as drawn in mini-batches; in one batch any will do, and sorted rows read fast."""
    return np.argsort(rows) if len(rows) <= size else np.arange(len(rows))
