"""Smooth channels: planted truth whose probabilities change gradually along a direction of the activations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import entr, ndtr, ndtri
from scipy.stats import rankdata

from bench.information.variables import Variable

CELLS = 32  # of a continuous target, by which its information is computed
HALVINGS = 10


@dataclass(frozen=True)
class SmoothChannel:
    """Targets in the order of a noisy copy of a function of t.

    z has the normal scores of the function of t. The targets are assigned by the ranks of cos(a) z + sin(a) noise. The
    probability that sample i gets a target of a cell is a difference of two normal cdfs, and the information is the
    entropy of their mean minus their mean entropy.

    Attributes:
        scores: (n,) z. Equal values have equal scores.
        of_target: (n,) the rows of the targets in the order of their values.
        ends: Ranks at which one cell of the target ends and the next begins.
    """

    scores: np.ndarray
    of_target: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(
        cls, across_t: np.ndarray, across_target: np.ndarray, target: Variable, rng: np.random.Generator
    ) -> SmoothChannel:
        """Sort samples by their values, as `Channel.of` does. Cells are the classes of a label, in a random order."""
        n = len(across_t)
        if target.labels is None:
            ends = np.unique(np.arange(1, CELLS) * n // CELLS)[1:]
        else:
            across_target = rng.permutation(across_target.max() + 1)[across_target]
            ends = np.cumsum(np.bincount(across_target))[:-1]
        scores = ndtri((rankdata(across_t) - 0.5) / n)
        return cls(scores, np.lexsort((rng.random(n), across_target)), ends)

    def order(self, bits: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """Draw an order of the targets, (n,) row numbers, that plants about this information.

        Returns:
            The order, and its information in bits.
        """
        noise = rng.normal(size=len(self.scores))
        low, high = 0.0, np.pi / 2
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self._bits(middle, noise) > bits else (low, middle)
        order = np.empty(len(noise), dtype=np.int64)
        order[np.argsort(self._noisy(high, noise))] = self.of_target
        return order, self._bits(high, noise)

    def _noisy(self, angle: float, noise: np.ndarray) -> np.ndarray:
        return np.cos(angle) * self.scores + np.sin(angle) * noise

    def _bits(self, angle: float, noise: np.ndarray) -> float:
        """Compute the information for cells that end between the noisy values of this draw."""
        ordered = np.sort(self._noisy(angle, noise))
        cuts = (ordered[self.ends - 1] + ordered[self.ends]) / 2
        below = ndtr((cuts - np.cos(angle) * self.scores[:, None]) / max(np.sin(angle), 1e-12))
        shares = np.diff(below, prepend=0, append=1)
        return float((entr(shares.mean(axis=0)).sum() - entr(shares).sum(axis=1).mean()) / np.log(2))
