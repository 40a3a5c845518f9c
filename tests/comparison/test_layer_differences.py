"""Differences between layers: the interval by hand, its coverage in simulations, and which rows are compared."""

import numpy as np
import pandas as pd
import pytest

from bench.comparison.layers import IMAGES, SEEDS, best_rows, differences, pool_seeds, reading, without_counterpart
from bench.information.tables import COLUMNS, I_TY, I_XT, LayerTable

T = {1: 12.7062047, 2: 4.3026527}  # Student's 97.5 % quantile by degrees of freedom


def layers(design, values, half=0.1, **columns):
    """Return rows of one tap of a design, with one seed for each value."""
    known = {
        "tap": "out", "order": 0, "relative_depth": 100, "role": "output", "quantity": I_TY, "view": "pixel",
        "label_view": "class", "estimator": "probe", "reliable": True, "weights": "best",
    }  # fmt: skip
    rows = [
        {
            "design": design,
            "seed": seed,
            "bits": value + 1,
            "low": value + 1 - half,
            "high": value + 1 + half,
            "excess": value,
        }
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows).assign(**(known | columns))


def difference(*frames):
    """Return the difference between designs a and b, of which there is exactly one."""
    (row,) = differences(pool_seeds(pd.concat(frames)), "b").to_dict("records")
    return row


def half_width(row):
    assert row["high"] - row["difference"] == pytest.approx(row["difference"] - row["low"])
    return row["high"] - row["difference"]


def test_parts_of_the_interval_by_hand():
    # a: mean 2, standard deviation √2 over 2 seeds; b: mean 5, standard deviation 1 over 3 seeds
    row = difference(layers("a", [1, 3], half=0.3), layers("b", [4, 5, 6], half=0.4))
    assert row["difference"] == pytest.approx(-3)
    assert half_width(row) == pytest.approx(np.sqrt(T[1] ** 2 * 2 / 2 + T[2] ** 2 * 1 / 3 + 0.3**2 + 0.4**2))
    assert (row["over"], row["differs"], row["seeds"], row["seeds_reference"]) == (SEEDS, False, 2, 3)


def test_without_spread_between_seeds_the_interval_is_over_images():
    row = difference(layers("a", [1, 1], half=0.3), layers("b", [2, 2], half=0.4))
    assert half_width(row) == pytest.approx(0.5)
    assert row["differs"]


@pytest.mark.parametrize("values", [([1], [2]), ([1], [2, 9]), ([1, 9], [2])])
def test_with_one_seed_the_interval_is_over_images(values):
    row = difference(*(layers(design, of, half=0.3) for design, of in zip("ab", values, strict=True)))
    assert row["over"] == IMAGES
    assert half_width(row) == pytest.approx(np.sqrt(2 * 0.3**2))


def test_the_wider_side_of_an_asymmetric_interval_is_used():
    uneven = layers("a", [1]).assign(low=1.9, high=2.4)  # of bits 2
    assert half_width(difference(uneven, layers("b", [1], half=0.3))) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("of_seeds", "of_images", "shared", "exact"),
    [
        (0.0, 0.1, True, True),  # the only error is over images, the same in every seed: exact coverage
        (0.1, 0.0, True, False),
        (0.1, 0.1, True, False),
        (0.02, 0.1, False, False),  # every seed has its own error over images
    ],
)
@pytest.mark.parametrize("seeds", [2, 3])
def test_coverage(of_seeds, of_images, shared, exact, seeds):
    rng, repeats = np.random.default_rng(0), 1000
    frames = []
    for design in "ab":
        errors = rng.normal(0, of_images, (repeats, 1 if shared else seeds))
        values = rng.normal(0, of_seeds, (repeats, seeds)) + errors
        taps = {"seed": np.tile(range(seeds), repeats), "tap": np.repeat(range(repeats), seeds)}
        frames.append(layers(design, values.ravel(), half=1.96 * of_images).assign(**taps))
    found = differences(pool_seeds(pd.concat(frames)), "b")
    covered = 1 - found["differs"].mean()
    slack = 3 * np.sqrt(0.95 * 0.05 / repeats)
    assert len(found) == repeats
    assert covered > 0.95 - slack
    assert not exact or covered < 0.95 + slack


@pytest.mark.parametrize(
    ("mine", "theirs", "both"), [(True, True, True), (True, False, False), (False, None, False), (True, None, None)]
)
def test_a_difference_is_reliable_if_both_sides_are(mine, theirs, both):
    row = difference(layers("a", [1, 2], reliable=mine), layers("b", [1, 2], reliable=theirs))
    assert row["reliable"] is both


@pytest.mark.parametrize(
    ("values", "reach"), [([1], 0.3), ([1, 3], 0.3), ([4, 5, 6], np.hypot(T[2] / np.sqrt(3), 0.3))]
)
def test_the_interval_of_a_layer_is_over_seeds_from_three_seeds_on(values, reach):
    (row,) = pool_seeds(layers("a", values, half=0.3)).to_dict("records")
    assert (row["low"], row["high"]) == (pytest.approx(row["value"] - reach), pytest.approx(row["value"] + reach))


def test_one_unreliable_seed_makes_a_tap_unreliable():
    first, second = (layers("a", [1], reliable=said) for said in (True, False))
    table = pool_seeds(pd.concat([first, second.assign(seed=1)]))
    assert table["reliable"].tolist() == [False]


def test_bits_are_compared_if_there_is_no_null():
    row = difference(*(layers(design, [1, 2], excess=np.nan, label_view=np.nan) for design in "ab"))
    assert (row["of"], row["value"]) == ("bits", 2.5)
    mixed = [layers("a", [1], excess=np.nan), layers("b", [1])]
    assert differences(pool_seeds(pd.concat(mixed)), "b").empty


def test_only_the_same_taps_quantities_and_views_are_compared():
    frames = [
        layers(design, [value + shift, value + shift], tap=tap, view=view)
        for design, shift in (("a", 10), ("b", 0))
        for value, (tap, view) in enumerate([("enc1", "image"), ("enc1", "pixel"), ("out", "pixel")])
    ]
    frames += [layers("a", [1], tap="up3"), layers("b", [1], tap="up4")]
    table = pool_seeds(pd.concat(frames))
    assert differences(table, "b")["difference"].tolist() == [10, 10, 10]
    assert without_counterpart(table, "b").to_numpy().tolist() == [["a", "up3", "b"], ["a", "up4", "a"]]


def test_layers_are_in_the_order_of_the_reference():
    places = {"enc1": (0, 0), "enc2": (1, 25), "out": (2, 100)}
    deep = [layers("b", [1, 1], tap=tap, order=order, relative_depth=at) for tap, (order, at) in places.items()]
    small = [layers("a", [1, 1], tap=tap, order=order, relative_depth=50) for order, tap in enumerate(("enc2", "out"))]
    found = differences(pool_seeds(pd.concat([*deep, *small])), "b")
    assert found.set_index("tap")[["order", "relative_depth"]].T.to_dict("list") == {"enc2": [1, 25], "out": [2, 100]}


def test_best_rows_are_estimates_of_layers_at_the_best_checkpoint():
    of = {"tap": "out", "weights": "best", "role": "output", "quantity": I_TY, "bits": 1.0}
    others = [{"weights": "untrained"}, {"role": "input"}, {"quantity": "I(T;Y)cut"}, {"bits": np.nan}]
    tables = {"one": LayerTable([of, *(of | other for other in others)]), "two": LayerTable([of])}
    rows = best_rows(tables, pd.DataFrame({"run": ["one", "two"], "design": ["a", "b"], "seed": [4, 5]}))
    assert rows[["design", "seed"]].to_numpy().tolist() == [["a", 4], ["b", 5]]
    assert set(COLUMNS) <= set(rows.columns)


def test_summary_of_the_mean_profile():
    taps = {"enc": (3, 0.5), "mid": (1, 0.2), "out": (2, 0.9)}
    frames = [
        layers("a", [value, value], tap=tap, order=order, role="feature", quantity=quantity, view="image")
        for order, (tap, values) in enumerate(taps.items())
        for quantity, value in zip((I_XT, I_TY), values, strict=True)
    ]
    table = pool_seeds(pd.concat(frames))
    said = reading(table, "probe", "image")
    assert (said["narrowest"], said["narrowest_excess"]) == ("mid", pytest.approx(0.2))
    assert (said["most"], said["most_excess"], said["most_reliable"]) == ("out", pytest.approx(0.9), True)
    assert (said["most_low"], said["most_high"]) == (pytest.approx(0.8), pytest.approx(1.0))
    assert "narrowest" not in reading(table[table["quantity"] == I_TY], "probe", "image")
    assert reading(table, "probe", "pixel") == {}


def test_the_value_of_a_seed_is_the_mean_over_its_folds():
    """Two folds of two seeds: means 2 and 5, so that the spread is over two values and not over four."""
    folds = [layers("a", values, half=half) for values, half in (([1, 4], 0.1), ([3, 6], 0.7))]
    table, (row,) = pool_seeds(pd.concat(folds)), pool_seeds(layers("a", [2, 5])).to_dict("records")
    (pooled,) = table.to_dict("records")
    assert list(table) == list(row)
    assert (pooled["value"], pooled["seeds"]) == (pytest.approx(3.5), 2)
    assert pooled["reach_seeds"] == pytest.approx(row["reach_seeds"])
    assert pooled["reach_images"] == pytest.approx(np.sqrt((0.1**2 + 0.7**2) / 2))
