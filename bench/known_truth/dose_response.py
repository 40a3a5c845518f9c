"""Doses of information that are planted on the same samples in several forms, and the answers of an estimator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from operator import itemgetter

import numpy as np

from bench.errors import EstimationError
from bench.estimators import Estimator
from bench.estimators.base import add_noise
from bench.information.estimate import Calibrated, Estimate
from bench.information.statistics import NORMAL_QUANTILE
from bench.information.variables import Variable, plug_in_entropy
from bench.known_truth.curve import Curves
from bench.known_truth.planted import COORDINATES, Channel
from bench.known_truth.smooth import SmoothChannel, partition

SHARES = (0.1, 0.3, 0.6, 1.0)  # doses, as shares of what the cells can carry
ZEROS = 8  # draws of a dose of 0, which is the same for all forms
MEANS = 2  # directions of the class means, each of a random half of the samples


def with_calibrated_bits(
    estimate: Estimate, estimator: Estimator, t: Variable, target: Variable, rng: np.random.Generator
) -> Estimate:
    """Add to an estimate the information for which the estimator is likely to answer as it did.

    An estimate without a null, and one about a target without labels, is returned as it is.

    Args:
        estimate: The estimate of this estimator for t and the target.
        estimator: The estimator.
        t: Activations.
        target: The target.
        rng: Generator of planting and of the estimator.
    """
    if estimate.null is None or target.labels is None:
        return estimate
    if estimate.below_null:
        found = Calibrated(np.nan, 0.0, estimate.limit, False, "not identifiable: the bits are below those of any dose")
        return replace(estimate, calibrated=found)
    error = max((estimate.interval[1] - estimate.interval[0]) / 2 / NORMAL_QUANTILE, estimate.null.spread)
    try:
        found = dose_response(estimator, t, target, rng).invert(estimate.bits - estimate.null.mean, error)
    except EstimationError as failure:
        found = Calibrated(np.nan, 0.0, estimate.limit, False, f"no truth could be planted: {failure}")
    return replace(estimate, calibrated=found)


def dose_response(estimator: Estimator, t: Variable, target: Variable, rng: np.random.Generator) -> Curves:
    """Plant doses of information along directions of t, and let the estimator answer each.

    Along each direction the information has two forms: steps (`Channel`) and gradual changes (`SmoothChannel`). Every
    planted label is an order of the given one, so that the estimator computes what all orders share, such as distances,
    once (`Estimator.reordered`).

    Args:
        estimator: The estimator. Its noise channel, if it has one, is applied before truth is planted.
        t: Activations.
        target: A label.
        rng: Generator of planting and of the estimator.

    Raises:
        EstimationError: The target is no label, or a side has no spread.
    """
    if target.labels is None:
        raise EstimationError("got a continuous target, wanted a label: doses of continuous targets are not calibrated")
    if estimator.noise is not None:
        t = add_noise(t, estimator.noise, rng)
    classes = np.unique(target.labels, return_inverse=True)[1]
    orders, doses = [rng.permutation(t.n) for _ in range(ZEROS)], []
    sizes = np.bincount(classes)
    for scores in class_scores(t, classes, rng):
        values = scores @ rng.normal(size=len(sizes))  # equal rows of t have equal values
        steps = Channel.between((values, partition(scores, sizes)), (classes, classes))
        for channel in (steps, SmoothChannel.of(scores, classes, rng)):
            drawn = sorted((channel.order(share * steps.most, rng) for share in SHARES), key=itemgetter(1))
            orders += [order for order, _ in drawn]
            doses.append([0.0, *(bits for _, bits in drawn)])
    bits = estimator.reordered(t, target, orders, rng)
    responses = (bits[ZEROS:] - bits[:ZEROS].mean()).reshape(len(doses), len(SHARES))
    return Curves(np.array(doses), np.pad(responses, [(0, 0), (1, 0)]), plug_in_entropy(target.labels))


def class_scores(t: Variable, classes: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield linear functions of t, one for each class, (n, classes): planted classes are where theirs is highest.

    The functions are random, or random along the leading principal components, or they are those of the nearest class
    mean in a random half of the samples.

    Args:
        t: Activations. Principal coordinates stand for more than 64 columns.
        classes: (n,) numbers of the classes, from 0.
        rng: Generator of directions and of halves of the samples.
    """
    columns, count = t.coordinates(COORDINATES), classes.max() + 1
    columns = columns - columns.mean(axis=0)
    if not columns.size or not np.ptp(columns):
        raise EstimationError("got identical rows, wanted rows that differ: nothing can be planted in them")
    yield columns @ rng.normal(size=(columns.shape[1], count))
    leading = np.linalg.svd(columns, full_matrices=False)[2][: count - 1]
    yield columns @ leading.T @ rng.normal(size=(len(leading), count))
    for _ in range(MEANS):
        half = rng.permutation(t.n)[: t.n // 2]
        members = classes[half][:, None] == np.arange(count)
        means = members.T @ columns[half] / np.maximum(members.sum(axis=0), 1)[:, None]
        yield columns @ means.T - (means**2).sum(axis=1) / 2
