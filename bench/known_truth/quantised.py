"""Normal variables and the numbers of their cells: a continuous side, and an ordered side with ties."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import entr, ndtr

from bench.known_truth.base import Benchmark, require

MOST = 16.0  # bits of a pair of columns


def cell_probabilities(nats: float) -> np.ndarray:
    """Return probabilities of cells with this entropy in nats: all are equal, and the last one is at most as large.

    >>> cell_probabilities(np.log(4)).round(6)
    array([0.25, 0.25, 0.25, 0.25])
    """
    cells = int(np.ceil(np.exp(nats) * (1 - 1e-9)))
    if cells == 1:
        return np.ones(1)

    def excess(last: float) -> float:
        return entr(last) + entr(1 - last) + (1 - last) * np.log(cells - 1) - nats

    last = 1 / cells if excess(1 / cells) <= 0 else brentq(excess, 0, 1 / cells, xtol=1e-16)
    return np.append(np.full(cells - 1, (1 - last) / (cells - 1)), last)


class Quantised(Benchmark):
    """Independent pairs of a standard normal column and the number of its cell, as a float.

    The cells of a column are equally likely, except the last one, which has the rest. The cell is a function of the
    column, so I = dim H(cell).

    Args:
        bits: Mutual information in bits, at most 16 for each column.
        dim: Number of columns of either side.

    References:
        The package mutinfo (VanessB/mutinfo on GitHub), `UniformlyQuantized` in `mutinfo.distributions.base`.

    Examples:
        >>> t, cells = Quantised(bits=4, dim=2).sample(1000, np.random.default_rng(0))
        >>> np.unique(cells)
        array([0., 1., 2., 3.])
    """

    def __init__(self, bits: float, dim: int):
        super().__init__(bits, dim)
        require("bits", bits, bits <= MOST * dim, f"at most {MOST:.4g} for each of {dim} columns")
        self.upper = np.cumsum(cell_probabilities(bits / dim * np.log(2)))[:-1]

    def sample(self, n, rng):
        t = rng.normal(size=(n, self.dim))
        return t, np.searchsorted(self.upper, ndtr(t)).astype(float)
