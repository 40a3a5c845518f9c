"""Gram matrices of one variable for mini-batches of its samples, their entropies, and the widths of their kernels.

For alpha = 2 the matrices are squared elementwise, so that every entropy is the logarithm of a sum.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.spatial.distance import squareform

from bench.errors import EstimationError
from bench.estimators.entropies import (
    delta,
    eigenvalues,
    entropy,
    entropy_of_labels,
    entropy_of_spectrum,
    gram,
)
from bench.information.reductions import Distances
from bench.information.variables import Variable

BLOCK = 64  # rows of a matrix that are reordered at once, so that they stay in the processor's cache
WIDTHS = np.geomspace(0.1, 10, 75)  # tried for the best alignment, in mean distances


class Samples:
    """Gaussian Gram matrices of samples.

    Args:
        distances: (n, n) squared distances of all samples.
        width: σ of the kernel.
        alpha: Order of the entropies.
    """

    def __init__(self, distances: np.ndarray, width: float, alpha: float):
        self.alpha = alpha
        self.matrix = gram(distances, width / np.sqrt(2) if alpha == 2 else width)

    def at(self, rows: np.ndarray) -> np.ndarray:
        """Return the Gram matrices (batches, m, m) of the samples `rows` (batches, m)."""
        if np.array_equal(rows, np.arange(len(self.matrix))[None]):
            return self.matrix[None]
        return np.stack([self.matrix.take(batch, axis=0).take(batch, axis=1) for batch in rows])

    def entropy(self, rows: np.ndarray) -> np.ndarray:
        """Compute the entropies (batches,) in bits. The order of all samples in one batch does not matter."""
        return self._whole if self._all(rows) else entropy_of(self.at(rows), self.alpha)

    def joint(self, grams: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Compute the joint entropies with Gram matrices of another variable.

        Args:
            grams: (k, m, m) Gram matrices, as `at` returns them.
            rows: (k, m) or (1, m) samples.

        Returns:
            (k,) entropies of the Hadamard products in bits.
        """
        if self.alpha != 2:
            return entropy_of(grams * self.at(rows), self.alpha)
        sums = [overlap(gram, self.matrix, batch) for gram, batch in zip(grams, rows, strict=True)]
        return collision(np.array(sums), rows.shape[1])

    @cached_property
    def _whole(self) -> np.ndarray:
        return entropy_of(self.matrix[None], self.alpha)

    def _all(self, rows: np.ndarray) -> bool:
        return rows.shape == (1, len(self.matrix)) and len(np.unique(rows)) == len(self.matrix)


class Classes:
    """Gram matrices of the delta kernel. Its methods are those of `Samples`, with labels in place of rows."""

    def __init__(self, alpha: float):
        self.alpha = alpha

    def at(self, labels: np.ndarray) -> np.ndarray:
        """Return the Gram matrices (batches, m, m) of labels (batches, m)."""
        return delta(labels)

    def entropy(self, labels: np.ndarray) -> np.ndarray:
        """Compute the entropies (batches,) in bits."""
        return entropy_of_labels(labels, self.alpha)

    def joint(self, grams: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Compute the entropies (k,) in bits of grams (k, m, m) times the kernels of labels (k, m) or (1, m)."""
        if self.alpha != 2:
            shared = len(labels) == 1
            each = [(grams, labels[0])] if shared else zip(grams[:, None], labels, strict=True)
            return np.concatenate([entropy_of_spectrum(_spectrum(*pair), self.alpha) for pair in each])
        members = (labels[..., None] == np.unique(labels)).astype(np.float64)  # (batches, m, classes)
        return collision(((grams @ members) * members).sum(axis=(1, 2)), labels.shape[1])


def _spectrum(grams: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the eigenvalues (k, m) of grams (k, m, m) times the delta kernel of labels (m,), with sum 1.

    The product has one block per class, so that the eigenvalues are those of the blocks.
    """
    classes = [np.flatnonzero(labels == name) for name in np.unique(labels)]
    blocks = [eigenvalues(grams[:, rows[:, None], rows]) for rows in classes]
    return np.concatenate(blocks, axis=1) / len(labels)


def entropy_of(grams: np.ndarray, alpha: float) -> np.ndarray:
    """Compute the entropies (batches,) in bits of Gram matrices (batches, m, m) with ones on the diagonal.

    For alpha = 2 the matrices must be squared elementwise.
    """
    return collision(grams.sum(axis=(1, 2)), grams.shape[-1]) if alpha == 2 else entropy(grams, alpha)


def collision(sums: np.ndarray, m: int) -> np.ndarray:
    """Compute S_2 in bits from the sums of the squared entries of Gram matrices (m, m)."""
    return 2 * np.log2(m) - np.log2(sums)


def overlap(one: np.ndarray, other: np.ndarray, rows: np.ndarray) -> float:
    """Compute the sum over i, j of one[i, j] * other[rows[i], rows[j]] of symmetric matrices (m, m) and (n, n).

    Only the entries below the diagonal's blocks are reordered. Those above are equal.

    >>> overlap(np.array([[1.0, 2], [2, 1]]), np.array([[1.0, 0, 3], [0, 1, 0], [3, 0, 1]]), np.array([0, 2]))
    14.0
    """
    total = 0.0
    for top in range(0, len(rows), BLOCK):
        end = min(top + BLOCK, len(rows))
        moved = other.take(rows[top:end], axis=0).take(rows[:end], axis=1)
        moved *= one[top:end, :end]
        total += 2 * moved[:, :top].sum() + moved[:, top:].sum()
    return float(total)


def median_width(squared: np.ndarray) -> float:
    """Return the median distance of squared distances (pairs,); EstimationError where it is 0."""
    median = np.median(squared)
    if median == 0:
        raise EstimationError("got identical rows in most pairs, wanted rows that differ: the median distance is 0")
    return float(np.sqrt(median))


def aligned_width(side: Variable) -> float:
    """Return the width of the kernel K that is aligned best with the delta kernel L of the samples' classes.

    The alignment <K, L> / |K| |L| is computed for 75 widths from a tenth to ten times the mean distance.

    References:
        Wickstrøm et al. 2023, Entropy 25:899.
    """
    if side.classes is None:
        raise EstimationError("got samples without classes, wanted them for width=alignment; use another width")
    squared = squareform(side.read(Distances()), checks=False)
    alike = squareform(side.classes[:, None] == side.classes, checks=False)
    mean = np.sqrt(squared).mean()
    if mean == 0:
        raise EstimationError("got identical rows, wanted rows that differ: their mean distance is 0")
    alignments = []
    for width in WIDTHS * mean:
        kernel = np.exp(squared * (-0.5 / width**2))  # (pairs,); the diagonal is 1 and both triangles are equal
        within, whole = (side.n + 2 * values.sum() for values in (kernel[alike], kernel**2))
        alignments.append(within / np.sqrt(whole))
    return float(WIDTHS[np.argmax(alignments)] * mean)
