import numpy as np
import pandas as pd
import pytest

from bench.estimators import KSG, Gaussian, Renyi
from bench.information.verdicts import adjusted_p_values, verdicts

ROW = {
    "bits": 0.3, "saturation": 0.1, "recovered_ok": True, "null_mean": 0.01, "limit": 1.0, "significant": True
}  # fmt: skip


@pytest.mark.parametrize(
    ("other", "verdict"),
    [
        ({}, "clear"),
        ({"significant": False}, "not above null"),
        ({"significant": False, "bits": -0.5, "p_value": 0.9999}, "below null"),
        (
            {"significant": False, "bits": -0.5, "p_value": 0.9999, "calibrated_low": 0.0, "reliable": False},
            "below null",
        ),
        ({"significant": False, "bits": 0.0, "p_value": 0.99}, "not above null"),
        ({"significant": False, "bits": 0.01, "p_value": 1.0}, "not above null"),  # permutations that are all equal
        ({"recovered_ok": None}, "clear"),  # no truth was planted
        ({"recovered_ok": False}, "not recovered"),
        ({"recovered_ok": False, "significant": False}, "not recovered"),
        ({"calibrated_low": 0.1, "reliable": True, "recovered_ok": None}, "clear"),
        ({"calibrated_low": 0.1, "reliable": False, "recovered_ok": None}, "uncertain"),
        ({"calibrated_low": None, "reliable": False}, "clear"),
        ({"saturation": 0.95}, "saturated"),
        ({"saturation": 1.0, "null_mean": None, "significant": None, "recovered_ok": None}, "saturated"),
        ({"null_mean": 0.96}, "saturated"),  # the null leaves no room below the entropy of the label
        ({"null_mean": None, "significant": None, "recovered_ok": None}, "no null"),
        (dict.fromkeys(ROW), "no estimate"),
    ],
)
def test_verdict_of_an_estimate(other, verdict):
    alone = pd.DataFrame([ROW | other]).infer_objects()
    assert verdicts(alone).tolist() == [verdict]
    assert verdicts(pd.DataFrame([ROW, ROW | other])).tolist() == ["clear", verdict]


def test_p_values_are_adjusted_for_the_layers_of_a_question_alone():
    layers = pd.DataFrame({"p_value": [0.01, 0.04, 0.03, np.nan, 0.02], "estimator": [*"aaaab"], "given": None})
    # sorted: 0.01 x 3 / 1, 0.03 x 3 / 2, 0.04 x 3 / 3; none exceeds the next
    assert adjusted_p_values(layers)[[0, 1, 2, 4]].tolist() == pytest.approx([0.03, 0.04, 0.04, 0.02])
    assert np.isnan(adjusted_p_values(layers)[3])


def test_a_layer_that_is_significant_alone_is_not_above_the_null_among_many():
    quiet = [ROW | {"significant": False, "p_value": 0.5}] * 9
    found = verdicts(pd.DataFrame([ROW | {"p_value": 0.004}, ROW | {"p_value": 0.03}, *quiet]))
    assert found.tolist() == ["clear"] + ["not above null"] * 10
    assert verdicts(pd.DataFrame([ROW | {"p_value": 0.03}])).tolist() == ["clear"]


def test_layers_that_can_not_be_read_do_not_count():
    unread = [ROW | {"recovered_ok": False, "p_value": 0.9}] * 9
    assert verdicts(pd.DataFrame([ROW | {"p_value": 0.03}, *unread]))[0] == "clear"


@pytest.mark.parametrize(
    "estimator", [KSG("mixture", k=5, subsamples=2), Renyi(alpha=2, subsamples=2), Gaussian(subsamples=2)]
)
def test_few_layers_of_noise_are_above_their_null(estimator):
    """In 30 networks of 5 layers of noise, the expected number with any such layer is 1.5; more than 5 have 0.3 %."""
    networks = 0
    for network in range(30):
        rng = np.random.default_rng([7, network])
        label = rng.permutation(np.arange(48) % 3)
        layers = rng.normal(size=(5, 48, 4)) ** 3  # columns with heavy tails
        rows = [estimator.estimate(layer, label, rng=rng).row() for layer in layers]
        networks += "clear" in verdicts(pd.DataFrame(rows)).tolist()
    assert networks <= 5
