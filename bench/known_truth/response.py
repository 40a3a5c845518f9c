"""How an estimator responds to truth that is planted on the very activations that it is asked about."""

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
    """The estimate, with what the estimator finds of a planted truth at the same samples, n and dimensions beside it.

    The truth is about as much as half of what the target could tell, at most 1 bit: see `plant`. Without a null there
    is no excess to respond with, and the estimate stays as it is.
    """
    if estimate.null is None:
        return estimate
    try:
        target, bits = plant(t, target, rng)
        found = estimator.estimate(replace(t, deterministic=False), target, rng=rng)  # what is planted is finite
        planted = Planted(bits, found.excess, found.significant)
    except EstimationError as error:
        planted = Planted(np.nan, np.nan, False, f"no truth could be planted: {error}")
    return replace(estimate, planted=planted)
