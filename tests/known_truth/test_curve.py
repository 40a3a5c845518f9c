"""Dose-response curves with a known form are inverted exactly, and their intervals contain the truth."""

import numpy as np
import pytest

from bench.errors import EstimationError
from bench.known_truth.curve import Curves

DOSES = np.array([0, 0.1, 0.25, 0.5, 0.75, 1.0])


def curves(*responses, bound=1.0):
    return Curves(np.tile(DOSES, (len(responses), 1)), np.array(responses), bound)


@pytest.mark.parametrize("truth", [0.05, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("slope", [1.0, 0.5, 0.1, 1.7])
def test_a_proportional_answer_is_inverted_exactly_and_the_interval_is_wider_for_a_lower_slope(truth, slope):
    found = curves(slope * DOSES).invert(slope * truth, slope * 0.01)
    assert found.bits == pytest.approx(truth, abs=1e-3)
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.01, rel=0.05)
    assert found.reliable
    half = curves(slope / 2 * DOSES).invert(slope / 2 * truth, slope * 0.01)
    assert half.bits == pytest.approx(truth, abs=1e-3)
    assert half.high - half.low == pytest.approx(4 * 1.96 * 0.01, rel=0.05) or half.low == 0


@pytest.mark.parametrize("error", [0.0, 0.05])
def test_a_flat_curve_identifies_nothing(error):
    found = curves(np.zeros(6)).invert(0.0, error)
    assert np.isnan(found.bits)
    assert (found.low, found.high) == (0, 1)
    assert not found.reliable
    assert found.reason.startswith("not identifiable: truths from 0.00 to 1.00 bits")


def test_a_saturating_curve_is_identifiable_only_below_its_ceiling():
    saturating = curves(np.minimum(DOSES, 0.25))
    below = saturating.invert(0.15, 0.01)
    assert below.bits == pytest.approx(0.15, abs=1e-3)
    assert below.reliable
    at = saturating.invert(0.25, 0.01)
    assert np.isnan(at.bits)
    assert (at.low, at.high) == (pytest.approx(0.23, abs=0.005), 1)


def test_the_interval_contains_the_truths_of_all_forms():
    found = curves(DOSES, DOSES / 2).invert(0.2, 0.001)
    assert (found.low, found.high) == (pytest.approx(0.2, abs=0.01), pytest.approx(0.4, abs=0.01))
    assert found.reliable  # within a factor of 2 of any value between them
    assert not curves(DOSES, DOSES / 4).invert(0.2, 0.001).reliable


def test_an_estimate_above_the_curve_has_all_that_the_label_can_tell():
    assert curves(DOSES / 2).invert(0.6, 0.001).bits == 1.0
    wide = curves(DOSES / 2, bound=2.0).invert(0.6, 0.001)
    assert (wide.low, wide.high) == (2.0, 2.0)


def test_a_negative_excess_is_no_information():
    found = curves(DOSES).invert(-0.1, 0.01)
    assert (found.bits, found.low, found.high, found.reliable) == (0, 0, 0, True)


def test_intervals_cover_the_truth_in_95_percent_of_simulated_cases():
    rng = np.random.default_rng(0)
    slopes = rng.uniform(0.3, 0.6, size=(200, 1))
    truths, slope = rng.uniform(0, 0.7, 200), rng.uniform(0.3, 0.6, 200)
    answers = slope * truths + 0.02 * rng.normal(size=200)
    inverted = [
        curves(*(rng.choice(slopes, 12) * DOSES + 0.02 * rng.normal(size=(12, 6)))).invert(answer, 0.02)
        for answer in answers
    ]
    covered = np.mean([found.low <= truth <= found.high for found, truth in zip(inverted, truths, strict=True)])
    assert 0.92 <= covered <= 0.99


def test_numbers_that_are_not_finite_are_refused():
    with pytest.raises(EstimationError, match="got an excess of nan"):
        curves(DOSES).invert(np.nan, 0.1)
