"""Principal coordinates: few columns that keep the distances of samples, from the samples or from their distances."""

from __future__ import annotations

import numpy as np
import scipy.linalg


def leading_coordinates(samples: np.ndarray, most: int) -> np.ndarray:
    """Return the leading principal coordinates (n, most) of samples (n, dim)."""
    centred = samples.astype(np.float64) - samples.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return _signed(centred @ axes[:, : -most - 1 : -1])


def scaled_coordinates(squared_distances: np.ndarray, most: int) -> np.ndarray:
    """Return the leading principal coordinates (n, k), k <= most, from squared distances (n, n) by classical scaling.

    References:
        Torgerson 1952, Psychometrika 17:401.
    """
    n = len(squared_distances)
    means = squared_distances.mean(axis=0)
    products = (means[:, None] + means[None, :] - squared_distances - means.mean()) / 2
    first = max(n - most, 1)  # one of the n eigenvalues belongs to the mean and is 0
    values, vectors = scipy.linalg.eigh(products, subset_by_index=(first, n - 1), overwrite_a=True)
    positive = values > 1e-12 * max(values[-1], 0)
    return _signed((vectors[:, positive] * np.sqrt(values[positive]))[:, ::-1])


def _signed(columns: np.ndarray) -> np.ndarray:
    """Make each column's largest entry positive, because the sign of an eigenvector is arbitrary."""
    largest = columns[np.abs(columns).argmax(axis=0), np.arange(columns.shape[1])]
    return columns * np.where(largest < 0, -1, 1)
