"""Designs from recommended numbers of filters, with known curves."""

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from bench.datasets import phantoms
from bench.errors import InputError
from bench.pruning.search.base import Base
from bench.pruning.search.counted import Counted
from models import CNN

SIZES = {"in_channels": 1, "num_classes": 2, "filters": [8, 6], "kernel_size": 3, "padding": "same", "hidden": [10]}
MODEL = {"_target_": "models.CNN", "input_size": [16, 16], **SIZES}


@pytest.fixture
def base():
    data = phantoms("classification", n=(4, 4, 4), size=16)
    config = OmegaConf.create({"model": MODEL})
    network = CNN(**{key: value for key, value in MODEL.items() if key != "_target_"})
    return Base.of(None, config, data, network)


def tables(recommended, excess, reliable=True):
    """Return recommendations and the curve of conv1; conv2 has none. The curves also have rows about X."""
    common = {"estimator": "renyi", "about": "Y", "order": "random"}
    found = [common | {"tap": "conv1", "recommended": recommended}, common | {"tap": "conv2", "recommended": np.nan}]
    curve = [
        common | {"tap": "conv1", "count": count, "excess": bits, "low": bits + 0.1 - 0.03, "high": bits + 0.1 + 0.03,
                  "null_mean": 0.1, "reliable": reliable}
        for count, bits in excess.items()
    ]  # fmt: skip
    others = [row | {"about": "X", "excess": 9.0} for row in curve]
    return pd.DataFrame(found), pd.DataFrame(curve + others)


def test_designs_have_the_recommended_filters_times_each_factor(base):
    counted = Counted(base, *tables(4.0, {1: 0.2, 2: 0.6, 4: 0.9, 8: 1.0}), "renyi")
    proposals = counted.proposals([0.5, 1, 2], {})
    assert [proposal.design.arguments()["filters"] for proposal in proposals] == [[4, 6], [2, 6]]  # not 8
    assert [proposal.name for proposal in proposals] == ["lean_1", "lean_2"]
    assert proposals[0].costs.params > proposals[1].costs.params
    assert [proposal.within_margin for proposal in proposals] == [True, False]
    assert counted.peak == pytest.approx(1.0)


def test_the_loss_is_the_difference_to_the_full_curve(base):
    counted = Counted(base, *tables(4.0, {1: 0.2, 2: 0.6, 4: 0.9, 8: 1.0}), "renyi")
    four, two = counted.proposals([0.5, 1], {})
    assert four.loss.bits == pytest.approx(0.1)
    assert two.loss.bits == pytest.approx(0.4)
    assert two.loss.high - two.loss.bits == pytest.approx(np.hypot(0.03, 0.03))
    (three,) = counted.proposals([0.75], {})  # between measured counts, the lower one is used
    assert three.design.arguments()["filters"] == [3, 6]
    assert three.loss.bits == pytest.approx(0.4)
    assert "stage 1 with 2 of 8 channels: the others have 0.400 bits" in two.steps[0].describe()


@pytest.mark.parametrize(("logged", "reliable"), [(True, True), (False, False), (None, False)])
def test_the_loss_is_as_reliable_as_the_logged_curve(base, tmp_path, logged, reliable):
    found, curves = tables(4.0, {1: 0.2, 4: 0.9, 8: 1.0}, logged)
    curves.to_csv(tmp_path / "filters.csv", index=False)
    (proposal,) = Counted(base, found, pd.read_csv(tmp_path / "filters.csv"), "renyi").proposals([1], {})
    assert proposal.loss.reliable is reliable


@pytest.mark.parametrize("unreliable", [4, 8])
def test_the_loss_is_reliable_only_if_both_points_of_the_curve_are(base, unreliable):
    """The loss is the difference between all 8 filters and the 4 that remain."""
    found, curves = tables(4.0, {1: 0.2, 4: 0.9, 8: 1.0})
    curves.loc[curves["count"] == unreliable, "reliable"] = False
    (proposal,) = Counted(base, found, curves, "renyi").proposals([1], {})
    assert proposal.loss.reliable is False


def test_peak_information_is_that_of_the_most_informative_layer(base):
    found, curves = tables(4.0, {1: 0.2, 4: 0.9, 8: 1.0})
    other = curves[curves["about"] == "Y"].assign(tap="conv2", excess=[0.1, 0.2, 0.3], count=[1, 3, 6])
    counted = Counted(base, found.assign(recommended=[4.0, 3.0]), pd.concat([curves, other]), "renyi")
    assert counted.peak == pytest.approx(1.0)


def test_the_loss_of_a_design_is_that_of_its_worst_layer(base):
    found, curves = tables(4.0, {1: 0.2, 4: 0.9, 8: 1.0})
    other = curves[curves["about"] == "Y"].assign(tap="conv2", excess=[0.1, 0.15, 0.4], count=[1, 3, 6])
    counted = Counted(base, found.assign(recommended=[4.0, 3.0]), pd.concat([curves, other]), "renyi")
    (proposal,) = counted.proposals([1], {})
    assert [step.information_loss.bits for step in proposal.steps] == pytest.approx([0.1, 0.25])
    assert proposal.loss.bits == pytest.approx(0.25)


def test_an_estimator_without_recommendations_is_refused(base):
    with pytest.raises(InputError, match=r"ask\.by: got kde, for which .* any layer; wanted one of renyi"):
        Counted(base, *tables(4.0, {1: 0.2, 8: 1.0}), "kde")
    with pytest.raises(InputError, match="wanted another run"):
        Counted(base, *tables(np.nan, {1: 0.2, 8: 1.0}), "renyi")


def test_designs_beyond_the_target_of_cost_are_left_out(base):
    counted = Counted(base, *tables(4.0, {1: 0.2, 2: 0.6, 4: 0.9, 8: 1.0}), "renyi")
    wide, lean = counted.proposals([0.5, 1], {})
    between = (wide.costs.params + lean.costs.params) / 2 / base.pricing(base.design).params
    (kept,) = counted.proposals([0.5, 1], {"params": between, "flops": None, "loss": 0.01})
    assert kept.design == lean.design


def test_a_target_that_no_count_meets_is_refused_with_the_leanest_design(base):
    counted = Counted(base, *tables(4.0, {1: 0.2, 2: 0.6, 4: 0.9, 8: 1.0}), "renyi")
    (lean,) = counted.proposals([0.5], {})
    share = lean.costs.params / base.pricing(base.design).params
    message = (
        rf"ask.around: got \[0.5\], whose leanest design has {share:.2g} of the parameters and .* of the base, wanted "
    )
    with pytest.raises(InputError, match=message + r"target.params=0.01; add a smaller factor"):
        counted.proposals([0.5], {"params": 0.01, "flops": None, "loss": 0.01})


def test_counts_that_remove_nothing_are_refused(base):
    with pytest.raises(InputError, match=r"ask.around: got counts that are nowhere below the base's"):
        Counted(base, *tables(8.0, {1: 0.2, 8: 1.0}), "renyi").proposals([1, 2], {})
