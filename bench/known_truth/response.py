"""Response of an estimator to known information that is planted on the same activations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.errors import EstimationError
from bench.estimators import Estimator
from bench.information.estimate import Estimate, Planted
from bench.information.variables import Variable
from bench.known_truth.planted import plant


def with_response(
    estimate: Estimate, estimator: Estimator, t: Variable, target: Variable, rng: np.random.Generator
) -> Estimate:
    """Add to an estimate the excess that the estimator finds for information planted on the same samples.

    The planted information is about half of the capacity of the target, at most 1 bit (see `plant`). An estimate
    without a null has no excess and is returned as it is.

    Args:
        estimate: The estimate for t and the target.
        estimator: The estimator.
        t: Activations.
        target: The target that is replaced by the planted one.
        rng: Generator of planting and of the estimator.
    """
    if estimate.null is None:
        return estimate
    try:
        target, bits = plant(t, target, rng)
        found = estimator.estimate(replace(t, deterministic=False), target, rng=rng)  # planted bits are finite
        # the planted target is of the same kind as the target, so there is a null here too
        assert found.excess is not None
        assert found.significant is not None
        planted = Planted(bits, found.excess, found.significant)
    except EstimationError as error:
        planted = Planted(np.nan, np.nan, False, f"no truth could be planted: {error}")
    return replace(estimate, planted=planted)
