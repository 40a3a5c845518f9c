"""A noise channel on t, declared where its information about a continuous variable would have no bound."""

from __future__ import annotations

import numpy as np

from bench.estimators.base import above_zero
from bench.estimators.resampled import Resampled
from bench.information.variables import Variable


def noised(t: Variable, noise: float, rng: np.random.Generator) -> Variable:
    """t plus Gaussian noise on each column, of `noise` times the root of the mean variance of t's columns.

    Where only distances are held, the noise is that along t's principal coordinates, n - 1 or as many as t has columns;
    what is left out is orthogonal to every sample.
    """
    columns = _coordinates(t) if t.samples is None else t.samples.astype(np.float64)
    spread = noise * np.sqrt(columns.var(axis=0).sum() / t.dim)
    return Variable.of(columns + spread * rng.normal(size=columns.shape), t.groups)


def _coordinates(t: Variable) -> np.ndarray:
    """With columns of 0 where t has no spread, since the noise has."""
    most = min(t.n - 1, t.dim)
    spread_out = t.coordinates(most)
    return np.pad(spread_out, [(0, 0), (0, most - spread_out.shape[1])])


class Noised(Resampled):
    """A statistic of densities: of t as it is, or of t behind the noise channel."""

    diverges = True

    def __init__(self, noise: float | None):
        self.noise = None if noise is None else above_zero("noise", noise)

    def answer(self, t, target, given, rng):
        return super().answer(t if self.noise is None else noised(t, self.noise, rng), target, given, rng)
