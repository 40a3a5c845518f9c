import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from bench.datasets import phantoms
from bench.diagnostics import DataProcessing
from bench.estimators import KDE, Binning, Renyi
from bench.information.reductions import Columns
from bench.information.tables import LayerTable, Moment
from bench.information.variables import Variable
from bench.layers.probe import Probe
from bench.training.train import loss_function
from models import CNN, Tap, UNet
from models.taps import softmax

BEST = Moment(3, "best", 0)
ESTIMATORS = {"renyi": Renyi(alpha=2, width="median", permutations=4, subsamples=6), "kde": KDE(), "binning": Binning()}


def measured(network, data, moment=BEST):
    probe = Probe(network, data, ESTIMATORS, seed=0, views=["image"], loss=loss_function("auto", data))
    table = LayerTable(probe.measure(network, moment))
    for name, rows in DataProcessing().measure(network, probe, moment).items():
        table.extend(rows, name)
    return table, probe


@pytest.fixture(scope="module")
def unet():
    data = phantoms(n=(16, 24, 16), size=16)
    torch.manual_seed(0)
    return UNet(1, 1, widths=(3, 4, 5), skips=["cat", "off"], convs_per_level=1), data


@pytest.fixture(scope="module")
def cnn():
    data = phantoms("classification", classes=3, n=(16, 24, 16), size=16)
    torch.manual_seed(0)
    return CNN(1, 3, filters=(3, 4), kernel_size=3, hidden=(5,), input_size=(16, 16)), data


def test_a_cut_set_is_a_tap_with_the_skips_that_are_merged_later(unet):
    network, data = unet
    table, probe = measured(network, data)
    cuts = table.select(quantity="I(X;cut)", estimator="renyi").set_index("tap")
    assert cuts.index.tolist() == ["bottleneck.conv1", "up2", "dec2.conv1", "up1", "dec1.conv1", "out"]
    variables = {
        each.tap.name: each.present
        for each in probe.views["image"].capture(network, network.taps(), probe.views["image"].reductions)
    }
    images = probe.views["image"].input
    for tap, skips in {"up2": ["skip1"], "up1": ["skip1"], "dec1.conv1": []}.items():  # skip2 is off
        joined = Variable.joined([variables[name] for name in (tap, *skips)])
        expected = ESTIMATORS["renyi"].estimate(joined, images, rng=np.random.default_rng(0))
        assert cuts["bits"][tap] == pytest.approx(expected.bits, abs=1e-9)
    whole = table.select(quantity="I(X;T)", estimator="renyi").set_index("tap")["bits"]
    assert cuts["bits"]["out"] == pytest.approx(whole["out"], abs=1e-9)
    assert cuts["bits"]["up1"] > whole["up1"]


def test_kde_of_a_cut_uses_the_concatenation_and_binning_gives_a_row_with_its_reason(unet):
    network, data = unet
    table, probe = measured(network, data)
    view = probe.views["image"]
    columns = {t.tap.name: t.present.read(Columns()) for t in view.capture(network, network.taps(), (Columns(),))}
    both = Variable.of(np.concatenate([columns["up1"], columns["skip1"]], axis=1))
    expected = KDE().estimate(both, view.input, rng=np.random.default_rng(0)).bits
    cut = table.select(quantity="I(X;cut)", tap="up1").set_index("estimator")
    assert cut["bits"]["kde"] == pytest.approx(expected, abs=1e-4)  # distances are float32
    assert "RowCodes" in cut["reason"]["binning"]


def test_chains_of_a_unet_meet_at_the_bottleneck(unet):
    table, _ = measured(*unet)
    found = DataProcessing()(table).tables["data_processing"]
    chains = found[found["estimator"] == "renyi"].groupby("chain", sort=False)["tap"].apply(list)
    assert chains["forward"] == ["enc1.conv1", "enc2.conv1", "bottleneck.conv1"]
    assert chains["cut"] == ["bottleneck.conv1", "up2", "dec2.conv1", "up1", "dec1.conv1", "out"]
    assert chains["error"] == ["dec1.conv1", "up1", "dec2.conv1", "up2", "bottleneck.conv1"]
    binned = found[found["estimator"] == "binning"]
    assert binned["tap"].tolist() == chains["forward"]  # binning cannot read cuts, and its chain has no decoder layer


def test_chains_of_a_cnn_are_its_layers_and_errors_go_backward(cnn):
    table, _ = measured(*cnn)
    found = DataProcessing()(table)
    rows = found.tables["data_processing"].query("estimator == 'renyi'")
    chains = rows.groupby("chain", sort=False)["tap"].apply(list)
    assert chains.to_dict() == {"forward": ["conv1", "conv2", "fc1", "out"], "error": ["fc1", "conv2", "conv1"]}
    assert found.metrics["summary/dpi_violations.forward"] == rows.query("chain == 'forward'")["violation"].sum()
    assert list(found.figures) == ["data_processing", "data_processing.kde", "data_processing.binning"]


def test_the_error_before_an_identity_output_equals_the_error_of_the_output():
    # out is the identity of the hidden layer: δT = δK, so that the estimate is that of a variable and itself
    class Passing(nn.Module):
        def __init__(self):
            super().__init__()
            self.flatten, self.fc, self.out = nn.Flatten(), nn.Linear(256, 3), nn.Identity()

        def forward(self, x):
            return self.out(self.fc(self.flatten(x)))

        def taps(self):
            return [Tap("fc", "fc", "classifier", 1, 0), Tap("out", "out", "output", 2, 1, softmax)]

    data = phantoms("classification", classes=3, n=(16, 24, 16), size=16)
    torch.manual_seed(0)
    network = Passing()
    probe = Probe(network, data, ESTIMATORS, seed=0, loss=loss_function("auto", data))
    rows = pd.DataFrame(DataProcessing().measure(network, probe, BEST)["layers"]).set_index("estimator")
    logits = network(probe.samples.images)
    error = (torch.softmax(logits, 1) - torch.eye(3)[probe.samples.targets]).detach().double().numpy()
    expected = ESTIMATORS["renyi"].estimate(error, error, rng=np.random.default_rng(0)).bits
    assert rows["bits"]["renyi"] == pytest.approx(expected, abs=1e-6)


def rows_of(quantity, *numbers, null=0.1):
    fixed = {"weights": "best", "view": "image", "estimator": "renyi", "role": "feature", "epoch": 1}
    for order, (bits, reach) in enumerate(numbers):
        of_tap = {"tap": f"conv{order + 1}", "order": order, "bits": bits, "low": bits - reach, "high": bits + reach}
        yield fixed | of_tap | {"quantity": quantity, "null_mean": null * order, "excess": bits - null * order}


def test_a_rise_is_a_violation_only_if_the_intervals_are_disjoint():
    # bits rise by .5, so that the intervals are disjoint, then by .1; the null rises by .45 for each layer
    rows = rows_of("I(X;T)", (1.0, 0.1), (1.5, 0.1), (1.6, 0.1), (0.5, 0.1), null=0.45)
    found = DataProcessing()(LayerTable(rows)).tables["data_processing"]
    assert found["violation"].tolist() == [False, True, True, False]
    assert found["rise"].round(6).tolist()[1:] == [0.5, 0.1, -1.1]
    assert found["violation_excess"].tolist() == [False] * 4
    assert found["rise_excess"].round(6).tolist()[1:] == [0.05, -0.35, -1.55]


def test_small_rises_are_a_violation_if_the_last_interval_is_above_the_first():
    rows = rows_of("I(X;T)", (1.0, 0.2), (1.2, 0.2), (1.45, 0.2), (1.3, 0.2), null=0)
    found = DataProcessing()(LayerTable(rows)).tables["data_processing"]
    assert found["violation"].tolist() == [False, False, True, False]


def test_the_layer_that_violates_the_error_chain_is_named():
    rows = rows_of("I(δK;δT)", (2.0, 0.1), (1.0, 0.1), (1.5, 0.1), null=0)  # backward: 1.5, 1.0, 2.0
    found = DataProcessing()(LayerTable(rows))
    broken = found.tables["data_processing"].query("violation")
    assert broken["tap"].tolist() == ["conv1"]
    assert found.metrics["summary/dpi_violations.error"] == 1


def test_nothing_is_measured_without_the_image_view_or_during_training(cnn):
    network, data = cnn
    probe = Probe(network, data, ESTIMATORS, seed=0, loss=loss_function("auto", data))
    assert DataProcessing().measure(network, probe, Moment(1, "epoch", 0)) == {}
    assert DataProcessing()(LayerTable()).tables == {}
