"""Smooth channels: planted labels whose probabilities change gradually along a direction of the activations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import entr, ndtr, ndtri

HALVINGS = 20  # of the range of angles


@dataclass(frozen=True)
class SmoothChannel:
    """Labels that follow the order of a noisy copy of a function of t.

    z has the normal scores of the function of t. The labels are assigned by the ranks of cos(a) z + sin(a) noise, one
    class after the other. The probability that sample i gets a class is a difference of two normal cdfs at z_i. The
    information is the entropy of the mean of these probabilities minus their mean entropy.

    Attributes:
        scores: (n,) z. Equal values of the function have equal scores.
        by_class: (n,) the rows of the labels, one class after the other.
        ends: (classes - 1,) ranks at which one class ends and the next begins.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> channel = SmoothChannel.of(rng.normal(size=1000), np.arange(1000) % 2, rng)
        >>> order, bits = channel.order(0.5, rng)
        >>> round(bits, 3)
        0.5
    """

    scores: np.ndarray
    by_class: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, across_t: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> SmoothChannel:
        """Sort samples.

        Args:
            across_t: (n,) a function of t.
            classes: (n,) numbers of the classes, from 0. They come in a random order.
            rng: Generator of orders.
        """
        from scipy.stats import rankdata  # here, because scipy.stats takes a second to load

        classes = rng.permutation(classes.max() + 1)[classes]
        scores = ndtri((rankdata(across_t) - 0.5) / len(across_t))
        by_class = np.lexsort((rng.random(len(classes)), classes))
        return cls(scores, by_class, np.cumsum(np.bincount(classes))[:-1])

    def order(self, bits: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """Draw an order of the labels, (n,) row numbers, that plants this information, or the most that ties allow.

        Returns:
            The order, and its information in bits.
        """
        noise = rng.normal(size=len(self.scores))
        low, high = 0.0, np.pi / 2
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self._bits(middle, noise) > bits else (low, middle)
        order = np.empty(len(noise), dtype=np.int64)
        order[np.argsort(self._noisy(high, noise))] = self.by_class
        return order, self._bits(high, noise)

    def _noisy(self, angle: float, noise: np.ndarray) -> np.ndarray:
        return np.cos(angle) * self.scores + np.sin(angle) * noise

    def _bits(self, angle: float, noise: np.ndarray) -> float:
        """Compute the information of classes that end between the noisy values of this draw."""
        ordered = np.sort(self._noisy(angle, noise))
        cuts = (ordered[self.ends - 1] + ordered[self.ends]) / 2
        below = ndtr((cuts - np.cos(angle) * self.scores[:, None]) / np.sin(angle))
        shares = np.diff(below, prepend=0, append=1)
        return float((entr(shares.mean(axis=0)).sum() - entr(shares).sum(axis=1).mean()) / np.log(2))
