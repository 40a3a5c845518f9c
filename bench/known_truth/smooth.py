"""Smooth channels: planted labels whose probabilities change gradually with the activations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import entr, softmax

SHARPNESS = np.geomspace(0.03, 300, 40)  # of the probabilities, in units of 1 / the spread of the scores
ROUNDS = 8  # of the fit of the mean probabilities to the sizes of the classes


@dataclass(frozen=True)
class SmoothChannel:
    """Labels drawn from a multinomial logistic model of scores, with classes of given sizes.

    The probability that sample i has class c is p_ic = softmax_c(b s_ic + a_c). The offsets a_c make the mean
    probabilities equal to the shares of the classes. The information is the entropy of these shares minus the mean
    entropy of p_i.

    Attributes:
        scores: (n, classes) s, functions of t with root mean square 1.
        sizes: (classes,) numbers of samples.
        by_class: (n,) the rows of the labels, one class after the other.
        bits: Information in bits for each sharpness b of SHARPNESS.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> channel = SmoothChannel.of(rng.normal(size=(1000, 2)), np.arange(1000) % 2, rng)
        >>> order, bits = channel.order(0.5, rng)
        >>> round(bits, 2)
        0.5
    """

    scores: np.ndarray
    sizes: np.ndarray
    by_class: np.ndarray
    bits: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> SmoothChannel:
        """Make the channel.

        Args:
            scores: (n, classes) functions of t, one for each class.
            classes: (n,) numbers of the classes, from 0.
            rng: Generator of the order of the labels within a class.
        """
        scores = scores - scores.mean(axis=1, keepdims=True)
        scores = scores - scores.mean(axis=0)
        scores = scores / max(np.sqrt((scores**2).mean()), np.finfo(float).tiny)
        sizes = np.bincount(classes)
        bits = np.array([_bits(_logits(sharpness * scores, sizes)) for sharpness in SHARPNESS])
        return cls(scores, sizes, np.lexsort((rng.random(len(classes)), classes)), bits)

    def order(self, bits: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """Draw an order of the labels, (n,) row numbers, that plants about this information, or the most possible.

        Returns:
            The order, and its information in bits.
        """
        rising = np.maximum.accumulate(self.bits)
        logits = _logits(np.exp(np.interp(bits, rising, np.log(SHARPNESS))) * self.scores, self.sizes)
        cells = partition(logits + rng.gumbel(size=logits.shape), self.sizes)
        order = np.empty(len(cells), dtype=np.int64)
        order[np.argsort(cells, kind="stable")] = self.by_class
        return order, _bits(logits)


def partition(scores: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Give each sample the class of its highest score for which there is room, the clearest samples first.

    Args:
        scores: (n, classes).
        sizes: (classes,) numbers of samples, n in all.

    Returns:
        (n,) numbers of classes.

    Examples:
        >>> partition(np.array([[0, 1.0], [0, 3.0], [0, 2.0]]), np.array([1, 2]))
        array([0, 1, 1])
    """
    n, count = scores.shape
    cells, room = np.full(n, -1), sizes.tolist()
    for pair in np.argsort(-(scores - scores.mean(axis=1, keepdims=True)), axis=None, kind="stable").tolist():
        sample, cell = divmod(pair, count)
        if room[cell] and cells[sample] < 0:
            cells[sample] = cell
            room[cell] -= 1
    return cells


def _logits(scaled: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Add the offsets for which the mean probabilities are the shares of the classes."""
    offsets = np.log(sizes / sizes.sum())
    for _ in range(ROUNDS):
        offsets = offsets + np.log(sizes / np.maximum(softmax(scaled + offsets, axis=1).sum(axis=0), 1e-300))
    return scaled + offsets


def _bits(logits: np.ndarray) -> float:
    """Compute the information that the samples have about a class with these probabilities."""
    shares = softmax(logits, axis=1)
    return float((entr(shares.mean(axis=0)).sum() - entr(shares).sum(axis=1).mean()) / np.log(2))
