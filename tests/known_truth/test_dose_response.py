"""Doses of information about labels are exact, and estimators answer them as they answer any other sample."""

from dataclasses import replace

import numpy as np
import pytest
from running import layers, runs, tiny

from bench.errors import EstimationError
from bench.estimators import KSG, Gaussian, VInformation
from bench.information.variables import Variable
from bench.known_truth import Discretised, with_calibrated_bits
from bench.known_truth.dose_response import dose_response
from bench.known_truth.planted import Channel
from bench.known_truth.smooth import SmoothChannel, partition


def rng(seed=0):
    return np.random.default_rng(seed)


def counted_bits(cells, labels):
    """Compute the information of cells of equal size and labels from a table of counts."""
    joint = np.zeros((cells.max() + 1, labels.max() + 1))
    np.add.at(joint, (cells, labels), 1 / len(cells))
    free = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    return float((joint[joint > 0] * np.log2((joint / free)[joint > 0])).sum())


def test_samples_that_mislead_an_estimator_have_no_calibrated_bits():
    """The norm of t tells the class, but the sphere around a wide class contains all narrow classes."""
    label = np.repeat(np.arange(4), 40)
    t = rng().normal(size=(160, 100)) * 2.0 ** label[:, None]
    assert len(np.unique(np.round(np.log2(np.linalg.norm(t, axis=1) / 10)))) == 4  # 2 bits
    estimator, variables = KSG("mixture", k=5, subsamples=4), (Variable.of(t), Variable.of(label))
    estimate = estimator.estimate(*variables, rng=rng())
    assert estimate.below_null
    calibrated = with_calibrated_bits(estimate, estimator, *variables, rng()).calibrated
    assert np.isnan(calibrated.bits)
    assert (calibrated.low, calibrated.high, calibrated.reliable) == (0, 2, False)
    assert "below those of any dose" in calibrated.reason


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.7, 0.2, 0.1]])
@pytest.mark.parametrize("wanted", [0.05, 0.3, 0.8, 0.99])
def test_a_smooth_channel_plants_the_stated_bits_and_keeps_the_classes(shares, wanted):
    t, classes = rng(1).normal(size=20_000), rng(2).choice(len(shares), 20_000, p=shares)
    scores = np.outer(t, np.arange(len(shares)))
    order, bits = SmoothChannel.of(scores, classes, rng(3)).order(wanted, rng(4))
    assert bits == pytest.approx(wanted, abs=0.02)
    np.testing.assert_array_equal(np.sort(order), np.arange(len(t)))
    cells = np.argsort(np.argsort(t)) * 200 // len(t)
    bias = 199 * (len(shares) - 1) / (2 * len(t) * np.log(2))
    assert counted_bits(cells, classes[order]) - bias == pytest.approx(bits, abs=0.025)


def test_samples_with_equal_scores_have_equal_probabilities():
    t = np.repeat([0.0, 1.0], [15_000, 5_000])
    classes = np.arange(len(t)) % 2
    order, bits = SmoothChannel.of(np.outer(t, [0, 1]), classes, rng()).order(0.9, rng(1))
    most = counted_bits(t.astype(int), (np.arange(len(t)) >= 10_000).astype(int))  # all of t = 1 in one class
    assert bits == pytest.approx(most, abs=0.01)
    assert counted_bits(t.astype(int), classes[order]) == pytest.approx(bits, abs=0.01)


def test_the_doses_of_steps_have_the_stated_bits_for_classes_in_the_plane():
    t, classes = rng().normal(size=(20_000, 2)), rng(1).choice(3, 20_000, p=[0.5, 0.3, 0.2])
    corners = t @ np.array([[1, 0], [-0.5, 0.9], [-0.5, -0.9]]).T
    cells = partition(corners, np.bincount(classes))
    np.testing.assert_array_equal(np.bincount(cells), np.bincount(classes))
    channel = Channel.between((t[:, 0], cells), (classes, classes))
    for wanted in (0.0, 0.4, 1.2):
        order, bits = channel.order(wanted, rng(2))
        assert bits == pytest.approx(wanted, abs=1e-3)
        assert counted_bits(cells, classes[order]) == pytest.approx(bits, abs=0.01)


@pytest.mark.parametrize("estimator", [KSG("mixture", 5), KSG(1), Gaussian(), VInformation(steps=20)])
def test_reordered_estimates_are_those_of_reordered_targets(estimator):
    t, label = Discretised(1.0, 2).sample(200, rng())
    t, target = Variable.of(t), Variable.of(label)
    orders = [np.arange(200), rng(1).permutation(200)]
    found = estimator.reordered(t, target, orders, rng(2))
    single = [estimator.answer(t, target.reordered(order), None, rng(2)).bits for order in orders]
    tolerance = 0.05 if isinstance(estimator, VInformation) else 1e-9  # networks of one batch end at the same step
    np.testing.assert_allclose(found, single, atol=tolerance)


def test_doses_rise_from_0_to_what_the_label_can_tell():
    t, label = Discretised(0.0, 3).sample(400, rng())
    curves = dose_response(KSG("mixture", 5), Variable.of(t), Variable.of(label), rng(1))
    assert curves.doses.shape == curves.responses.shape == (8, 5)
    assert (np.diff(curves.doses, axis=1) > 0).all()
    np.testing.assert_allclose(curves.doses[::2, [0, -1]], [[0, 2]] * 4, atol=0.02)  # steps
    np.testing.assert_allclose(curves.doses[1::2, [0, -1]], [[0, 1.9]] * 4, atol=0.1)  # gradual changes
    assert curves.bound == pytest.approx(2, abs=0.05)
    assert (curves.responses[:, -1] > 1).all()  # at most 2 bits


def test_calibrated_bits_of_many_dimensions_are_nearer_to_the_truth_than_the_excess():
    t, label = Discretised(0.5, 12, 2).sample(600, rng())
    t, target, estimator = Variable.of(t), Variable.of(label), KSG("mixture", 5)
    found = with_calibrated_bits(estimator.estimate(t, target, rng=rng(1)), estimator, t, target, rng(2))
    assert found.excess < 0.4
    assert found.calibrated.low <= 0.5 <= found.calibrated.high
    assert abs(found.calibrated.bits - 0.5) < abs(found.excess - 0.5)


def test_continuous_targets_and_layers_without_spread():
    t, target, estimator = (
        rng().normal(size=(60, 2)),
        Variable.of(rng(1).normal(size=(60, 1))),
        Gaussian(permutations=4),
    )
    found = estimator.estimate(t, target, rng=rng(2))
    assert with_calibrated_bits(found, estimator, Variable.of(t), target, rng()) is found
    with pytest.raises(EstimationError, match="got a continuous target, wanted a label"):
        dose_response(estimator, Variable.of(t), target, rng())
    label = Variable.of(np.arange(60) % 2)
    found = estimator.estimate(t, label, rng=rng(2))
    lost = with_calibrated_bits(found, estimator, Variable.of(np.ones((60, 2))), label, rng())
    assert lost.row()["reason"].startswith("no truth could be planted: got identical rows")
    assert (lost.reliable, lost.calibrated.low, lost.calibrated.high) == (False, 0, found.limit)
    assert with_calibrated_bits(replace(found, null=None), estimator, Variable.of(t), label, rng()).calibrated is None


def test_a_run_with_curves_has_calibrated_bits_about_labels(tmp_path):
    assert tiny(tmp_path, "calibration=curve", "tracking.experiment=curve").code == 0
    curve = layers(tmp_path, *runs(tmp_path, "curve"))
    calibrated = curve["calibrated_low"].notna()
    labelled = (curve["weights"] == "best") & (curve["quantity"] == "I(T;Y)") & curve["null_mean"].notna()
    np.testing.assert_array_equal(calibrated, labelled)
    assert (curve.loc[calibrated, "calibrated_low"] <= curve.loc[calibrated, "calibrated_high"]).all()
    assert curve.loc[calibrated, "reason"].notna().all()
    assert curve.loc[calibrated, "recovered_ok"].isna().all()
