"""Entropies of normalised Gram matrices and of labels, in bits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from threadpoolctl import ThreadpoolController

from bench.estimators.base import above_zero

ROUNDING = 1e-15  # smaller eigenvalues are rounding errors of 0, which would count for a small alpha


def gram(squared_distances: np.ndarray, width: float) -> np.ndarray:
    """Compute the Gaussian Gram matrix exp(-D / 2 width²), (n, n)."""
    exponents = squared_distances * (-0.5 / width**2)
    return np.exp(exponents, out=exponents)


def delta(labels: np.ndarray) -> np.ndarray:
    """Compute the Gram matrices (..., n, n) of the delta kernel, which is 1 where labels (..., n) are equal."""
    return (labels[..., :, None] == labels[..., None, :]).astype(np.float64)


def joint(*grams: np.ndarray) -> np.ndarray:
    """Compute the joint Gram matrix of several variables, the Hadamard product of theirs (n, n), with trace 1.

    >>> joint(np.eye(2), np.ones((2, 2)))
    array([[0.5, 0. ],
           [0. , 0.5]])
    """
    product = np.prod(grams, axis=0)
    return product / np.trace(product)


def entropy(gram: np.ndarray, alpha: float) -> np.ndarray:
    """Compute the entropy S_alpha of Gram matrices, log2(sum_i lambda_i^alpha) / (1 - alpha) of K / tr K.

    Args:
        gram: (..., n, n) Gram matrices K.
        alpha: Order. 1 gives the von Neumann entropy, inf gives minus log2 of the largest eigenvalue.

    Returns:
        (...) bits.

    Raises:
        ValueError: alpha is 0 or negative.

    References:
        Yu et al. 2021, TNNLS, arXiv 1804.06537, eq. 1; Sánchez Giraldo et al. 2015, arXiv 1211.2459.

    Examples:
        >>> round(float(entropy(np.eye(8), 1.01)), 6)
        3.0
        >>> round(float(entropy(np.array([[1, 0.5], [0.5, 1]]), 2)), 6)
        0.678072
    """
    if alpha != np.inf:
        above_zero("alpha", alpha)
    trace = np.trace(gram, axis1=-2, axis2=-1)[..., None]
    if alpha == 2:
        return -np.log2(((gram / trace[..., None]) ** 2).sum(axis=(-2, -1)))
    return entropy_of_spectrum(eigenvalues(gram) / trace, alpha)


def entropy_of_spectrum(spectrum: np.ndarray, alpha: float) -> np.ndarray:
    """Compute S_alpha in bits from the eigenvalues (..., n) of matrices with trace 1."""
    spectrum = np.where(spectrum < ROUNDING, 0, spectrum)
    if alpha == np.inf:
        return -np.log2(spectrum.max(axis=-1))
    if alpha == 1:
        return -(spectrum * np.log2(np.where(spectrum > 0, spectrum, 1))).sum(axis=-1)
    return np.log2((spectrum**alpha).sum(axis=-1)) / (1 - alpha)


def entropy_of_labels(labels: np.ndarray, alpha: float) -> np.ndarray:
    """Compute S_alpha in bits of the delta kernel of labels (..., n), whose eigenvalues are the shares of the classes.

    >>> round(float(entropy_of_labels(np.repeat([0, 1, 2, 3], 5), 1.01)), 6)
    2.0
    """
    shares = delta(labels).mean(axis=-1)  # (..., n) of the class of each sample
    if alpha == np.inf:
        return -np.log2(shares.max(axis=-1))
    if alpha == 1:
        return -np.log2(shares).mean(axis=-1)
    return np.log2((shares ** (alpha - 1)).mean(axis=-1)) / (1 - alpha)


def eigenvalues(symmetric: np.ndarray) -> np.ndarray:
    """Compute the eigenvalues (..., n) of symmetric matrices (..., n, n), ascending, on the GPU where there is one."""
    if torch.cuda.is_available():
        return torch.linalg.eigvalsh(torch.from_numpy(symmetric).cuda()).cpu().numpy()
    if symmetric.ndim == 2:
        return in_threads(np.linalg.eigvalsh, symmetric[None])[0]
    return in_threads(np.linalg.eigvalsh, symmetric)


def in_threads(function: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
    """Call a function of values (k, ...) that works row by row, with a share of the rows in each of torch's threads.

    Linear algebra uses one thread per share, since several threads slow down small matrices. A nested call only calls
    the function.
    """
    if getattr(_threads, "entered", False):
        return function(values)

    def share(rows: np.ndarray) -> np.ndarray:
        _threads.entered = True
        try:
            return function(rows)
        finally:
            _threads.entered = False

    count = min(torch.get_num_threads(), len(values))
    with _libraries().limit(limits=1, user_api="blas"):
        if count == 1:
            return share(values)
        with ThreadPoolExecutor(count) as pool:
            return np.concatenate(list(pool.map(share, np.array_split(values, count))))


_threads = threading.local()


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()
