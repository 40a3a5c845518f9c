"""Predictor: known weights, monotone predictions, coverage on exchangeable data sets, and the table of the package."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from bench.errors import InputError
from bench.pruning.search.predictor import FEATURES, SCALE, SHIPPED, Predictor, terms_of

PREDICTIONS = ["predicted", "predicted_low", "predicted_high", "failure"]


def designs(count, rng, name="one"):
    """Draw designs of a base with 8 channels in the narrowest slot."""
    return pd.DataFrame(
        {
            "set": name,
            "structure": rng.choice([0, 0.02, 0.3], count),
            "channels": rng.gamma(0.5, 0.2, count),
            "params": 2 ** rng.uniform(0, 6, count),
            "flops": 2 ** rng.uniform(0, 4, count),
            "narrowest": rng.integers(1, 9, count),
            "base_narrowest": 8,
            "collapsed": 0.0,
        }
    )


def table(sets, rng, weights, spread=0.0, noise=0.0, count=20):
    """Draw data sets whose losses follow the weights times a factor that differs between sets, and noise."""
    rows = [designs(count, rng, f"set {number}") for number in range(sets)]
    for each in rows:
        right = terms_of(each) @ weights * np.exp(spread * rng.normal()) + noise * rng.normal(size=count)
        each["loss"] = SCALE * np.sinh(right)
    return pd.concat(rows, ignore_index=True)


WEIGHTS = np.array([0.5, 0.8, 0.1, 0.4, 1.5])


def test_known_weights_are_found_and_exact_losses_have_no_interval():
    rng = np.random.default_rng(1000)
    drawn = table(5, rng, WEIGHTS)
    predictor = Predictor(drawn)
    assert predictor.weights == pytest.approx(WEIGHTS, abs=1e-9)
    new = table(1, rng, WEIGHTS)
    new = new[new["loss"] < 1]
    for column in PREDICTIONS[:3]:
        assert predictor.predict(new)[column].to_numpy() == pytest.approx(new["loss"].to_numpy(), rel=1e-6)


def test_predictions_do_not_depend_on_the_order_of_the_table():
    drawn = table(4, np.random.default_rng(1001), WEIGHTS, spread=0.3, noise=0.3)
    new = designs(30, np.random.default_rng(1))
    shuffled = drawn.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(Predictor(drawn).predict(new), Predictor(shuffled).predict(new))


@pytest.mark.parametrize(
    ("feature", "values"),
    [
        ("structure", [0, 0.01, 0.1, 1, 3]),
        ("channels", [0, 0.01, 0.1, 1, 3]),
        ("params", [0.5, 1, 4, 40]),
        ("flops", [0.5, 1, 4, 40]),
        ("narrowest", [8, 4, 2, 1]),
    ],
)
def test_a_leaner_design_never_has_a_smaller_predicted_loss_or_failure(feature, values):
    """Also with losses that fall where theory says that they rise."""
    drawn = table(4, np.random.default_rng(1002), np.array([0.5, -0.8, 0.3, -0.4, 1.5]), noise=0.5)
    drawn["collapsed"] = (drawn["loss"] > 0.05).astype(float)
    for predictor in (Predictor(drawn), Predictor.shipped()):
        found = [
            predictor.predict(designs(50, np.random.default_rng(2)).assign(**{feature: value})) for value in values
        ]
        for less, more in pairwise(found):
            assert (more[PREDICTIONS] >= less[PREDICTIONS] - 1e-12).all(axis=None)


def test_no_design_loses_more_than_the_whole_score():
    worst = designs(1, np.random.default_rng(0)).assign(structure=99, channels=99, params=1e6, flops=1e6, narrowest=1)
    assert (Predictor.shipped().predict(worst)[PREDICTIONS] <= 1).all(axis=None)


def test_the_base_loses_nothing():
    base = designs(1, np.random.default_rng(0)).assign(structure=0, channels=0, params=1, flops=1, narrowest=8)
    found = Predictor.shipped().predict(base).iloc[0]
    assert found["predicted"] == 0
    assert found["predicted_low"] <= 0 <= found["predicted_high"]


def test_intervals_have_nine_of_ten_losses_of_a_new_data_set():
    """Nine data sets with random factors and a tenth one: the mean coverage over 60 draws of all of them."""
    inside = []
    for seed in range(60):
        rng = np.random.default_rng(2000 + seed)
        predictor = Predictor(table(9, rng, WEIGHTS, spread=0.4, noise=0.5))
        new = table(1, rng, WEIGHTS, spread=0.4, noise=0.5)
        found = predictor.predict(new)
        inside.append(new["loss"].clip(upper=1).between(found["predicted_low"], found["predicted_high"]).mean())
    assert 0.85 < np.mean(inside) < 0.95


def test_the_probability_of_failing_is_the_share_that_failed():
    """Every design above a loss failed in half of its trainings, and no other did."""
    drawn = table(6, np.random.default_rng(1003), WEIGHTS, count=40)
    drawn["collapsed"] = np.where(drawn["loss"] > 0.1, 0.5, 0.0)
    found = Predictor(drawn).predict(drawn)["failure"].to_numpy()
    assert found == pytest.approx(drawn["collapsed"].to_numpy(), abs=1e-6)


def test_a_design_without_information_has_no_prediction():
    new = designs(3, np.random.default_rng(3)).assign(channels=[0.1, np.nan, 0.1])
    found = Predictor.shipped().predict(new)
    assert found.isna().all(axis=1).tolist() == [False, True, False]
    assert found.notna().all(axis=1).tolist() == [True, False, True]
    assert Predictor.shipped().predict(new.iloc[[1]])[PREDICTIONS].isna().all(axis=None)


def test_rows_of_the_table_without_information_are_not_used():
    drawn = table(4, np.random.default_rng(1004), WEIGHTS, noise=0.3)
    more = pd.concat([drawn, drawn.assign(structure=np.nan, loss=5.0)])
    new = designs(10, np.random.default_rng(4))
    pd.testing.assert_frame_equal(Predictor(more).predict(new), Predictor(drawn).predict(new))


def test_the_table_of_the_package_has_designs_of_several_data_sets():
    shipped = pd.read_csv(SHIPPED)
    assert shipped["set"].nunique() >= 3
    assert not shipped.duplicated(["set", "design"]).any()
    assert (shipped["seeds"] >= 2).all()
    assert shipped["collapsed"].between(0, 1).all()
    assert "base" not in set(shipped["design"])
    pd.testing.assert_frame_equal(Predictor(shipped).predict(shipped), Predictor.shipped().predict(shipped))


def test_bad_tables_are_refused():
    drawn = table(4, np.random.default_rng(1005), WEIGHTS)
    with pytest.raises(InputError, match="predictor: got no column flops, wanted structure"):
        Predictor.shipped().predict(drawn.drop(columns="flops"))
    with pytest.raises(InputError, match="predictor: got no column loss"):
        Predictor(drawn.drop(columns="loss"))
    with pytest.raises(InputError, match="predictor: got 2 data sets, wanted at least 3"):
        Predictor(drawn[drawn["set"].isin(["set 0", "set 1"])])
    assert set(FEATURES) <= set(drawn)
