"""`calibration=true`: estimates with a null have a response to planted truth, and `reliable` depends on it."""

from dataclasses import replace

import numpy as np
import pytest
from running import layers, runs, tiny

from bench.estimators import KSG, Gaussian
from bench.information.estimate import Estimate, Null, Planted
from bench.information.tables import LayerTable
from bench.information.variables import Variable
from bench.known_truth import with_response


def estimate(planted=None):
    null = Null(0.0, 0.01, 0.02, 20)
    return Estimate(0.5, (0.4, 0.6), null, 4.0, 1.0, n=100, dims=(2, 1), planted=planted)


@pytest.mark.parametrize(
    ("planted", "reliable"),
    [
        (None, True),
        (Planted(1.0, 0.9, True), True),
        (Planted(1.0, 0.5, True), True),
        (Planted(1.0, 0.49, True), False),  # significant, but less than half of the truth
        (Planted(1.0, 2.1, True), False),
        (Planted(1.0, 0.9, False), False),  # not significant
        (Planted(np.nan, np.nan, False, "no truth could be planted"), False),
    ],
)
def test_reliable_requires_that_planted_truth_is_recovered(planted, reliable):
    assert estimate(planted).reliable is reliable


def test_only_an_estimator_that_suits_the_samples_recovers_planted_truth():
    # the label is independent of t, so that all information is planted
    rng = np.random.default_rng(0)
    t, label = rng.normal(size=(300, 2)), rng.integers(0, 2, 300)
    for estimator in (KSG(permutations=10), Gaussian(permutations=10)):
        found = estimator.estimate(t, label, rng=np.random.default_rng(1))
        responded = with_response(found, estimator, Variable.of(t), Variable.of(label), np.random.default_rng(2))
        assert responded.planted.bits == pytest.approx(0.5, abs=0.02)  # half of the entropy of the label
        assert responded.planted.recovered_ok
    wide = rng.normal(size=(300, 2000))
    found = KSG(permutations=10).estimate(wide, label, rng=np.random.default_rng(1))
    lost = with_response(found, KSG(permutations=10), Variable.of(wide), Variable.of(label), np.random.default_rng(2))
    assert lost.planted.bits == pytest.approx(0.5, abs=0.02)
    assert not lost.reliable


def test_a_constant_layer_has_a_reason():
    rng = np.random.default_rng(0)
    t, label = rng.normal(size=(100, 1)), np.arange(100) % 2
    found = KSG(permutations=4).estimate(t, label, rng=rng)
    nothing = with_response(found, KSG(permutations=4), Variable.of(np.ones((100, 1))), Variable.of(label), rng)
    assert nothing.row()["reason"].startswith("no truth could be planted: got identical rows")
    assert nothing.reliable is False
    assert nothing.planted.significant is False


def test_planted_information_is_finite_for_a_deterministic_layer():
    rng = np.random.default_rng(0)
    t, target = Variable.of(rng.normal(size=(200, 2))), Variable.of(rng.normal(size=(200, 1)))
    found = Gaussian(permutations=4).estimate(t, target, rng=rng)
    layer = replace(t, deterministic=True)
    assert with_response(found, Gaussian(permutations=4), layer, target, rng).planted.reason is None


def test_every_estimate_with_a_null_has_the_response_that_a_run_measures_once(tmp_path):
    for calibration in ("true", "false"):
        assert tiny(tmp_path, f"calibration={calibration}", f"tracking.experiment=plant_{calibration}").code == 0
    with_plant, without = (
        layers(tmp_path, *runs(tmp_path, f"plant_{calibration}")) for calibration in ("true", "false")
    )
    nulls = with_plant["null_mean"].notna()
    assert set(with_plant.loc[nulls, "weights"]) == {"epoch", "best"}
    assert with_plant.loc[nulls, "recovered_ok"].notna().all()
    assert with_plant.loc[~nulls, ["planted", "recovered", "recovered_ok"]].isna().all(axis=None)
    question = ["tap", "quantity", "view", "label_view", "estimator"]
    assert (with_plant[nulls].groupby(question)[["planted", "recovered", "recovered_ok"]].nunique() <= 1).all(axis=None)
    found = with_plant.loc[nulls, "recovered_ok"].astype(bool)
    expected = without.loc[nulls, "reliable"].astype(bool) & found
    np.testing.assert_array_equal(with_plant.loc[nulls, "reliable"].astype(bool), expected)
    assert without["planted"].isna().all()
    np.testing.assert_array_equal(with_plant["bits"], without["bits"])  # planting does not change the estimates


def test_a_response_is_shared_only_with_rows_of_the_same_quantity():
    def row(weights, estimator="ksg", n=100, **columns):
        return {"weights": weights, "tap": "up1", "quantity": "I(T;Y)", "view": "pixel", "estimator": estimator, "n": n,
                "null_mean": 0.0, "reliable": True} | columns  # fmt: skip

    lost = {"planted": 0.5, "recovered": 0.1, "recovered_ok": False, "reliable": False}
    table = LayerTable(
        [row("untrained"), row("epoch", "renyi"), row("epoch", n=50), row("epoch", null_mean=None), row("best", **lost)]
    )
    table.share_responses()
    assert [row["reliable"] for row in table.rows] == [False, True, True, True, False]
    assert [row.get("recovered") for row in table.rows] == [0.1, None, None, None, 0.1]
