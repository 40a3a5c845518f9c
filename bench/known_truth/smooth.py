"""Smooth channels: planted labels whose probabilities change gradually with the activations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import entr

SHARPNESS = np.geomspace(0.1, 100, 12)  # of the probabilities, in units of 1 / the spread of the scores
TINY = 1e-300
ROUNDS = 6  # of the fit of the mean probabilities to the sizes of the classes


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
        offsets: (sharpnesses, classes) near a for each sharpness b of SHARPNESS.
        bits: (sharpnesses,) the information in bits.

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
    offsets: np.ndarray
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
        offsets, bits = [np.log(sizes / sizes.sum())], []
        for sharpness in SHARPNESS:
            probabilities, fitted = _model(sharpness * scores, offsets[-1], sizes)
            offsets.append(fitted * SHARPNESS[1] / SHARPNESS[0])  # where the next fit begins
            bits.append(_bits(probabilities))
        by_class = np.lexsort((rng.random(len(classes)), classes))
        return cls(scores, sizes, by_class, np.array(offsets[:-1]), np.maximum.accumulate(bits))

    def order(self, bits: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """Draw an order of the labels, (n,) row numbers, that plants about this information, or the most possible.

        Returns:
            The order, and its information in bits.
        """
        place = np.interp(bits, self.bits, np.arange(len(SHARPNESS)))
        sharpness = np.exp(np.interp(place, np.arange(len(SHARPNESS)), np.log(SHARPNESS)))
        near = round(place)
        probabilities, _ = _model(sharpness * self.scores, self.offsets[near] * sharpness / SHARPNESS[near], self.sizes)
        drawn = np.log(np.maximum(probabilities, TINY)) + rng.gumbel(size=probabilities.shape)
        order = np.empty(len(drawn), dtype=np.int64)
        order[np.argsort(partition(drawn, self.sizes), kind="stable")] = self.by_class
        return order, _bits(probabilities)


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


def _model(scaled: np.ndarray, offsets: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities (n, classes), and the offsets for which their means are the shares of the classes."""
    for _ in range(ROUNDS):
        logits = scaled + offsets
        probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        offsets = offsets + np.log(sizes / np.maximum(probabilities.sum(axis=0), TINY))
    return probabilities, offsets


def _bits(probabilities: np.ndarray) -> float:
    """Compute the information that the samples have about a class with these probabilities."""
    of_classes, of_samples = entr(probabilities.mean(axis=0)).sum(), entr(probabilities).sum(axis=1).mean()
    return float((of_classes - of_samples) / np.log(2))
