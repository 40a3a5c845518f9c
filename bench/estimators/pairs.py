"""What single feature maps and pairs of them tell of a target, and how two maps share it: partial information.

A pair's information is decomposed into what both maps have (redundancy), what either has alone (unique), and what only
both together have (synergy). Three informations leave these four undetermined; two combinations of them are not.
Source: Yu et al. 2021, TNNLS, arXiv 1804.06537; after Williams & Beer 2010, arXiv 1004.2515.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.estimators.entropies import gram, in_threads
from bench.estimators.grams import Classes, Samples, collision, entropy_of

PAIRS_AT_ONCE = 32  # few enough for the processor's cache


class Maps:
    """Entropies of C feature maps and of their pairs in one mini-batch of m samples.

    squared: distances (C, m, m) of each map alone; widths (C,) of their Gaussian kernels. The joint Gram matrix of maps
    is the Hadamard product of theirs.
    """

    def __init__(self, squared: np.ndarray, widths: np.ndarray, alpha: float):
        self.alpha = alpha
        self.grams = gram(squared / widths[:, None, None] ** 2, np.sqrt(0.5) if alpha == 2 else 1.0)
        self.alone, self.together = self.entropies()

    def entropies(self, side: Samples | Classes | None = None, codes: np.ndarray | None = None):
        """S of each map (C,) and of each pair (C, C), bits, jointly with a side's samples `codes` (m,) where given.

        A map together with itself is that map. For alpha = 2 two matrix products make all pairs; else eigenvalues.
        """
        return self._by_products(side, codes) if self.alpha == 2 else self._by_eigenvalues(side, codes)

    def _by_products(self, side, codes):
        count, m = self.grams.shape[:2]
        above = np.triu_indices(m, 1)
        flat = self.grams[:, *above]  # (C, m (m - 1) / 2), squared as the side's are
        weighted = flat if side is None else flat * side.at(codes[None])[0][above]
        alone = collision(m + 2 * weighted.sum(axis=1), m)
        products = np.triu(weighted @ flat.T)  # of equal pairs (i, j) and (j, i) a library may round one otherwise
        together = collision(m + 2 * (products + np.triu(products, 1).T), m)
        together[np.diag_indices(count)] = alone
        return alone, together

    def _by_eigenvalues(self, side, codes):
        together = np.diag(self._of(self.grams, side, codes))
        first, second = np.triu_indices(len(self.grams), 1)

        def of_pairs(places: np.ndarray) -> np.ndarray:
            chunks = np.array_split(places, -(-len(places) // PAIRS_AT_ONCE))
            pairs = (self.grams[first[chunk]] * self.grams[second[chunk]] for chunk in chunks)
            return np.concatenate([self._of(grams, side, codes) for grams in pairs])

        if len(first):
            together[first, second] = together[second, first] = in_threads(of_pairs, np.arange(len(first)))
        return np.diag(together).copy(), together

    def _of(self, grams, side, codes):
        return entropy_of(grams, self.alpha) if side is None else side.joint(grams, codes[None])

    def told(self, side: Samples | Classes, codes: np.ndarray) -> Told:
        """What maps and pairs tell of a side's samples `codes` (m,)."""
        entropy = side.entropy(codes[None])[0]
        alone, together = self.entropies(side, codes)
        return Told(
            self.alone + entropy - alone, self.together + entropy - together, np.minimum(self.together, entropy)
        )


@dataclass(frozen=True)
class Told:
    """Bits that maps tell of a target: alone (C,), pairs together (C, C), and the most that a pair could (C, C).

    Readings are matrices (C, C); a map beside itself is wholly redundant.

    >>> copies = Told(np.array([1.0, 1.0]), np.ones((2, 2)), np.ones((2, 2)))
    >>> [float(reading(copies)[0, 1]) for reading in (Told.trade_off, Told.non_redundant, Told.least_synergy)]
    [1.0, 0.0, 0.0]
    """

    alone: np.ndarray
    together: np.ndarray
    ceiling: np.ndarray

    def trade_off(self) -> np.ndarray:
        """Redundancy minus synergy: I_i + I_j - I_ij, for any definition of redundancy."""
        return self.alone[:, None] + self.alone - self.together

    def non_redundant(self) -> np.ndarray:
        """Unique of i, unique of j and twice the synergy: 2 I_ij - I_i - I_j, for any definition of redundancy."""
        return self.together - self.trade_off()

    def least_redundancy(self) -> np.ndarray:
        """Redundancy, where it is defined as min(I_i, I_j)."""
        return np.minimum(self.alone[:, None], self.alone)

    def least_synergy(self) -> np.ndarray:
        """Synergy under that definition: I_ij - max(I_i, I_j)."""
        return self.together - np.maximum(self.alone[:, None], self.alone)


# quantity, about what -> its matrix over pairs; the first is what the others rest on
READINGS: dict[str, Callable[[Told], np.ndarray]] = {
    "I({};pair)": lambda told: told.together,
    "Rdn-Syn({})": Told.trade_off,
    "Unq+Unq+2Syn({})": Told.non_redundant,
    "least Rdn({})": Told.least_redundancy,
    "least Syn({})": Told.least_synergy,
}


def over_pairs(matrices: np.ndarray) -> np.ndarray:
    """The mean over all C (C - 1) / 2 pairs of matrices (..., C, C).

    >>> float(over_pairs(np.array([[9.0, 1, 2], [1, 9, 3], [2, 3, 9]])))
    2.0
    """
    first, second = np.triu_indices(matrices.shape[-1], 1)
    return matrices[..., first, second].mean(axis=-1)
