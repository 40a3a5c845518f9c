"""Doses of information planted on the same samples in several forms, and the answers of an estimator to them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import rel_entr
from scipy.stats import rankdata

from bench.errors import EstimationError
from bench.estimators import Estimator
from bench.estimators.base import add_noise
from bench.information.estimate import Estimate
from bench.information.reductions import Distances
from bench.information.statistics import NORMAL_QUANTILE
from bench.information.variables import Variable, plug_in_entropy
from bench.known_truth.curve import Calibrated, Curves
from bench.known_truth.planted import COORDINATES, Channel, target_values
from bench.known_truth.smooth import SmoothChannel

SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)  # of what the cells can carry
EACH = 3  # random directions, principal components and directions of class means
NEIGHBOURS = 10
ZEROS = 8  # draws of a dose of 0, which is the same for all forms


def calibrated(
    estimate: Estimate, estimator: Estimator, t: Variable, target: Variable, rng: np.random.Generator
) -> Calibrated:
    """Find the information for which the estimator is likely to answer as it did, by its dose-response curves.

    Args:
        estimate: The estimate of this estimator for t and the target, with a null.
        estimator: The estimator.
        t: Activations.
        target: The target.
        rng: Generator of planting and of the estimator.

    Raises:
        EstimationError: The estimate has no null, or nothing can be planted.
    """
    if estimate.excess is None:
        raise EstimationError("got an estimate without a null, wanted one that depends on the pairs")
    error = max((estimate.interval[1] - estimate.interval[0]) / 2 / NORMAL_QUANTILE, estimate.null.spread)
    return dose_response(estimator, t, target, rng).invert(estimate.excess, error)


def dose_response(estimator: Estimator, t: Variable, target: Variable, rng: np.random.Generator) -> Curves:
    """Plant doses of information along directions of t, and let the estimator answer each.

    Every planted target is an order of the given target. The estimator computes what all orders share, such as
    distances, once (`Estimator.reordered`).

    Raises:
        EstimationError: A side has no spread.
    """
    if estimator.noise is not None:
        t = add_noise(t, estimator.noise, rng)
    orders = [rng.permutation(t.n) for _ in range(ZEROS)]
    names, doses = [], []
    weights = []
    for name, across_t, across_target, apart in forms(t, target, rng):
        about = shared_bits(across_t[apart], across_target[apart], target.labels is not None)
        weights += [about, about]
        steps = Channel.of(across_t, across_target, target, rng)
        smooth = SmoothChannel.of(across_t, across_target, target, rng)
        for shape, channel in (("steps", steps), ("smooth", smooth)):
            drawn = [channel.order(share * steps.most, rng) for share in SHARES]
            orders += [order for order, _ in drawn]
            doses.append([0.0, *(bits for _, bits in drawn)])
            names.append(f"{name}, {shape}")
    bits = estimator.reordered(t, target, orders, rng)
    responses = (bits[ZEROS:] - bits[:ZEROS].mean()).reshape(len(names), -1)
    bound = np.inf if target.labels is None else plug_in_entropy(target.labels)
    return Curves(np.array(doses), np.pad(responses, [(0, 0), (1, 0)]), bound, tuple(names), np.array(weights))


def forms(t: Variable, target: Variable, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield functions of t along which information is planted, each with its name and the values (n,) of the target.

    They are random directions, the leading principal components, and the directions that random halves of the samples
    give to the means of the classes. For a continuous target, these are the directions of the covariance.
    """
    columns = t.coordinates(COORDINATES)
    columns = columns - columns.mean(axis=0)
    if not np.ptp(columns):
        raise EstimationError("got identical rows, wanted rows that differ: nothing can be planted in them")
    rows = np.arange(t.n)
    for _ in range(EACH):
        yield "random direction", columns @ rng.normal(size=columns.shape[1]), target_values(target, rng), rows
    axes = np.linalg.svd(columns, full_matrices=False)[2]
    for axis in axes[:EACH]:
        yield "principal component", columns @ axis, target_values(target, rng), rows
    near = _weights(columns)
    for _ in range(EACH):
        values = target_values(target, rng)
        half, apart = np.array_split(rng.permutation(t.n), 2)
        yield "class means", columns @ _towards(columns[half], values[half], target, rng), values, apart
        contrasts = _contrasts(values[half], target, rng)
        yield "neighbours", (near[:, half] @ contrasts) / near[:, half].sum(axis=1), values, apart


def shared_bits(across_t: np.ndarray, across_target: np.ndarray, labelled: bool) -> float:
    """Estimate the information between a function of t, cut into 8 cells, and the target; less its bias."""
    n = len(across_t)
    cells = np.argsort(np.argsort(across_t)) * 8 // n
    classes = np.unique(across_target, return_inverse=True)[1] if labelled else rankdata(across_target).astype(int) * 4 // (n + 1)
    counts = np.zeros((8, classes.max() + 1))
    np.add.at(counts, (cells, classes), 1)
    free = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / n
    bias = 7 * (counts.shape[1] - 1) / (2 * n)
    return float((rel_entr(counts, free).sum() / n - bias) / np.log(2))


def _towards(columns: np.ndarray, values: np.ndarray, target: Variable, rng: np.random.Generator) -> np.ndarray:
    """Return the direction (k,) in which the means of the classes differ, or of the covariance with the values."""
    contrasts = _contrasts(values, target, rng)
    return columns.T @ (contrasts - contrasts.mean())


def _contrasts(values: np.ndarray, target: Variable, rng: np.random.Generator) -> np.ndarray:
    """Return a random number for each class, divided by its size, (m,); or the values of a continuous target."""
    if target.labels is None:
        return values
    return rng.normal(size=values.max() + 1)[values] / np.bincount(values)[values]


def _weights(columns: np.ndarray) -> np.ndarray:
    """Return Gaussian weights (n, n) of the others, with the distance to the 10th neighbour as width."""
    squared = Variable.of(columns).read(Distances())
    width = np.partition(squared, NEIGHBOURS, axis=1)[:, NEIGHBOURS, None]
    weights = np.exp(-squared / np.maximum(width, np.finfo(float).tiny))
    np.fill_diagonal(weights, 0)
    return weights + np.finfo(float).tiny
