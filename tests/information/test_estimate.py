"""Estimate: when it is significant and reliable, and its row in the table of layers."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student

from bench.information.estimate import Calibrated, Estimate, Null, Planted

NULL = Null(0.1, 0.02, 0.13, 20)
CALIBRATED = {"calibrated", "calibrated_low", "calibrated_high"}
ESTIMATE = Estimate(
    0.5, (0.4, 0.6), NULL, 2.0, 1.0, n=100, dims=(5, 1), label_entropy=1.0, settings={"k": 3}, seconds=1.5
)


@pytest.mark.parametrize(
    ("excess", "significant", "recovered_ok"),
    [
        (0.4, True, True),
        (0.4, False, False),
        (0.2, True, True),  # half of the truth
        (0.19, True, False),
        (0.8, True, True),  # twice the truth
        (0.81, True, False),
    ],
)
def test_planted_truth_is_recovered_within_a_factor_of_2(excess, significant, recovered_ok):
    assert Planted(0.4, excess, significant).recovered_ok is recovered_ok


@pytest.mark.parametrize(("bits", "significant"), [(0.13, False), (0.1301, True), (0.05, False)])
def test_an_estimate_above_the_quantile_of_its_null_is_significant(bits, significant):
    estimate = replace(ESTIMATE, bits=bits)
    assert estimate.significant is significant
    assert estimate.excess == pytest.approx(bits - 0.1)


@pytest.mark.parametrize(
    ("change", "reliable"),
    [
        ({}, True),
        ({"bits": 1.9}, False),  # 95 % of the ceiling
        ({"bits": 1.89}, True),
        ({"null": replace(NULL, mean=0.95), "bits": 0.95}, False),  # 95 % of the limit
        ({"null": replace(NULL, mean=0.94), "bits": 0.95}, True),
        ({"bits": 0.05}, True),  # 2.4 spreads below the mean of the null
        ({"bits": 0.02}, False),  # 3.9 spreads
        ({"bits": 0.02, "null": replace(NULL, permutations=4)}, True),  # which 4 permutations can't tell
        ({"bits": 0.1, "null": replace(NULL, spread=0.0)}, True),
        ({"planted": Planted(0.4, 0.4, True)}, True),
        ({"planted": Planted(0.4, 0.1, True)}, False),
        ({"null": None}, None),
        ({"null": None, "bits": 1.95}, False),
    ],
)
def test_reliable_requires_no_saturation_of_estimate_or_null_and_recovered_truth(change, reliable):
    assert replace(ESTIMATE, **change).reliable is reliable


def test_a_row_has_all_fields_of_an_estimate():
    row = replace(ESTIMATE, planted=Planted(0.4, 0.3, True, "a reason")).row()
    assert row == {
        "bits": 0.5, "low": 0.4, "high": 0.6, "null_mean": 0.1, "null_spread": 0.02, "null_quantile": 0.13,
        "excess": 0.4, "ceiling": 2.0, "limit": 1.0, "label_entropy": 1.0, "saturation": 0.25, "significant": True,
        "p_value": NULL.p_value(0.5),
        "planted": 0.4, "recovered": 0.3, "recovered_ok": True, "calibrated": None, "calibrated_low": None,
        "calibrated_high": None, "reliable": True, "n": 100, "dim": 5, "target_dim": 1,
        "settings": '{"k": 3}', "seconds": 1.5, "reason": "a reason",
    }  # fmt: skip


def test_without_a_null_the_fields_that_need_it_are_empty():
    row = replace(ESTIMATE, null=None).row()
    empty = {
        "null_mean",
        "null_spread",
        "null_quantile",
        "excess",
        "significant",
        "p_value",
        "planted",
        "recovered",
        "recovered_ok",
    }
    assert {column for column, value in row.items() if value is None} == empty | CALIBRATED | {"reliable", "reason"}


@pytest.mark.parametrize("reliable", [True, False])
def test_an_estimate_is_reliable_only_if_its_calibrated_bits_are(reliable):
    estimate = replace(ESTIMATE, calibrated=Calibrated(0.6, 0.5, 0.7, reliable, "steep"))
    assert estimate.reliable is reliable
    assert {key: value for key, value in estimate.row().items() if key in CALIBRATED | {"reason"}} == {
        "calibrated": 0.6, "calibrated_low": 0.5, "calibrated_high": 0.7, "reason": "steep"
    }  # fmt: skip


@pytest.mark.parametrize("permutations", [2, 4, 20])
@pytest.mark.parametrize(("family", "most"), [("normal", 1), ("exponential", 3)])
def test_small_p_values_are_as_rare_as_they_say(family, most, permutations):
    rng = np.random.default_rng(permutations)
    draws = getattr(rng, family)(size=(4000, permutations + 1))
    nulls = [Null(row[1:].mean(), row[1:].std(ddof=1), row[1:].max(), permutations) for row in draws]
    p_values = np.array([null.p_value(row[0]) for null, row in zip(nulls, draws, strict=True)])
    for level in (0.01, 0.05):
        assert (p_values <= level).mean() < most * level + 3 * np.sqrt(level / len(draws))
    significant = draws[:, 0] > draws[:, 1:].max(axis=1)
    assert (p_values[significant] <= 1 / (1 + permutations)).all()
    assert (p_values[~significant] >= 2 / (1 + permutations)).all()


def test_p_values_of_exponential_estimates_are_uniform_beyond_the_largest_permutation():
    rng = np.random.default_rng(0)
    draws = rng.exponential(size=(4000, 201))
    nulls = [Null(row[1:].mean(), row[1:].std(ddof=1), np.sort(row)[-11], 200) for row in draws]
    p_values = np.array([null.p_value(row[0]) for null, row in zip(nulls, draws, strict=True)])
    for level in (0.005, 0.02):
        assert abs((p_values <= level).mean() - level) < 3 * np.sqrt(level / len(draws))


def test_below_the_quantile_the_p_value_is_that_of_a_new_draw_by_student():
    draws = np.array([0.1, 0.3, 0.2, 0.0])
    null = Null(draws.mean(), draws.std(ddof=1), draws.max(), 4)
    t = (0.16 - 0.15) / np.sqrt(draws.var(ddof=1) * (1 + 1 / 4))
    assert null.p_value(0.16) == pytest.approx(student.sf(t, 3))


def test_permutations_that_are_all_equal_leave_only_the_rank():
    null = Null(0.2, 0.0, 0.2, 9)
    assert null.p_value(0.3) == 0.1
    assert null.p_value(0.2) == 1.0
