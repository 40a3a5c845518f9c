import numpy as np
import pandas as pd
import pytest

from bench.known_truth.scores import applicability, scored, usable


def rows(bits, truth=1.0, estimator="ksg", **columns):
    common = {"family": "gaussian", "truth": truth, "dim": 1, "n": 100, "estimator": estimator, "seconds": 0.5}
    return [
        common | {"repeat": i, "bits": b, "low": b - 0.15, "high": b + 0.15, "excess": b - 0.1, "reason": None,
                  "significant": True, "reliable": True, "calibrated": None, "calibrated_low": None,
                  "calibrated_high": None} | columns
        for i, b in enumerate(bits)
    ]  # fmt: skip


def test_scores_equal_calculations_by_hand():
    score = scored(pd.DataFrame(rows([0.8, 1.0, 1.5]))).iloc[0]
    assert score["mean"] == pytest.approx(1.1)
    assert score["bias"] == pytest.approx(0.1)
    assert score["rmse"] == pytest.approx(np.sqrt((0.04 + 0 + 0.25) / 3))
    assert score["spread"] == pytest.approx(np.sqrt((0.09 + 0.01 + 0.16) / 2))
    assert score["excess_rmse"] == pytest.approx(np.sqrt((0.09 + 0.01 + 0.16) / 3))
    assert score["covers_itself"] == pytest.approx(1 / 3)  # only the interval from 0.85 to 1.15 contains 1.1
    assert score["covers_truth"] == pytest.approx(1 / 3)
    assert score["significant_right"] == 1
    assert score["reliable_right"] == 1
    assert score["seconds"] == 0.5


def test_without_information_significance_is_wrong_and_a_reliable_excess_is_near_0():
    score = scored(pd.DataFrame(rows([0.05, 0.15, 0.4], truth=0.0))).iloc[0]
    assert score["significant_right"] == 0
    assert score["usable"] == pytest.approx(2 / 3)  # excess -0.05, 0.05, 0.3
    assert score["reliable_right"] == pytest.approx(2 / 3)


def test_calibrated_bits_have_their_own_error_and_coverage():
    found = pd.DataFrame(rows([0.3, 0.4, 0.5]))  # excess 0.2, 0.3, 0.4: none is usable
    found["calibrated"] = [0.8, 1.3, np.nan]  # the last one is not identifiable
    found["calibrated_low"], found["calibrated_high"] = [0.5, 1.1, 0.2], [0.9, 1.5, 1.9]
    found["reliable"] = [True, True, False]
    score = scored(found).iloc[0]
    assert score["calibrated_rmse"] == pytest.approx(np.sqrt((0.04 + 0.09) / 2))
    assert score["calibrated_covers"] == pytest.approx(1 / 3)
    assert score["usable"] == 0
    assert score["reliable_right"] == 1


def test_usable_is_within_a_factor_of_2():
    np.testing.assert_array_equal(usable(pd.Series([0.49, 0.5, 2.0, 2.1]), 1.0), [False, True, True, False])


def test_the_matrix_has_the_reason_of_refused_estimates():
    refused = rows([np.nan, np.nan], estimator="lnc", reason="got a label")
    scores = scored(pd.DataFrame(rows([0.8, 3.0]) + rows([0.0, 0.3], truth=0.0) + refused))
    matrix = applicability(scores).iloc[0]
    assert (matrix["question"], matrix["n"], matrix["dim"]) == ("gaussian", 100, 1)
    # truth of 1 bit: .7 is usable, 2.9 is not; truth of 0 bits: -.1 and .2 are not
    assert matrix["ksg"] == pytest.approx(0.25)
    assert matrix["lnc"] == "got a label"
