"""Information about a target of single feature maps and of pairs of them, and its partial information decomposition.

The information of a pair has four parts: redundancy is in both maps, unique information is in one of them (two parts),
and synergy is only in both together. Three informations do not determine four parts, but two combinations of them.

References:
    Yu et al. 2021, TNNLS, arXiv 1804.06537; Williams & Beer 2010, arXiv 1004.2515.
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

    The joint Gram matrix of maps is the Hadamard product of theirs.

    Args:
        squared: (C, m, m) squared distances of each map alone.
        widths: (C,) σ of their Gaussian kernels.
        alpha: Order of the entropies.
    """

    def __init__(self, squared: np.ndarray, widths: np.ndarray, alpha: float):
        self.alpha = alpha
        self.grams = gram(squared / widths[:, None, None] ** 2, np.sqrt(0.5) if alpha == 2 else 1.0)
        self.alone, self.together = self.entropies()

    def entropies(self, side: Samples | Classes | None = None, codes: np.ndarray | None = None):
        """Compute the entropies of each map (C,) and of each pair (C, C), in bits.

        A map paired with itself is that map. For alpha = 2, two matrix products give all pairs. Other orders need
        eigenvalues.

        Args:
            side: Gram matrices of another variable. If given, the entropies are joint entropies with it.
            codes: (m,) what its Gram matrices are made of.
        """
        return self._by_products(side, codes) if self.alpha == 2 else self._by_eigenvalues(side, codes)

    def _by_products(self, side, codes):
        count, m = self.grams.shape[:2]
        above = np.triu_indices(m, 1)
        flat = self.grams[:, *above]  # (C, m (m - 1) / 2), squared as the side's are
        weighted = flat if side is None else flat * side.at(codes[None])[0][above]
        alone = collision(m + 2 * weighted.sum(axis=1), m)
        products = np.triu(weighted @ flat.T)  # a library may round the pairs (i, j) and (j, i) differently
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

    def information(self, side: Samples | Classes, codes: np.ndarray) -> PairInformation:
        """Compute the information of maps and pairs about the samples `codes` (m,) of a side."""
        entropy = side.entropy(codes[None])[0]
        alone, together = self.entropies(side, codes)
        return PairInformation(
            self.alone + entropy - alone, self.together + entropy - together, np.minimum(self.together, entropy)
        )


@dataclass(frozen=True)
class PairInformation:
    """Information of feature maps and of pairs about a target, in bits. A map paired with itself is redundant.

    Attributes:
        alone: (C,) of each map.
        together: (C, C) of each pair.
        ceiling: (C, C) the largest possible value of each pair.

    >>> copies = PairInformation(np.array([1.0, 1.0]), np.ones((2, 2)), np.ones((2, 2)))
    >>> [float(matrix[0, 1]) for matrix in (copies.trade_off(), copies.non_redundant(), copies.least_synergy())]
    [1.0, 0.0, 0.0]
    """

    alone: np.ndarray
    together: np.ndarray
    ceiling: np.ndarray

    def trade_off(self) -> np.ndarray:
        """Return redundancy minus synergy (C, C): I_i + I_j - I_ij, for any definition of redundancy."""
        return self.alone[:, None] + self.alone - self.together

    def non_redundant(self) -> np.ndarray:
        """Return unique parts plus twice the synergy (C, C): 2 I_ij - I_i - I_j, for any definition of redundancy."""
        return self.together - self.trade_off()

    def least_redundancy(self) -> np.ndarray:
        """Return the redundancy (C, C), defined as min(I_i, I_j)."""
        return np.minimum(self.alone[:, None], self.alone)

    def least_synergy(self) -> np.ndarray:
        """Return the synergy (C, C) for this definition of redundancy: I_ij - max(I_i, I_j)."""
        return self.together - np.maximum(self.alone[:, None], self.alone)


# name of a quantity, with a place for the target -> its matrix over pairs; the others are computed from the first
READINGS: dict[str, Callable[[PairInformation], np.ndarray]] = {
    "I({};pair)": lambda information: information.together,
    "Rdn-Syn({})": PairInformation.trade_off,
    "Unq+Unq+2Syn({})": PairInformation.non_redundant,
    "least Rdn({})": PairInformation.least_redundancy,
    "least Syn({})": PairInformation.least_synergy,
}


def over_pairs(matrices: np.ndarray) -> np.ndarray:
    """Compute the mean over all C (C - 1) / 2 pairs of matrices (..., C, C).

    >>> float(over_pairs(np.array([[9.0, 1, 2], [1, 9, 3], [2, 3, 9]])))
    2.0
    """
    first, second = np.triu_indices(matrices.shape[-1], 1)
    return matrices[..., first, second].mean(axis=-1)
