import numpy as np
import pandas as pd
import pytest
import torch
from known_maps import KnownMaps, bits_and_labels, lower, probe_of, upper

from bench.diagnostics import FilterCount
from bench.diagnostics.filter_count import _enough
from bench.diagnostics.mini_batches import Layer, MiniBatches, Partners, targets
from bench.diagnostics.subsets import Curve, InMiniBatches, counts_up_to
from bench.estimators import KDE, Renyi, VInformation
from bench.information.estimate import Estimate, Null
from bench.information.tables import LayerTable, Moment
from bench.layers.selection import named_rng

BEST = Moment(2, "best", 0)
RENYI = {"renyi": Renyi(alpha=2, width="median", batch_size=30)}


def measure_filters(make, label, estimators=RENYI, moment=BEST, **settings):
    network, data = KnownMaps(make), bits_and_labels(label)
    diagnostic = FilterCount(mini_batches=8, orders=6, permutations=5)
    probe = probe_of(network, data, estimators, **settings)
    table = LayerTable(probe.measure(network, moment))
    for name, rows in diagnostic.measure(network, probe, moment).items():
        table.extend(rows, name)
    return diagnostic(table), table.detail("filters")


def enough(findings, about="Y", order="random", estimator="renyi"):
    table = findings.tables["filter_count"]
    (row,) = table[(table["about"] == about) & (table["order"] == order) & (table["estimator"] == estimator)].to_dict(
        "records"
    )
    return row


def test_one_of_several_copies_is_enough():
    findings, curves = measure_filters(lambda x: upper(x).repeat(1, 6, 1, 1), lambda a, b: a)
    for order in ("random", "greedy"):
        row = enough(findings, order=order)
        assert (row["enough"], row["enough_low"], row["enough_high"], row["recommended"]) == (1, 1, 1, 1)
    assert findings.metrics == {"filters/maps": 1}
    curve = curves.query("about == 'Y' and order == 'random'")
    assert curve["count"].tolist() == [1, 2, 3, 4, 5, 6]
    assert np.ptp(curve["bits"]) < 1e-9  # copies do not change the kernel, because its width scales with the distances


def test_a_random_order_needs_more_maps_than_a_greedy_one():
    # the label is both bits; one map has the upper bit, seven are copies of the lower bit
    def make(x):
        return torch.cat([upper(x), *[lower(x)] * 7], dim=1)

    findings, curves = measure_filters(make, lambda a, b: 2 * a + b)
    of = curves[curves["about"] == "Y"].set_index(["order", "count"])["excess"]
    assert of["greedy", 2] > of["greedy", 1] + 0.1
    assert of["greedy", 2] > of["random", 2] + 0.1
    assert enough(findings, order="greedy")["enough"] <= enough(findings)["enough"]
    assert enough(findings)["recommended"] > 2


def test_the_greedy_order_begins_with_the_most_informative_map():
    def make(x):
        noise = torch.randn(len(x), 5, 2, 4, generator=torch.Generator().manual_seed(0))
        return torch.cat([noise[:, :3], upper(x), noise[:, 3:]], dim=1)

    network, data = KnownMaps(make), bits_and_labels(lambda a, b: a)
    probe = probe_of(network, data, RENYI)
    layer = Layer.of(network, probe, network.taps()[0], least=1, most=4)
    batches = MiniBatches(RENYI["renyi"], layer, 4, 1, np.random.default_rng(0))
    partners = Partners(batches, targets(probe)["Y"][1], 2, np.random.default_rng(0))
    order = InMiniBatches(batches, partners).greedy([0, 1])
    assert order[0] == 3
    assert sorted(order) == list(range(6))


def test_all_maps_together_equal_the_estimate_of_the_layer_in_the_same_mini_batches():
    def make(x):
        return torch.cat([upper(x), lower(x), upper(x) * lower(x)], dim=1)

    _, curves = measure_filters(make, lambda a, b: 2 * a + b)
    (whole,) = curves.query("about == 'Y' and order == 'random' and count == 3").to_dict("records")
    data = bits_and_labels(lambda a, b: 2 * a + b)
    layer, labels = make(data.val.images).flatten(1).numpy(), data.val.targets.numpy()
    bits = [
        Renyi(alpha=2, width="median").estimate(layer[rows], labels[rows], rng=np.random.default_rng(0)).bits
        for rows in named_rng(0, "mini-batches", "maps").permutation(240).reshape(8, 30)
    ]
    assert whole["bits"] == pytest.approx(np.mean(bits), abs=1e-6)


def test_a_saturated_estimator_recommends_no_number_and_gives_a_reason():
    noise = torch.Generator().manual_seed(0)
    findings, _ = measure_filters(
        lambda x: 3 * torch.randn(len(x), 4, 7, 7, generator=noise), lambda a, b: a, {"yu": Renyi(batch_size=30)}
    )
    row = enough(findings, about="X", estimator="yu")
    assert pd.isna(row["enough"])
    assert "are their null's" in row["why_none"]
    assert row["enough_of_bits"] == row["enough_of_null"] == 1
    assert pd.isna(row["recommended"])
    assert findings.metrics == {}


def test_maps_without_information_give_no_recommendation():
    noise = torch.Generator().manual_seed(1)
    findings, _ = measure_filters(lambda x: torch.randn(len(x), 4, 2, 2, generator=noise), lambda a, b: a)
    assert "are their null's" in enough(findings)["why_none"]


def test_a_held_out_probe_uses_all_samples_and_only_the_label():
    estimators = RENYI | {"probe": VInformation(permutations=3)}

    def make(x):
        return torch.cat([upper(x), upper(x), lower(x), lower(x)], dim=1)

    findings, curves = measure_filters(make, lambda a, b: 2 * a + b, estimators)
    probe = curves[curves["estimator"] == "probe"]
    assert set(probe["about"]) == {"Y"}
    assert (probe["n"] == 240).all()
    row = enough(findings, order="greedy", estimator="probe")
    assert row["enough"] == 2  # each map has one bit
    assert probe.query("order == 'greedy' and count == 2")["bits"].item() == pytest.approx(2, abs=0.2)
    assert findings.metrics["filters/maps"] == enough(findings)["recommended"]  # that of the primary estimator


def test_one_map_is_a_curve_of_one_point_and_constant_maps_give_a_row_with_its_reason():
    one, curves = measure_filters(upper, lambda a, b: a)
    assert enough(one)["enough"] == 1
    assert len(curves.query("about == 'Y' and order == 'random'")) == 1
    constant, curves = measure_filters(lambda x: 0 * x, lambda a, b: a)
    assert curves["reason"].str.contains("got 0 feature maps that vary of 1").all()
    assert constant.figures == {}


def test_a_map_that_is_active_for_few_samples_is_left_out_if_its_kernel_has_no_width():
    def make(x):
        rare = torch.zeros(len(x), 1, 2, 4)
        rare[::40] = 1
        return torch.cat([upper(x), rare, lower(x)], dim=1)

    _, curves = measure_filters(make, lambda a, b: 2 * a + b, RENYI | {"yu": Renyi(batch_size=30)})
    counts = curves[curves["order"] == "random"].groupby(["estimator", "about"])["count"].max()
    assert counts["renyi", "Y"] == 2
    assert counts["yu", "Y"] == 3


def test_an_estimator_without_a_null_gives_a_row_with_its_reason():
    _, curves = measure_filters(
        lambda x: torch.cat([upper(x), lower(x)], dim=1), lambda a, b: a, RENYI | {"kde": KDE()}
    )
    kde = curves[curves["estimator"] == "kde"]
    assert kde["bits"].notna().all() or kde["reason"].str.contains("null").all()


def test_only_the_best_checkpoint_is_measured():
    network, data = KnownMaps(upper), bits_and_labels(lambda a, b: a)
    assert FilterCount().measure(network, probe_of(network, data, RENYI), Moment(1, "epoch", 0)) == {}
    assert FilterCount()(LayerTable()).tables == {}


@pytest.mark.parametrize("maps", [1, 16, 17, 100, 512])
def test_counts_go_from_one_map_to_all(maps):
    counts = counts_up_to(maps)
    assert counts[0] == 1
    assert counts[-1] == maps
    assert len(counts) <= 16
    assert (np.diff(counts) > 0).all()


@pytest.mark.parametrize(("share", "count"), [(0.5, 1), (0.95, 4), (0.99, 8)])
def test_enough_is_a_share_of_the_peak_information(share, count):
    # excess information of 1, 2, 4, 8 and all 16 maps, with a null of .1
    counts = np.array([1, 2, 4, 8, 16])
    excess = np.array([0.5, 0.8, 0.95, 1.0, 0.9])
    null = Null(0.1, 0.01, 0.12, 5)
    estimates = [Estimate(bits + 0.1, (bits, bits + 0.2), null, 3.0, 3.0, 100, (4, 1)) for bits in excess]
    found = _enough(Curve("random", counts, estimates, np.tile(excess, (10, 1))), share)
    assert (found["enough"], found["enough_low"], found["enough_high"]) == (count, count, count)
    assert found["enough_of_null"] == 1


@pytest.mark.parametrize("share", [0, 1, 1.5])
def test_a_share_outside_its_range_is_refused(share):
    with pytest.raises(ValueError, match=f"share: got {share}, wanted a number between 0 and 1"):
        FilterCount(share=share)
